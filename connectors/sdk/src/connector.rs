//! The exports that every component has, whatever its kind: its spec, the check of a configuration, the plan.
//!
//! They are given what the author's trait answered; calling the trait is the macro's part.

use towpath_model::{
    Capability, Config, ConfigKey, ConnectorError, ConnectorKind, Credential, Endpoint, Fault, Importance, Scheme,
    Spec, ValueType, Width,
};

use crate::bindings::connector::exports::towpath::connect::connector as wit;
use crate::bindings::imports::towpath::connect::types;
use crate::columns::encoding_to_wit;
pub use crate::translate::config_from_wit;
use crate::translate::{config_to_wit, error_to_wit, fault_to_wit};

/// The answer to `describe`.
pub fn describe(spec: Spec) -> wit::Spec {
    spec_to_wit(spec)
}

/// The answer to `validate`.
pub fn validate(faults: Result<Vec<Fault>, ConnectorError>) -> Result<Vec<types::Fault>, types::Error> {
    faults.map(|faults| faults.into_iter().map(fault_to_wit).collect()).map_err(error_to_wit)
}

/// The answer to `plan`.
pub fn plan(tasks: Result<Vec<Config>, ConnectorError>) -> Result<Vec<types::Config>, types::Error> {
    tasks.map(|tasks| tasks.into_iter().map(config_to_wit).collect()).map_err(error_to_wit)
}

fn spec_to_wit(spec: Spec) -> wit::Spec {
    wit::Spec {
        name: spec.name,
        version: spec.version,
        kind: match spec.kind {
            ConnectorKind::Source => wit::Kind::Source,
            ConnectorKind::Sink => wit::Kind::Sink,
            ConnectorKind::Transform => wit::Kind::Transform,
        },
        doc: spec.doc,
        keys: spec.keys.into_iter().map(key_to_wit).collect(),
        open_prefixes: spec.open_prefixes,
        credentials: spec.credentials.into_iter().map(credential_to_wit).collect(),
        capabilities: spec
            .capabilities
            .into_iter()
            .map(|capability| match capability {
                Capability::Http => wit::Capability::Http,
                Capability::Streams => wit::Capability::Streams,
                Capability::ObjectStore => wit::Capability::ObjectStore,
                Capability::Scratch => wit::Capability::Scratch,
                Capability::Files => wit::Capability::Files,
            })
            .collect(),
        accepts: spec.accepts.into_iter().map(encoding_to_wit).collect(),
        defines_transactions: spec.defines_transactions,
    }
}

fn key_to_wit(key: ConfigKey) -> wit::ConfigKey {
    wit::ConfigKey {
        name: key.name,
        value_type: match key.value_type {
            ValueType::Boolean => wit::ValueType::Boolean,
            ValueType::String => wit::ValueType::String,
            ValueType::Int => wit::ValueType::Int,
            ValueType::Short => wit::ValueType::Short,
            ValueType::Long => wit::ValueType::Long,
            ValueType::Double => wit::ValueType::Double,
            ValueType::List => wit::ValueType::List,
            ValueType::Class => wit::ValueType::Class,
            ValueType::Password => wit::ValueType::Password,
        },
        default_value: key.default,
        optional: key.optional,
        importance: match key.importance {
            Importance::High => wit::Importance::High,
            Importance::Medium => wit::Importance::Medium,
            Importance::Low => wit::Importance::Low,
        },
        doc: key.doc,
        group: key.group,
        order: key.order,
        width: match key.width {
            Width::None => wit::Width::None,
            Width::Short => wit::Width::Short,
            Width::Medium => wit::Width::Medium,
            Width::Long => wit::Width::Long,
        },
        display_name: key.display_name,
        dependents: key.dependents,
        valid_values: key.valid_values,
        aliases: key.aliases,
        secret: key.secret,
        endpoint: key.endpoint.map(|endpoint| match endpoint {
            Endpoint::Url => wit::Endpoint::Url,
            Endpoint::Store => wit::Endpoint::Store,
            Endpoint::File => wit::Endpoint::File,
            Endpoint::Host { port_key, default_port } => {
                wit::Endpoint::Host(wit::HostEndpoint { port_key, default_port })
            }
        }),
    }
}

fn credential_to_wit(credential: Credential) -> wit::Credential {
    let scheme = match credential.scheme {
        Scheme::Basic { user_key, password_key } => wit::Scheme::Basic(wit::Basic { user_key, password_key }),
        Scheme::Bearer { token_key } => wit::Scheme::Bearer(token_key),
        Scheme::Header { header_key, value_key } => wit::Scheme::Header(wit::HeaderValue { header_key, value_key }),
    };
    wit::Credential { name: credential.name, scheme }
}
