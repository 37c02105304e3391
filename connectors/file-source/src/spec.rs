//! The definition of the configuration, in the words of Kafka's connector.

use towpath_model::{Capability, ConnectorKind, Spec};
use towpath_sdk::key;

/// What the connector says of itself.
pub fn spec() -> Spec {
    towpath_sdk::spec("file-source", env!("CARGO_PKG_VERSION"), ConnectorKind::Source)
        .doc("Each line of a file as a record, and those that are appended later.")
        .key(key("file").file_endpoint().doc("The file. It need not exist yet.").display("File"))
        .key(key("topic").doc("The topic that the lines go to.").display("Topic"))
        .key(
            key("batch.size")
                .int()
                .default("2000")
                .low()
                .doc("The most lines that are read from the file before they are handed on.")
                .display("Batch size"),
        )
        .uses(Capability::Files)
        .build()
}
