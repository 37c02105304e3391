//! The schemas, word for word, and a batch that fails in the middle.

use towpath_model::datum::Reader;
use towpath_model::{Config, Schema};

use super::*;
use crate::config::Settings;
use crate::schema::{ColumnFacts, PgType, SharedSchemas, TableFacts, TypeKind, TypeRegistry, datum_to_json};
use crate::wire::{Cell, ReplicaIdentity};

fn table() -> Arc<Table> {
    let mut types = TypeRegistry::default();
    for (oid, name) in [(23, "int4"), (25, "text"), (1700, "numeric")] {
        types.insert(PgType { oid, name: name.into(), kind: TypeKind::Base });
    }
    let column = |name: &str, type_oid, modifier, optional, default: Option<&str>, place| ColumnFacts {
        name: name.into(),
        type_oid,
        modifier,
        optional,
        dimensions: 0,
        default: default.map(Into::into),
        elements_optional: false,
        labels_open: false,
        place,
    };
    let facts = TableFacts {
        oid: 1,
        schema: "public".into(),
        name: "t".into(),
        identity: ReplicaIdentity::Default,
        columns: vec![
            column("id", 23, -1, false, Some("nextval('t_id_seq'::regclass)"), 0),
            column("name", 25, -1, true, Some("'none'::text"), 1),
            column("price", 1700, (10 << 16 | 2) + 4, false, None, 2),
        ],
        key: vec!["id".into()],
        key_deferrable: false,
    };
    let config: Config =
        [("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "shop"), ("topic.prefix", "shop")]
            .into_iter()
            .collect();
    let settings = Settings::parse(&config).expect("valid");
    Arc::new(Table::new(facts, &types, &settings.names, &settings.values))
}

const KEY: &str = r#"{"type":"struct","fields":[{"type":"int32","optional":false,"default":0,"field":"id"}],"optional":false,"name":"shop.public.t.Key"}"#;

const ROW: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"int32","optional":false,"default":0,"field":"id"},"#,
    r#"{"type":"string","optional":true,"default":"none","field":"name"},"#,
    r#"{"type":"bytes","optional":false,"name":"org.apache.kafka.connect.data.Decimal","version":1,"#,
    r#""parameters":{"scale":"2","connect.decimal.precision":"10"},"field":"price"}],"#,
    r#""optional":true,"name":"shop.public.t.Value","field":"#
);

const SOURCE: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"version"},"#,
    r#"{"type":"string","optional":false,"field":"connector"},{"type":"string","optional":false,"field":"name"},"#,
    r#"{"type":"int64","optional":false,"field":"ts_ms"},{"type":"string","optional":true,"name":"io.debezium.data.Enum","#,
    r#""version":1,"parameters":{"allowed":"true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},"#,
    r#""default":"false","field":"snapshot"},{"type":"string","optional":false,"field":"db"},"#,
    r#"{"type":"string","optional":true,"field":"sequence"},{"type":"int64","optional":true,"field":"ts_us"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_ns"},{"type":"string","optional":false,"field":"schema"},"#,
    r#"{"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"txId"},"#,
    r#"{"type":"int64","optional":true,"field":"lsn"},{"type":"int64","optional":true,"field":"xmin"},"#,
    r#"{"type":"string","optional":true,"field":"origin"},{"type":"int64","optional":true,"field":"origin_lsn"}],"#,
    r#""optional":false,"name":"io.debezium.connector.postgresql.Source","version":1,"field":"source"}"#
);

const REST: &str = concat!(
    r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"id"},{"type":"int64","optional":false,"field":"total_order"},"#,
    r#"{"type":"int64","optional":false,"field":"data_collection_order"}],"optional":true,"name":"event.block","version":1,"field":"transaction"},"#,
    r#"{"type":"string","optional":false,"field":"op"},{"type":"int64","optional":true,"field":"ts_ms"},"#,
    r#"{"type":"int64","optional":true,"field":"ts_us"},{"type":"int64","optional":true,"field":"ts_ns"}],"#,
    r#""optional":false,"name":"shop.public.t.Envelope","version":2}"#
);

#[test]
fn schemas_are_those_of_debezium() {
    let table = table();
    assert_eq!(table.key.schema.as_deref(), Some(KEY));
    let expected = format!(r#"{{"type":"struct","fields":[{ROW}"before"}},{ROW}"after"}},{SOURCE},{REST}"#);
    assert_eq!(table.value_schema.as_ref(), expected);
}

fn source() -> Source {
    Source {
        name: "shop".into(),
        database: "db".into(),
        transaction_topic: None,
        schemas: SharedSchemas::new("shop.message".into(), towpath_model::Type::Bytes),
    }
}

fn origin() -> Origin<'static> {
    Origin {
        ts_us: 1_234_567,
        snapshot: "false",
        last_commit: Some(u64::MAX),
        lsn: u64::MAX,
        xid: Some(7),
        upstream: Some(("up", Some(9))),
    }
}

fn row(texts: &[&'static str]) -> (Cells, Vec<u8>) {
    let (mut cells, mut bytes) = (Cells::default(), Vec::new());
    for text in texts {
        let start = bytes.len();
        bytes.extend_from_slice(text.as_bytes());
        cells.0.push(if *text == "NULL" { Cell::Null } else { Cell::Text(start..bytes.len()) });
    }
    (cells, bytes)
}

#[test]
fn a_value_that_cannot_be_written_leaves_nothing_behind() {
    let table = table();
    let source = source();
    let mut writer = Writer::new(&source, true, &[]);
    writer.set_now(Moment(1_000_000_007));
    let good = row(&["1", "NULL", "1.50"]);
    let bad = row(&["2", "x", "much"]);
    writer.change(&table, Operation::Create, None, (&good.0, &good.1), &origin()).expect("written");
    let error = writer.change(&table, Operation::Create, None, (&bad.0, &bad.1), &origin()).expect_err("no decimal");
    assert_eq!(error.to_string(), "public.t.price: not a decimal");
    let error = writer.change_key(&table, (&good.0, &good.1), (&bad.0, &bad.1), &origin()).expect_err("no decimal");
    assert!(!error.is_passing());
    writer.delete(&table, (&good.0, &good.1), &origin()).expect("written");
    let batch = writer.finish();
    let values: Vec<_> = batch.records().map(|record| record.value.bytes.is_some()).collect();
    assert_eq!(values, [true, true, false]);
    let schema = Schema::parse(&table.value_schema).expect("a schema");
    let first = batch.records().next().and_then(|record| record.value.bytes).expect("a value");
    let json = datum_to_json(&schema, &mut Reader::new(first)).expect("a datum");
    // A null whose column has a default stands as the default there.
    assert_eq!(json["after"].to_string(), r#"{"id":1,"name":"none","price":"AJY="}"#);
    assert_eq!(json["source"]["sequence"], format!("[\"{0}\",\"{0}\"]", u64::MAX));
    assert_eq!((&json["source"]["origin"], &json["source"]["origin_lsn"]), (&"up".into(), &9.into()));
    assert_eq!((&json["ts_ms"], &json["ts_ns"]), (&1000.into(), &1_000_000_007i64.into()));
}
