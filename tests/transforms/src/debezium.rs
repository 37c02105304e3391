//! Cases of Debezium's transforms: change events, and rows of an outbox.

use rand::RngExt;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::case::{Case, envelope};
use crate::generate::{Settings, record, set};
use crate::schema::{NAMES, pick, structure, value};

/// A case of one of them.
pub(crate) fn case(random: &mut StdRng) -> Case {
    let mut record = record(random);
    if random.random_bool(0.4) {
        let row = structure(random, 1);
        let mut row = row;
        row["name"] = "shop.public.orders.Value".into();
        if random.random_bool(0.9) {
            record.value = Some(event(random, &row));
        }
        return Case {
            transform: "io.debezium.transforms.ByLogicalTableRouter".into(),
            settings: by_table(random),
            record,
        };
    }
    if random.random_bool(0.95) {
        let row = outbox(random);
        record.value = Some(event(random, &row));
    }
    Case { transform: "io.debezium.transforms.outbox.EventRouter".into(), settings: event_router(random), record }
}

/// A change event of a row.
fn event(random: &mut StdRng, row: &Value) -> String {
    let mut row = row.clone();
    row["optional"] = true.into();
    if let Some(row) = row.as_object_mut() {
        row.remove("default");
    }
    let state = |name: &str| {
        let mut state = row.clone();
        state["field"] = name.into();
        state
    };
    let (before, after) = (state("before"), state("after"));
    let source = json!({"type": "struct", "optional": false, "name": "io.debezium.connector.postgresql.Source", "field": "source", "fields": [
        {"type": "string", "optional": false, "field": "connector"},
        {"type": "string", "optional": false, "field": "table"},
    ]});
    let schema = json!({
        "type": "struct", "optional": false, "name": "shop.public.orders.Envelope", "version": 2,
        "fields": [before, after, source,
            {"type": "string", "optional": false, "field": "op"},
            {"type": "int64", "optional": true, "field": "ts_ms"}],
    });
    let op = *pick(random, &["c", "c", "c", "c", "c", "r", "u", "d"]);
    let mut after = if op == "d" { Value::Null } else { value(random, &row) };
    if let Some(part) = after.get_mut("part") {
        *part = random.random_range(0..9).into();
    }
    let payload = json!({
        "before": if op == "u" { value(random, &row) } else { Value::Null },
        "after": after,
        "source": {"connector": "postgresql", "table": "outbox"},
        "op": op,
        "ts_ms": pick(random, &[1_795_788_309_042i64, 0]),
    });
    envelope(&schema, &payload)
}

/// The schema of an outbox table. Now and then something is missing or unusual.
fn outbox(random: &mut StdRng) -> Value {
    let mut fields = vec![
        json!({"type": pick(random, &["string", "int64"]), "optional": false, "field": "id"}),
        json!({"type": "string", "optional": random.random_bool(0.1), "field": "aggregatetype"}),
        json!({"type": pick(random, &["string", "int32"]), "optional": random.random_bool(0.3), "field": "aggregateid"}),
        json!({"type": "string", "optional": false, "field": "type"}),
        json!({"type": pick(random, &["string", "string", "bytes", "int32"]), "optional": random.random_bool(0.5), "field": "payload"}),
        json!({"type": "int64", "optional": true, "name": pick(random, &["io.debezium.time.MicroTimestamp", "io.debezium.time.Timestamp"]), "version": 1, "field": "at"}),
        json!({"type": "int32", "optional": false, "field": "version"}),
        json!({"type": "int32", "optional": true, "default": 3, "field": "part"}),
    ];
    if random.random_bool(0.1) {
        fields.remove(random.random_range(0..fields.len()));
    }
    json!({"type": "struct", "name": "shop.public.outbox.Value", "fields": fields})
}

fn event_router(random: &mut StdRng) -> Settings {
    let mut settings = Settings::new();
    let mut maybe = |key: &str, values: &[&str]| {
        if random.random_bool(0.25) {
            settings.insert(key.into(), (*pick(random, values)).into());
        }
    };
    maybe(
        "table.fields.additional.placement",
        &["type:header", "type:envelope,version:header:v", "at:envelope:when", "part:partition", "none:header"],
    );
    maybe("table.field.additional.missing", &["error", "ignore"]);
    maybe("table.field.event.timestamp", &["at", "version", "none"]);
    maybe("table.field.event.schema.version", &["version"]);
    maybe("table.op.invalid.behavior", &["warn", "error", "fatal"]);
    maybe("table.field.event.key", &["type", "id"]);
    maybe("route.by.field", &["type"]);
    maybe("route.topic.replacement", &["events.${routedByValue}", "all"]);
    maybe("route.tombstone.on.empty.payload", &["true", "false"]);
    settings
}

fn by_table(random: &mut StdRng) -> Settings {
    let routes = [("(.*)\\.public\\.(.*)", "$1.all"), ("(.*)", "all$0"), ("none", "x"), ("a-1", "")];
    let (regex, replacement) = *pick(random, &routes);
    let mut settings = set([("topic.regex", regex), ("topic.replacement", replacement)]);
    let mut maybe = |key: &str, values: &[&str]| {
        if random.random_bool(0.3) {
            settings.insert(key.into(), (*pick(random, values)).into());
        }
    };
    maybe("key.enforce.uniqueness", &["true", "false"]);
    maybe("key.field.name", &["table", NAMES[0]]);
    maybe("schema.name.adjustment.mode", &["none", "avro", "avro_unicode"]);
    if random.random_bool(0.3) {
        settings.insert("key.field.regex".into(), "(.*)\\.(.*)".into());
        settings.insert("key.field.replacement".into(), "t-$2".into());
    }
    settings
}
