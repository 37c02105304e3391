//! The definition of the configuration, in the words of Kafka's MaskField.

use towpath_model::{ConnectorKind, Encoding, Spec};
use towpath_sdk::key;

/// What the transform says of itself.
pub fn spec() -> Spec {
    towpath_sdk::spec("redact", env!("CARGO_PKG_VERSION"), ConnectorKind::Transform)
        .doc("Replaces the values of chosen fields; everything else of a record stays as it is.")
        .key(
            key("fields")
                .list()
                .doc(
                    "The fields of the value: names, with dots between the levels, as after.email. Arrays are gone through, so \
                     lines.price means the price of every line.",
                )
                .display("Fields"),
        )
        .key(
            key("replacement")
                .default("****")
                .medium()
                .doc(
                    "What stands in place of a string. Other values become the zero of their type: 0, false, no bytes, no items.",
                )
                .display("Replacement"),
        )
        .accepts(Encoding::Connect)
        .accepts(Encoding::Json)
        .build()
}
