//! What Debezium's transforms need to know of a change event's envelope.

use towpath_model::{Field, Schema};

/// Whether a schema is that of an envelope, by its name.
pub(crate) fn is_envelope(schema: &Schema) -> bool {
    schema.name.as_deref().is_some_and(|name| name.ends_with(".Envelope"))
}

/// The field of this name, and its place.
pub(crate) fn field<'a>(schema: &'a Schema, name: &str) -> Option<(usize, &'a Field)> {
    schema.fields().iter().enumerate().find(|(_, field)| *field.name == *name)
}
