//! What is seen of records on both paths, and that seeing changes nothing.

use std::collections::HashMap;

use futures::executor::block_on;
use serde_json::{Value, json};
use towpath_model::datum::{write_bytes, write_long};
use towpath_model::{Batch, BatchBuilder, Config, Encoding, Form, Run};

use super::{Outcome, Passage, Station, Watched};
use crate::{Converted, SinkPath, SourcePath, Unconnected, read_lines};

const ROW: &str = r#"{"type":"struct","fields":[{"type":"int32","optional":false,"field":"id"},{"type":"string","optional":false,"field":"name"}],"optional":false,"name":"shop.Row"}"#;

/// Rows `(id, name)` as a source gives them.
fn rows(rows: &[(i64, &str)]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("shop.orders");
    let value = Form::connect(builder.schema(ROW));
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value });
    for (id, name) in rows {
        let mut datum = Vec::new();
        write_long(&mut datum, *id);
        write_bytes(&mut datum, name.as_bytes());
        builder.key(None);
        builder.value(Some(&datum));
        builder.end(Some(7), None);
    }
    builder.build()
}

fn config(settings: &[(&str, &str)]) -> Config {
    settings.iter().copied().collect()
}

fn source(settings: &[(&str, &str)], batch: &Batch, watched: &[u32]) -> (Converted, Vec<Passage>) {
    let path = || SourcePath::new(&config(settings), HashMap::new(), &Unconnected).expect("a path");
    let unwatched = block_on(path().convert(batch)).expect("converted");
    let mut watched = Watched::new(watched.iter().copied());
    let converted = block_on(path().convert_watched(batch, Some(&mut watched))).expect("converted");
    assert_eq!(format!("{converted:?}"), format!("{unwatched:?}"), "watching changes something");
    (converted, watched.into_passages())
}

/// Step by step: its name, whether it was applied, topic and value of each record, the code of its failure.
fn told(passage: &Passage) -> Vec<Value> {
    let stop = |stop: &super::Stop| {
        let name = match &stop.station {
            Station::Transform { name, class } => format!("{name}: {class}"),
            other => format!("{other:?}"),
        };
        let records: Vec<_> = stop.records.iter().map(|record| json!([&*record.topic, record.value.shown()])).collect();
        json!([name, stop.applied, records, stop.failure.as_ref().map(|failure| failure.code.as_str())])
    };
    passage.stops.iter().map(stop).collect()
}

