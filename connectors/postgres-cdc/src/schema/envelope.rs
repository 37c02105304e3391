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
    /// The topic of transactions' begins and ends, where they are wanted.
    pub transaction_topic: Option<String>,
    /// Schemas of records that belong to no table.
    pub schemas: SharedSchemas,
}

/// The schemas of records that belong to no table, as JSON, and the topic of messages.
#[derive(Clone, Debug)]
pub struct SharedSchemas {
    /// The topic of messages.
    pub message_topic: String,
    /// The key of a message.
    pub message_key: Arc<str>,
    /// A message.
    pub message_value: Arc<str>,
    /// The key of a transaction's begin or end.
    pub transaction_key: Arc<str>,
    /// A transaction's begin or end.
    pub transaction_value: Arc<str>,
}

impl SharedSchemas {
    /// Schemas for messages on `message_topic`, whose content is `content`.
    pub fn new(message_topic: String, content: Type) -> Self {
        let text = |schema: Schema| -> Arc<str> { schema.to_json().to_string().into() };
        let string = || Schema::new(Type::String);
        let named = |name: &str, fields| Schema::new(Type::Struct(fields)).named(name, 1);
        let message = vec![field("prefix", string().optional()), field("content", Schema::new(content).optional())];
        let message_value = vec![
            field("op", string()),
            field("ts_ms", Schema::new(Type::Int64).optional()),
            field("source", source()),
            field("transaction", transaction()),
            field("message", named("io.debezium.connector.postgresql.Message", message)),
        ];
        let count = vec![field("data_collection", string()), field("event_count", Schema::new(Type::Int64))];
        let counts = Type::Array(Arc::new(named("event.collection", count).optional()));
        let transaction_value = vec![
            field("status", string()),
            field("id", string()),
            field("event_count", Schema::new(Type::Int64).optional()),
            field("data_collections", Schema::new(counts).optional()),
            field("ts_ms", Schema::new(Type::Int64)),
        ];
        let common = |name: &str| format!("io.debezium.connector.common.TransactionMetadata{name}");
        Self {
            message_topic,
            message_key: text(named(
                "io.debezium.connector.postgresql.MessageKey",
                vec![field("prefix", string().optional())],
            )),
            message_value: text(named("io.debezium.connector.postgresql.MessageValue", message_value)),
            transaction_key: text(named(&common("Key"), vec![field("id", string())])),
            transaction_value: text(named(&common("Value"), transaction_value)),
        }
    }
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
