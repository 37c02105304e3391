//! Both paths from end to end, on batches as connectors and the log give them.

use std::collections::HashMap;

use futures::executor::block_on;
use towpath_model::datum::{write_bytes, write_long};
use towpath_model::{Batch, BatchBuilder, Config, Encoding, Form, Run};

use crate::{Converted, SinkPath, SourcePath, Stage, Unconnected};

const ROW: &str = r#"{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":true,"field":"name"}],"optional":true,"name":"shop.orders.Value"}"#;

fn envelope_schema() -> String {
    let source = r#"{"type":"struct","fields":[{"type":"string","optional":false,"field":"table"},{"type":"int64","optional":true,"field":"lsn"}],"optional":false,"name":"io.debezium.connector.postgresql.Source","field":"source"}"#;
    let row = |name: &str| format!(r#"{},"field":"{name}"}}"#, &ROW[..ROW.len() - 1]);
    format!(
        r#"{{"type":"struct","fields":[{},{},{source},{{"type":"string","optional":false,"field":"op"}}],"optional":false,"name":"shop.orders.Envelope","version":2}}"#,
        row("before"),
        row("after")
    )
}

fn row(out: &mut Vec<u8>, row: Option<(i64, &str)>) {
    write_long(out, i64::from(row.is_some()));
    if let Some((id, name)) = row {
        write_long(out, id);
        write_long(out, 1);
        write_bytes(out, name.as_bytes());
    }
}

fn envelope(before: Option<(i64, &str)>, after: Option<(i64, &str)>, op: &str) -> Vec<u8> {
    let mut out = Vec::new();
    row(&mut out, before);
    row(&mut out, after);
    write_bytes(&mut out, b"orders");
    write_long(&mut out, 1);
    write_long(&mut out, 4711);
    write_bytes(&mut out, op.as_bytes());
    out
}

/// A create, an update, a delete and its tombstone.
fn changes() -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("shop.public.orders");
    let key = Form::connect(builder.schema(r#"{"type":"int32","optional":false}"#));
    let value = Form::connect(builder.schema(&envelope_schema()));
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key, value });
    let values = [
        Some(envelope(None, Some((1, "a")), "c")),
        Some(envelope(None, Some((1, "b\"")), "u")),
        Some(envelope(Some((1, "b")), None, "d")),
        None,
    ];
    for value in values {
        builder.key(Some(&[2]));
        builder.value(value.as_deref());
        builder.end(Some(1_700_000_000_000), None);
    }
    builder.build()
}

fn texts(config: &[(&str, &str)], payloads: &[&[u8]]) -> (Batch, Config) {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    builder.run(Run { records: 0, topic, origin: topic, partition: 3, key: Form::BYTES, value: Form::BYTES });
    for (offset, payload) in payloads.iter().enumerate() {
        builder.key(None);
        builder.value(Some(payload));
        builder.header("h", Form::BYTES, Some(b"text"));
        builder.end(Some(7), Some(offset as i64));
    }
    (builder.build(), config.iter().copied().collect())
}

fn source(config: &[(&str, &str)], batch: &Batch) -> Converted {
    let config: Config = config.iter().copied().collect();
    let mut path = SourcePath::new(&config, HashMap::new(), &Unconnected).expect("a path");
    block_on(path.convert(batch)).expect("converted")
}

fn sink(config: &[(&str, &str)], accepts: &[Encoding], payloads: &[&[u8]]) -> Converted {
    let (batch, config) = texts(config, payloads);
    let mut path = SinkPath::new(&config, accepts, HashMap::new(), &Unconnected).expect("a path");
    block_on(path.convert(&batch)).expect("converted")
}

fn values(converted: &Converted) -> Vec<Option<String>> {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    converted.records.records().map(|record| record.value.bytes.map(text)).collect()
}