#[test]
fn each_step_of_a_source_shows_what_it_made_of_a_record() {
    let settings = [
        ("transforms", "route,mask"),
        ("transforms.route.type", "RegexRouter"),
        ("transforms.route.regex", r"shop\.(.*)"),
        ("transforms.route.replacement", "$1"),
        ("transforms.mask.type", "MaskField$Value"),
        ("transforms.mask.fields", "name"),
        ("transforms.mask.predicate", "other"),
        ("predicates", "other"),
        ("predicates.other.type", "TopicNameMatches"),
        ("predicates.other.pattern", "nothing"),
    ];
    let (_, passages) = source(&settings, &rows(&[(1, "ann"), (2, "bob")]), &[1]);
    let row = json!(r#"{"id":2,"name":"bob"}"#);
    let expected = [
        json!(["Source", true, [["shop.orders", row]], null]),
        json!(["route: RegexRouter", true, [["orders", row]], null]),
        json!(["mask: MaskField$Value", false, [["orders", row]], null]),
        json!(["Converter", true, [["orders", row]], null]),
    ];
    assert_eq!(told(&passages[0]), expected);
    assert_eq!((passages.len(), passages[0].outcome()), (1, Outcome::Passed));
    let schema = |at: usize| passages[0].stops[at].records[0].value.schema_name();
    assert_eq!((schema(0).as_deref(), schema(3)), (Some("shop.Row"), None));
}

#[test]
fn a_record_that_ends_shows_the_step_and_why() {
    let settings = [
        ("transforms", "drop,cast,late"),
        ("transforms.drop.type", "io.debezium.transforms.Filter"),
        ("transforms.drop.language", "cel"),
        ("transforms.drop.condition", "value.id != 2"),
        ("transforms.cast.type", "Cast$Value"),
        ("transforms.cast.spec", "name:int32"),
        ("transforms.late.type", "RegexRouter"),
        ("transforms.late.regex", ".*"),
        ("transforms.late.replacement", "end"),
    ];
    let (converted, passages) = source(&settings, &rows(&[(1, "7"), (2, "8"), (3, "x")]), &[0, 1, 2]);
    assert_eq!((converted.filtered, converted.failures.len()), (1, 1));
    let outcomes: Vec<_> = passages.iter().map(Passage::outcome).collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::Filtered, Outcome::Failed]);
    assert_eq!(told(&passages[0]).last(), Some(&json!(["Converter", true, [["end", r#"{"id":1,"name":7}"#]], null])));
    assert_eq!(told(&passages[1])[1..], [json!(["drop: io.debezium.transforms.Filter", true, [], null])]);
    assert_eq!(told(&passages[2])[2..], [json!(["cast: Cast$Value", true, [], "convert.transform"])]);
    let failure = passages[2].stops.last().and_then(|stop| stop.failure.as_ref()).expect("a failure");
    assert_eq!(failure, &converted.failures[0]);
}

#[test]
fn a_predicate_that_lets_some_through_is_told_of_each() {
    let settings = [
        ("transforms", "drop"),
        ("transforms.drop.type", "Filter"),
        ("transforms.drop.predicate", "gone"),
        ("predicates", "gone"),
        ("predicates.gone.type", "RecordIsTombstone"),
    ];
    let lines = "{\"topic\":\"t\",\"value\":1}\n{\"topic\":\"t\"}\n";
    let batch = read_lines(lines).expect("records");
    let (_, passages) = source(&settings, &batch, &[0, 1]);
    assert_eq!(told(&passages[0])[1], json!(["drop: Filter", false, [["t", "1"]], null]));
    assert_eq!(told(&passages[1])[1], json!(["drop: Filter", true, [], null]));
}

#[test]
fn a_sink_is_shown_from_the_log_to_what_it_is_given() {
    let settings = [
        ("value.converter", "json"),
        ("value.converter.schemas.enable", "true"),
        ("transforms", "pick"),
        ("transforms.pick.type", "ExtractField$Value"),
        ("transforms.pick.field", "id"),
    ];
    let envelope = format!(r#"{{"schema":{ROW},"payload":{{"id":5,"name":"eve"}}}}"#);
    let lines = format!("{}\n{}\n", json!({"topic": "t", "value": envelope}), json!({"topic": "t", "value": "no"}));
    let batch = read_lines(&lines).expect("records");
    let mut path = SinkPath::new(&config(&settings), &[Encoding::Json], HashMap::new(), &Unconnected).expect("a path");
    let mut watched = Watched::new([0, 1]);
    block_on(path.convert_watched(&batch, Some(&mut watched))).expect("converted");
    let passages = watched.into_passages();
    let expected = [
        json!(["Log", true, [["t", envelope]], null]),
        json!(["Converter", true, [["t", r#"{"id":5,"name":"eve"}"#]], null]),
        json!(["pick: ExtractField$Value", true, [["t", "5"]], null]),
        json!(["Sink", true, [["t", "5"]], null]),
    ];
    assert_eq!(told(&passages[0]), expected);
    assert_eq!(told(&passages[1])[1..], [json!(["Converter", true, [], "convert.json"])]);
}

#[test]
fn bytes_that_are_no_text_are_shown_in_base64() {
    let line = r#"{"topic":"t","key":{"base64":"/w=="},"value":"x","headers":[{"key":"h","value":"v"}]}"#;
    let batch = read_lines(line).expect("a record");
    let (_, passages) = source(&[("key.converter", "bytes"), ("value.converter", "string")], &batch, &[0]);
    let last = &passages[0].stops.last().expect("steps").records[0];
    assert_eq!((last.key.shown(), last.value.shown()), (json!({"base64": "/w=="}), json!("x")));
    assert_eq!(
        last.headers.iter().map(|(name, value)| (&**name, value.shown())).collect::<Vec<_>>(),
        [("h", json!("v"))]
    );
}
