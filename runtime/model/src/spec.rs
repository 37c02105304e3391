//! What a plugin says of itself: its kind, its configuration's definition, what it may reach. Mirrors `wit/connector.wit`.

use serde::{Deserialize, Serialize};

use crate::{Config, Encoding};

/// What a plugin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConnectorKind {
    /// Reads a system into the log.
    Source,
    /// Writes the log to a system.
    Sink,
    /// Changes records between connector and converter.
    Transform,
}

/// The type of a configuration value, as in Kafka's ConfigDef.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ValueType {
    /// `true` or `false`.
    Boolean,
    /// Text.
    String,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a plugin.
    Class,
    /// Text that is never shown.
    Password,
}

/// How much a key matters, as in Kafka's ConfigDef.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Importance {
    High,
    Medium,
    Low,
}

/// How wide a form shows the key, as in Kafka's ConfigDef.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Width {
    None,
    Short,
    Medium,
    Long,
}

/// What an endpoint key permits the component to reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Endpoint {
    /// The value is a URL; its scheme, host and port are permitted.
    Url,
    /// The value is a host; the port stands under another key.
    Host {
        /// The key of the port.
        port_key: String,
        /// The port when the key is not set.
        default_port: u16,
    },
    /// The value names an object store.
    Store,
    /// The value is the path of a file of this machine.
    File,
}

/// One key of a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigKey {
    /// The key.
    pub name: String,
    /// The type of its value.
    pub value_type: ValueType,
    /// The value when it is not set.
    pub default: Option<String>,
    /// Whether it may be left out though it has no default.
    pub optional: bool,
    /// How much it matters.
    pub importance: Importance,
    /// What it does, with units.
    pub doc: String,
    /// The group it is shown in.
    pub group: Option<String>,
    /// Its place in the group, or -1.
    pub order: i32,
    /// How wide a form shows it.
    pub width: Width,
    /// Its name for people.
    pub display_name: String,
    /// Keys whose meaning depends on this one.
    pub dependents: Vec<String>,
    /// The values allowed; empty when any is.
    pub valid_values: Vec<String>,
    /// Other names under which the key is accepted.
    pub aliases: Vec<String>,
    /// Whether its value is never shown, logged or stored in clear.
    pub secret: bool,
    /// What the value permits the component to reach.
    pub endpoint: Option<Endpoint>,
}

impl ConfigKey {
    /// Whether a configuration without this key is refused.
    pub fn required(&self) -> bool {
        self.default.is_none() && !self.optional
    }
}

/// How the host authenticates a request in the guest's stead; the parts are keys of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Scheme {
    /// HTTP basic authentication.
    Basic { user_key: String, password_key: String },
    /// A bearer token.
    Bearer { token_key: String },
    /// A header with a secret value.
    Header { header_key: String, value_key: String },
}

impl Scheme {
    /// The key whose value is secret.
    pub fn secret_key(&self) -> &str {
        let (Self::Basic { password_key: key, .. }
        | Self::Bearer { token_key: key }
        | Self::Header { value_key: key, .. }) = self;
        key
    }
}

/// A credential that a request names and the host adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// The name by which requests ask for it.
    pub name: String,
    /// How it is applied.
    pub scheme: Scheme,
}

/// What a component uses of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum Capability {
    Http,
    Streams,
    ObjectStore,
    Scratch,
    Files,
}

/// What a plugin says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Its name, by which `connector.class` finds it.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does.
    pub kind: ConnectorKind,
    /// A sentence for people.
    pub doc: String,
    /// Its configuration's definition.
    pub keys: Vec<ConfigKey>,
    /// Prefixes of keys that are free.
    pub open_prefixes: Vec<String>,
    /// Credentials that the host applies.
    pub credentials: Vec<Credential>,
    /// What it uses of the host.
    pub capabilities: Vec<Capability>,
    /// Encodings that it takes in; empty for sources.
    pub accepts: Vec<Encoding>,
    /// Whether a source says where transactions of its system end.
    pub defines_transactions: bool,
}

impl Spec {
    /// A configuration with every setting under its key's own name instead of an alias, and with defaults for what is not set.
    /// A key's own name counts before its aliases. Settings that the spec does not know stay.
    #[must_use]
    pub fn complete(&self, config: &Config) -> Config {
        let mut complete = config.clone();
        for key in &self.keys {
            let aliased: Vec<String> = key.aliases.iter().filter_map(|alias| complete.0.remove(alias)).collect();
            if complete.get(&key.name).is_some() {
                continue;
            }
            if let Some(value) = aliased.into_iter().next().or_else(|| key.default.clone()) {
                complete.set(&key.name, value);
            }
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complete_configuration_has_own_names_and_defaults() {
        let key = |name: &str, default: Option<&str>, aliases: &[&str]| ConfigKey {
            name: name.into(),
            value_type: ValueType::String,
            default: default.map(str::to_owned),
            optional: true,
            importance: Importance::High,
            doc: String::new(),
            group: None,
            order: -1,
            width: Width::None,
            display_name: name.into(),
            dependents: Vec::new(),
            valid_values: Vec::new(),
            aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
            secret: false,
            endpoint: None,
        };
        let spec = Spec {
            name: "x".into(),
            version: "1".into(),
            kind: ConnectorKind::Sink,
            doc: String::new(),
            keys: vec![
                key("url", None, &["api.url", "old.url"]),
                key("user", None, &["login"]),
                key("size", Some("1"), &[]),
                key("token", None, &[]),
            ],
            open_prefixes: Vec::new(),
            credentials: Vec::new(),
            capabilities: Vec::new(),
            accepts: Vec::new(),
            defines_transactions: false,
        };
        let given = [("old.url", "b"), ("api.url", "a"), ("user", "own"), ("login", "other"), ("name", "n")];
        let expected = [("url", "a"), ("user", "own"), ("size", "1"), ("name", "n")];
        assert_eq!(spec.complete(&given.into_iter().collect()), expected.into_iter().collect());
    }
}