fn some(texts: &[&str]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

#[test]
fn envelopes_become_plain_json_by_default() {
    let converted = source(&[], &changes());
    assert_eq!(
        values(&converted)[0].as_deref(),
        Some(r#"{"before":null,"after":{"id":1,"name":"a"},"source":{"table":"orders","lsn":4711},"op":"c"}"#)
    );
    assert_eq!(values(&converted)[3], None);
    assert_eq!(converted.origins, [0, 1, 2, 3]);
    let first = converted.records.records().next().expect("a record");
    assert_eq!((first.key.bytes, first.timestamp), (Some(&b"1"[..]), Some(1_700_000_000_000)));
    assert!(converted.failures.is_empty());
}

#[test]
fn with_schemas_the_payload_stands_in_connects_envelope() {
    let java = "org.apache.kafka.connect.json.JsonConverter";
    let converted = source(&[("key.converter", java), ("value.converter", "json")], &changes());
    let first = converted.records.records().next().expect("a record");
    assert_eq!(first.key.bytes, Some(&br#"{"schema":{"type":"int32","optional":false},"payload":1}"#[..]));
    let converted = source(&[("value.converter.schemas.enable", "true")], &changes());
    let expected = format!(
        r#"{{"schema":{},"payload":{{"before":null,"after":{{"id":1,"name":"a"}},"source":{{"table":"orders","lsn":4711}},"op":"c"}}}}"#,
        envelope_schema()
    );
    assert_eq!(values(&converted)[0].as_deref(), Some(expected.as_str()));
}

#[test]
fn a_datum_that_is_none_fails_alone() {
    let mut columns = changes().into_columns();
    let mut arena = columns.arena.to_vec();
    let last = arena.iter().rposition(|byte| *byte == b'd').expect("the op of the delete");
    arena[last - 1] = 40;
    columns.arena = arena.into();
    let converted = source(&[], &Batch::new(columns).expect("sound"));
    assert_eq!(converted.origins, [0, 1, 3]);
    let [failure] = &converted.failures[..] else { panic!("one failure: {:?}", converted.failures) };
    assert_eq!((failure.index, failure.stage, failure.code.as_str()), (2, Stage::ValueConverter, "convert.datum"));
}

fn unwrap(extra: &[(&str, &str)]) -> Converted {
    let mut config =
        vec![("transforms", "unwrap"), ("transforms.unwrap.type", "io.debezium.transforms.ExtractNewRecordState")];
    config.extend(extra);
    source(&config, &changes())
}

#[test]
fn unwrapping_gives_rows_and_a_null_or_a_tombstone_for_each_delete() {
    for (mode, delete) in [("tombstone", Some("null")), ("delete-to-tombstone", None)] {
        let converted = unwrap(&[("transforms.unwrap.delete.tombstone.handling.mode", mode)]);
        let expected = [Some(r#"{"id":1,"name":"a"}"#), Some(r#"{"id":1,"name":"b\""}"#), delete];
        assert_eq!(values(&converted), expected.map(|text| text.map(str::to_owned)));
        assert_eq!((converted.origins, converted.filtered), (vec![0, 1, 2], 1));
    }
    let with_schema = unwrap(&[("value.converter.schemas.enable", "true")]);
    assert_eq!(values(&with_schema)[2], Some(format!(r#"{{"schema":{ROW},"payload":null}}"#)));
}

#[test]
fn unwrapping_handles_deletes_as_told() {
    let dropped = unwrap(&[("transforms.unwrap.delete.tombstone.handling.mode", "drop")]);
    assert_eq!((dropped.records.len(), dropped.filtered), (2, 2));
    let rewritten = unwrap(&[
        ("transforms.unwrap.delete.tombstone.handling.mode", "rewrite-with-tombstone"),
        ("transforms.unwrap.add.fields", "op,table,source.lsn:position,nowhere"),
        ("transforms.unwrap.add.headers", "op"),
        ("value.converter.schemas.enable", "false"),
    ]);
    let mut expected = some(&[
        r#"{"id":1,"name":"a","__deleted":"false","__op":"c","__table":"orders","__position":4711}"#,
        r#"{"id":1,"name":"b\"","__deleted":"false","__op":"u","__table":"orders","__position":4711}"#,
        r#"{"id":1,"name":"b","__deleted":"true","__op":"d","__table":"orders","__position":4711}"#,
    ]);
    expected.push(None);
    assert_eq!(values(&rewritten), expected);
    let operations: Vec<_> = rewritten
        .records
        .records()
        .map(|record| record.headers().map(|(name, value)| (name.to_string(), value.bytes)).collect::<Vec<_>>())
        .collect();
    assert_eq!(operations[0], [("__op".to_owned(), Some(&b"c"[..]))]);
    assert_eq!(operations[3], [("__op".to_owned(), Some(&b"d"[..]))]);
}

#[test]
fn unwrapped_rows_keep_their_schema_and_are_never_null() {
    let plain = unwrap(&[("value.converter.schemas.enable", "true")]);
    let schema = ROW.replace(r#""optional":true,"name":"shop"#, r#""optional":false,"name":"shop"#);
    let expected = format!(r#"{{"schema":{schema},"payload":{{"id":1,"name":"a"}}}}"#);
    assert_eq!(values(&plain)[0].as_deref(), Some(expected.as_str()));
}

#[test]
fn topics_are_renamed_and_fields_inserted_in_order() {
    let config = [
        ("transforms", "route, mark"),
        ("transforms.route.type", "RegexRouter"),
        ("transforms.route.regex", r"shop\.(?:public)\.(.*)"),
        ("transforms.route.replacement", "$1-v\\$2"),
        ("transforms.mark.type", "org.apache.kafka.connect.transforms.InsertField$Value"),
        ("transforms.mark.static.field", "team!"),
        ("transforms.mark.static.value", "ü"),
        ("transforms.mark.topic.field", "topic"),
        ("transforms.mark.timestamp.field", "at"),
    ];
    let converted = source(&config, &changes());
    let first = converted.records.records().next().expect("a record");
    assert_eq!((first.topic().as_ref(), first.origin().as_ref()), ("orders-v$2", "orders-v$2"));
    let value = values(&converted)[0].clone().expect("a value");
    assert!(value.ends_with(r#""op":"c","topic":"orders-v$2","at":1700000000000,"team":"ü"}"#), "{value}");
    assert_eq!(values(&converted)[3], None);
}

#[test]
fn json_passes_a_sink_as_it_is_and_what_is_no_json_fails_with_its_position() {
    let converted =
        sink(&[], &[Encoding::Json, Encoding::Bytes], &[b"{\"price\": 1.10}", b"{oops", b"{\n \"a\": [1,\n2]\n}"]);
    assert_eq!(values(&converted), some(&["{\"price\": 1.10}", r#"{"a":[1,2]}"#]));
    assert_eq!(converted.origins, [0, 2]);
    let failure = &converted.failures[0];
    assert_eq!((failure.index, failure.code.as_str()), (1, "convert.json"));
    assert_eq!(failure.reason, "not JSON: key must be a string at line 1 column 2");
    let first = converted.records.records().next().expect("a record");
    assert_eq!((first.value.form, first.offset, first.run.partition), (Form::JSON, Some(0), 3));
}

#[test]
fn envelopes_with_schemas_become_what_the_sink_takes() {
    let text = format!(r#"{{"schema":{ROW},"payload":{{"name":null,"id":5}}}}"#);
    let config = [("value.converter.schemas.enable", "true")];
    let bare = sink(&config, &[Encoding::Json], &[text.as_bytes()]);
    assert_eq!(values(&bare), some(&[r#"{"name":null,"id":5}"#]));
    let datum = sink(&config, &[Encoding::Connect, Encoding::Json], &[text.as_bytes(), br#"{"id":5}"#]);
    let record = datum.records.records().next().expect("a record");
    assert_eq!(record.value.bytes, Some(&[2, 10, 0][..]));
    assert_eq!(record.value.form.schema.map(|index| datum.records.schema(index).to_string()), Some(ROW.to_owned()));
    assert!(datum.failures[0].reason.contains("schemas.enable=false"), "{:?}", datum.failures);
}

#[test]
fn a_sink_unwraps_envelopes_of_plain_json_and_keeps_the_topic_it_came_from() {
    let config = [
        ("transforms", "unwrap,route"),
        ("transforms.unwrap.type", "ExtractNewRecordState"),
        ("transforms.unwrap.add.fields", "op,source.lsn"),
        ("transforms.route.type", "RegexRouter"),
        ("transforms.route.regex", "ord(.*)"),
        ("transforms.route.replacement", "$1"),
    ];
    let change = br#"{"before":null,"after":{"id":1.10},"source":{"lsn":9},"op":"c"}"#;
    let converted =
        sink(&config, &[Encoding::Json], &[change, b"{\"other\":1}", b"{\"op\":\"d\",\"source\":{},\"after\":null}"]);
    let mut expected = some(&[r#"{"id":1.10,"__op":"c","__source_lsn":9}"#, r#"{"other":1}"#]);
    expected.push(None);
    assert_eq!(values(&converted), expected);
    let record = converted.records.records().next().expect("a record");
    assert_eq!((record.topic().as_ref(), record.origin().as_ref()), ("ers", "orders"));
}

#[test]
fn texts_and_bytes_become_what_the_sink_takes() {
    let cases = [
        ("string", Encoding::Bytes, "a\"b"),
        ("string", Encoding::Json, r#""a\"b""#),
        ("bytes", Encoding::Bytes, "a\"b"),
        ("bytes", Encoding::Json, r#""YSJi""#),
    ];
    for (converter, accepts, expected) in cases {
        for transforms in ["", "t"] {
            let config = [
                ("value.converter", converter),
                ("transforms", transforms),
                ("transforms.t.type", "RegexRouter"),
                ("transforms.t.regex", "x"),
                ("transforms.t.replacement", "y"),
            ];
            let converted = sink(&config, &[accepts], &[b"a\"b"]);
            assert_eq!(values(&converted), some(&[expected]), "{converter} to {accepts:?}, transforms {transforms:?}");
            let record = converted.records.records().next().expect("a record");
            assert_eq!(record.value.form.encoding, accepts);
            assert_eq!(record.headers().next().map(|(_, header)| header.form.encoding), Some(accepts));
        }
    }
}

#[test]
fn settings_at_fault_name_their_key() {
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("value.converter", "thrift")], "value.converter"),
        (&[("value.converter.schemas.enable", "yes")], "value.converter.schemas.enable"),
        (&[("transforms", "a")], "transforms.a.type"),
        (&[("transforms", "a"), ("transforms.a.type", "Nope")], "transforms.a.type"),
        (
            &[("transforms", "a"), ("transforms.a.type", "RegexRouter"), ("transforms.a.regex", "(")],
            "transforms.a.regex",
        ),
        (&[("transforms", "a"), ("transforms.a.type", "InsertField$Value")], "transforms.a.type"),
        (
            &[
                ("transforms", "a"),
                ("transforms.a.type", "RegexRouter"),
                ("transforms.a.regex", "x"),
                ("transforms.a.replacement", "$1"),
            ],
            "transforms.a.replacement",
        ),
    ];
    for (config, key) in cases {
        let config: Config = config.iter().copied().collect();
        let error = SourcePath::new(&config, HashMap::new(), &Unconnected).err().expect("an error");
        assert_eq!(error.key, key, "{error}");
    }
}
