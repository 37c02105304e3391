//! The definition of the configuration, in the words of Kafka's connector.

use towpath_model::{Capability, ConnectorKind, Encoding, Spec};
use towpath_sdk::key;

/// What the connector says of itself.
pub fn spec() -> Spec {
    towpath_sdk::spec("file-sink", env!("CARGO_PKG_VERSION"), ConnectorKind::Sink)
        .doc("Each record's value as a line at the end of a file.")
        .key(key("file").file_endpoint().doc("The file. It is made where there is none.").display("File"))
        .uses(Capability::Files)
        .accepts(Encoding::Bytes)
        .accepts(Encoding::Json)
        .build()
}
