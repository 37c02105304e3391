//! The schemas around a row: key, row, source block, envelope.

use std::sync::Arc;

use towpath_model::{Field, Schema, Type};

/// The schema of a required string.
pub const STRING_SCHEMA: &str = r#"{"type":"string","optional":false}"#;

/// What all records of a connector say of their source.
#[derive(Clone, Debug)]
pub struct Source {
    /// `topic.prefix`.
    pub name: String,
    /// The database.
    pub database: String,
}

fn field(name: &str, schema: Schema) -> Field {
    Field { name: name.into(), schema: Arc::new(schema) }
}

/// A struct whose name has no version.
pub(super) fn named_struct(name: String, fields: Vec<Field>) -> Schema {
    Schema { name: Some(name.into()), ..Schema::new(Type::Struct(fields)) }
}

/// The schema of a change event for rows of `row`.
pub(super) fn envelope(name: String, row: &Schema) -> Schema {
    let optional = |kind| Schema::new(kind).optional();
    let row = row.clone().optional();
    let fields = vec![
        field("before", row.clone()),
        field("after", row),
        field("source", source()),
        field("transaction", transaction()),
        field("op", Schema::new(Type::String)),
        field("ts_ms", optional(Type::Int64)),
        field("ts_us", optional(Type::Int64)),
        field("ts_ns", optional(Type::Int64)),
    ];
    let mut schema = named_struct(name, fields);
    schema.version = Some(2);
    schema
}

fn source() -> Schema {
    let required = |kind| Schema::new(kind);
    let optional = |kind| Schema::new(kind).optional();
    let snapshot = optional(Type::String)
        .named("io.debezium.data.Enum", 1)
        .parameter("allowed", "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental")
        .default("false".into());
    let fields = vec![
        field("version", required(Type::String)),
        field("connector", required(Type::String)),
        field("name", required(Type::String)),
        field("ts_ms", required(Type::Int64)),
        field("snapshot", snapshot),
        field("db", required(Type::String)),
        field("sequence", optional(Type::String)),
        field("ts_us", optional(Type::Int64)),
        field("ts_ns", optional(Type::Int64)),
        field("schema", required(Type::String)),
        field("table", required(Type::String)),
        field("txId", optional(Type::Int64)),
        field("lsn", optional(Type::Int64)),
        field("xmin", optional(Type::Int64)),
        field("origin", optional(Type::String)),
        field("origin_lsn", optional(Type::Int64)),
    ];
    Schema::new(Type::Struct(fields)).named("io.debezium.connector.postgresql.Source", 1)
}

fn transaction() -> Schema {
    let fields = vec![
        field("id", Schema::new(Type::String)),
        field("total_order", Schema::new(Type::Int64)),
        field("data_collection_order", Schema::new(Type::Int64)),
    ];
    Schema::new(Type::Struct(fields)).optional().named("event.block", 1)
}
