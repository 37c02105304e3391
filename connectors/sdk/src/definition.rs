//! Builders of a spec: `spec("s3-sink", Sink).key(key("flush.size").int().default(1000).doc("…"))`.
//!
//! Only what is set is written; a key without more is a required string of high importance. Marks that are not
//! Kafka's own are `secret` and the endpoints, from which the host computes what the connector may reach.

use towpath_model::{
    Capability, ConfigKey, ConnectorKind, Credential, Encoding, Endpoint, Importance, Scheme, Spec, ValueType, Width,
};

/// Begins a spec. `version` is usually `env!("CARGO_PKG_VERSION")`.
pub fn spec(name: &str, version: &str, kind: ConnectorKind) -> SpecBuilder {
    SpecBuilder(Spec {
        name: name.into(),
        version: version.into(),
        kind,
        doc: String::new(),
        keys: Vec::new(),
        open_prefixes: Vec::new(),
        credentials: Vec::new(),
        capabilities: Vec::new(),
        accepts: Vec::new(),
        defines_transactions: false,
    })
}

/// Begins the definition of a key: a required string of high importance unless said otherwise.
pub fn key(name: &str) -> KeyDefinition {
    KeyDefinition(ConfigKey {
        name: name.into(),
        value_type: ValueType::String,
        default: None,
        optional: false,
        importance: Importance::High,
        doc: String::new(),
        group: None,
        order: -1,
        width: Width::None,
        display_name: name.into(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: Vec::new(),
        secret: false,
        endpoint: None,
    })
}

/// Builds a [`Spec`].
#[derive(Clone, Debug)]
#[must_use]
pub struct SpecBuilder(Spec);

impl SpecBuilder {
    /// A sentence for people.
    pub fn doc(mut self, doc: &str) -> Self {
        self.0.doc = doc.into();
        self
    }

    /// Adds a key. Keys of one group are ordered as they are added.
    pub fn key(mut self, key: KeyDefinition) -> Self {
        let mut key = key.0;
        if key.group.is_some() && key.order < 0 {
            let before = self.0.keys.iter().filter(|other| other.group == key.group).count();
            key.order = i32::try_from(before + 1).unwrap_or(i32::MAX);
        }
        self.0.keys.push(key);
        self
    }

    /// Adds several keys.
    pub fn keys(self, keys: impl IntoIterator<Item = KeyDefinition>) -> Self {
        keys.into_iter().fold(self, Self::key)
    }

    /// Allows any key that begins with `prefix`.
    pub fn open_prefix(mut self, prefix: &str) -> Self {
        self.0.open_prefixes.push(prefix.into());
        self
    }

    /// A credential that requests name and the host adds. Its secret keys are withheld from the connector.
    pub fn credential(mut self, name: &str, scheme: Scheme) -> Self {
        self.0.credentials.push(Credential { name: name.into(), scheme });
        self
    }

    /// Says that the connector uses a capability; without it the host refuses.
    pub fn uses(mut self, capability: Capability) -> Self {
        self.0.capabilities.push(capability);
        self
    }

    /// Says that the connector takes in payloads of this encoding.
    pub fn accepts(mut self, encoding: Encoding) -> Self {
        self.0.accepts.push(encoding);
        self
    }

    /// Says that each poll tells where transactions of the source end, for `transaction.boundary=connector`.
    pub fn defines_transactions(mut self) -> Self {
        self.0.defines_transactions = true;
        self
    }

    /// The spec.
    pub fn build(self) -> Spec {
        self.0
    }
}

/// Builds a [`ConfigKey`].
#[derive(Clone, Debug)]
#[must_use]
pub struct KeyDefinition(ConfigKey);

macro_rules! value_types {
    ($($(#[$doc:meta])* $name:ident $kind:ident,)*) => {
        $($(#[$doc])*
        pub fn $name(mut self) -> Self {
            self.0.value_type = ValueType::$kind;
            self
        })*
    };
}

impl KeyDefinition {
    value_types! {
        /// `true` or `false`.
        boolean Boolean,
        /// Text; what a key is without more.
        string String,
        /// 32 bits.
        int Int,
        /// 16 bits.
        short Short,
        /// 64 bits.
        long Long,
        /// A floating-point number.
        double Double,
        /// Texts separated by commas.
        list List,
        /// The name of a plugin.
        class Class,
    }

    /// Text that is never shown; also marks the key secret.
    pub fn password(mut self) -> Self {
        self.0.value_type = ValueType::Password;
        self.secret()
    }

    /// The value when it is not set.
    pub fn default(mut self, value: impl ToString) -> Self {
        self.0.default = Some(value.to_string());
        self
    }

    /// The key may be left out though it has no default.
    pub fn optional(mut self) -> Self {
        self.0.optional = true;
        self
    }

    /// Medium importance.
    pub fn medium(mut self) -> Self {
        self.0.importance = Importance::Medium;
        self
    }

    /// Low importance.
    pub fn low(mut self) -> Self {
        self.0.importance = Importance::Low;
        self
    }

    /// What the key does, with units.
    pub fn doc(mut self, doc: &str) -> Self {
        self.0.doc = doc.into();
        self
    }

    /// The group the key is shown in.
    pub fn group(mut self, group: &str) -> Self {
        self.0.group = Some(group.into());
        self
    }

    /// Its place in the group.
    pub fn order(mut self, order: i32) -> Self {
        self.0.order = order;
        self
    }

    /// How wide a form shows it.
    pub fn width(mut self, width: Width) -> Self {
        self.0.width = width;
        self
    }

    /// Its name for people.
    pub fn display(mut self, name: &str) -> Self {
        self.0.display_name = name.into();
        self
    }

    /// Keys whose meaning depends on this one.
    pub fn dependents(mut self, keys: &[&str]) -> Self {
        self.0.dependents = keys.iter().map(|key| (*key).to_owned()).collect();
        self
    }

    /// The values allowed.
    pub fn one_of(mut self, values: &[&str]) -> Self {
        self.0.valid_values = values.iter().map(|value| (*value).to_owned()).collect();
        self
    }

    /// Another name under which the key is accepted.
    pub fn alias(mut self, name: &str) -> Self {
        self.0.aliases.push(name.into());
        self
    }

    /// The value is never shown, logged or stored in clear.
    pub fn secret(mut self) -> Self {
        self.0.secret = true;
        self
    }

    /// The value is a URL that the connector may reach.
    pub fn url_endpoint(mut self) -> Self {
        self.0.endpoint = Some(Endpoint::Url);
        self
    }

    /// The value is a host that the connector may reach, at the port that stands under `port_key`.
    pub fn host_endpoint(mut self, port_key: &str, default_port: u16) -> Self {
        self.0.endpoint = Some(Endpoint::Host { port_key: port_key.into(), default_port });
        self
    }

    /// The value is an object store that the connector may use.
    pub fn store_endpoint(mut self) -> Self {
        self.0.endpoint = Some(Endpoint::Store);
        self
    }

    /// The value is the path of a file that the connector may read and append to.
    pub fn file_endpoint(mut self) -> Self {
        self.0.endpoint = Some(Endpoint::File);
        self
    }

    /// The definition.
    pub fn build(self) -> ConfigKey {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_required_string_until_it_is_said_otherwise() {
        assert!(key("topic.prefix").build().required());
        assert!(!key("slot.name").default("debezium").build().required());
        let password = key("database.password").password().optional().build();
        assert!(password.secret && !password.required());
    }

    #[test]
    fn keys_of_a_group_keep_the_order_in_which_they_are_added() {
        let built = spec("x", "1", ConnectorKind::Sink)
            .keys([key("a").group("one"), key("b").group("two"), key("c").group("one")])
            .build();
        assert_eq!(built.keys.iter().map(|key| key.order).collect::<Vec<_>>(), [1, 1, 2]);
    }
}
