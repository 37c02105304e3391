//! Specs, configurations and errors on their way over the boundary, seen from the host. Batches are in `columns`.

use std::borrow::Cow;
use std::time::Duration;

use towpath_model::{
    Capability, Config, ConfigKey, ConnectorError, ConnectorKind, Credential, Endpoint, Fault, Gravity, Importance,
    Reason, RecordError, Redactor, Scheme, Spec, ValueType, Width,
};

use crate::bindings::connector::exports::towpath::connect::connector as wit;
use crate::bindings::imports::towpath::connect::types;
use crate::columns::encoding_from_wit;
use crate::guest::{clean, code, is_code};

pub(crate) fn config_to_wit(config: &Config) -> types::Config {
    config.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

pub(crate) fn config_from_wit(config: types::Config) -> Config {
    config.into_iter().collect()
}

/// An error that a guest reported, without secrets.
pub(crate) fn error_from_wit(error: types::Error, redactor: &Redactor) -> ConnectorError {
    match error {
        types::Error::Retriable(retry) => ConnectorError::Retriable {
            reason: reason_from_wit(retry.reason, redactor),
            after: retry.after_ms.map(Duration::from_millis),
        },
        types::Error::Throttled(after) => ConnectorError::Throttled { after: Duration::from_millis(after) },
        types::Error::Records(errors) => {
            let record = |error: types::RecordError| RecordError {
                index: error.index,
                code: code(error.code, "connector.record"),
                reason: clean(redactor, &error.reason),
                retriable: error.retriable,
            };
            ConnectorError::Records(errors.into_iter().map(record).collect())
        }
        types::Error::Config(error) => {
            ConnectorError::config(clean(redactor, &error.key), reason_from_wit(error.reason, redactor))
        }
        types::Error::Fatal(reason) => ConnectorError::fatal(reason_from_wit(reason, redactor)),
    }
}

/// A fault that a guest found in a configuration, without secrets.
pub(crate) fn fault_from_wit(fault: types::Fault, redactor: &Redactor) -> Fault {
    let gravity = match fault.gravity {
        types::Gravity::Error => Gravity::Error,
        types::Gravity::Passing => Gravity::Passing,
        types::Gravity::Warning => Gravity::Warning,
    };
    Fault { key: clean(redactor, &fault.key), gravity, reason: reason_from_wit(fault.reason, redactor) }
}

fn reason_from_wit(reason: types::Reason, redactor: &Redactor) -> Reason {
    Reason {
        code: reason.code.filter(|code| is_code(code)).map(Cow::Owned),
        message: clean(redactor, &reason.message),
        remedy: reason.remedy.map(|remedy| clean(redactor, &remedy)),
    }
}

pub(crate) fn spec_from_wit(spec: wit::Spec) -> Spec {
    let capability = |capability| match capability {
        wit::Capability::Http => Capability::Http,
        wit::Capability::Streams => Capability::Streams,
        wit::Capability::ObjectStore => Capability::ObjectStore,
        wit::Capability::Scratch => Capability::Scratch,
        wit::Capability::Files => Capability::Files,
    };
    Spec {
        name: spec.name,
        version: spec.version,
        kind: match spec.kind {
            wit::Kind::Source => ConnectorKind::Source,
            wit::Kind::Sink => ConnectorKind::Sink,
            wit::Kind::Transform => ConnectorKind::Transform,
        },
        doc: spec.doc,
        keys: spec.keys.into_iter().map(key_from_wit).collect(),
        open_prefixes: spec.open_prefixes,
        credentials: spec.credentials.into_iter().map(credential_from_wit).collect(),
        capabilities: spec.capabilities.into_iter().map(capability).collect(),
        accepts: spec.accepts.into_iter().map(encoding_from_wit).collect(),
        defines_transactions: spec.defines_transactions,
    }
}

fn key_from_wit(key: wit::ConfigKey) -> ConfigKey {
    ConfigKey {
        name: key.name,
        value_type: match key.value_type {
            wit::ValueType::Boolean => ValueType::Boolean,
            wit::ValueType::String => ValueType::String,
            wit::ValueType::Int => ValueType::Int,
            wit::ValueType::Short => ValueType::Short,
            wit::ValueType::Long => ValueType::Long,
            wit::ValueType::Double => ValueType::Double,
            wit::ValueType::List => ValueType::List,
            wit::ValueType::Class => ValueType::Class,
            wit::ValueType::Password => ValueType::Password,
        },
        default: key.default_value,
        optional: key.optional,
        importance: match key.importance {
            wit::Importance::High => Importance::High,
            wit::Importance::Medium => Importance::Medium,
            wit::Importance::Low => Importance::Low,
        },
        doc: key.doc,
        group: key.group,
        order: key.order,
        width: match key.width {
            wit::Width::None => Width::None,
            wit::Width::Short => Width::Short,
            wit::Width::Medium => Width::Medium,
            wit::Width::Long => Width::Long,
        },
        display_name: key.display_name,
        dependents: key.dependents,
        valid_values: key.valid_values,
        aliases: key.aliases,
        secret: key.secret,
        endpoint: key.endpoint.map(|endpoint| match endpoint {
            wit::Endpoint::Url => Endpoint::Url,
            wit::Endpoint::Store => Endpoint::Store,
            wit::Endpoint::File => Endpoint::File,
            wit::Endpoint::Host(host) => Endpoint::Host { port_key: host.port_key, default_port: host.default_port },
        }),
    }
}

fn credential_from_wit(credential: wit::Credential) -> Credential {
    let scheme = match credential.scheme {
        wit::Scheme::Basic(basic) => Scheme::Basic { user_key: basic.user_key, password_key: basic.password_key },
        wit::Scheme::Bearer(token_key) => Scheme::Bearer { token_key },
        wit::Scheme::Header(header) => Scheme::Header { header_key: header.header_key, value_key: header.value_key },
    };
    Credential { name: credential.name, scheme }
}
