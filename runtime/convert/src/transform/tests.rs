//! Components in the chain: what they drop, refuse and multiply is told by the indexes of the batch that was given.

use std::collections::HashMap;

use async_trait::async_trait;
use futures::executor::block_on;
use towpath_model::{Batch, BatchBuilder, Config, ConnectorError, Form, RecordError, Run, Transform, Transformed};

use crate::{Converted, PluginTransform, SourcePath, Stage, Unconnected, plugin_transforms};

/// Reads each value as an order: `drop`, `refuse`, `twice`, anything else passes.
struct Obedient;

#[async_trait]
impl Transform for Obedient {
    async fn apply(&mut self, records: &Batch) -> Result<Transformed, ConnectorError> {
        let order = |order: &'static [u8]| move |record: &towpath_model::Record<'_>| record.value.bytes == Some(order);
        let refused = records.records().filter(order(b"refuse")).map(|record| RecordError {
            index: record.index as u32,
            code: "test.refused".into(),
            reason: "as told".into(),
            retriable: false,
        });
        let refused: Vec<_> = refused.collect();
        if !refused.is_empty() {
            return Err(ConnectorError::Records(refused));
        }
        let mut builder = BatchBuilder::default();
        let mut origins = Vec::new();
        for record in records.records() {
            let copies = match record.value.bytes {
                Some(b"drop") => 0,
                Some(b"twice") => 2,
                _ => 1,
            };
            for _ in 0..copies {
                let run = builder.import_run(&record);
                builder.run(run);
                builder.copy(&record);
                origins.push(record.index as u32);
            }
        }
        Ok(Transformed { records: builder.build(), origins })
    }
}

type Answer = fn(&Batch) -> Result<Transformed, ConnectorError>;

/// Answers with what it was made with.
struct Stubborn(Answer);

#[async_trait]
impl Transform for Stubborn {
    async fn apply(&mut self, records: &Batch) -> Result<Transformed, ConnectorError> {
        (self.0)(records)
    }
}

fn batch(values: &[&str]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("t");
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    for value in values {
        builder.key(None);
        builder.value(Some(value.as_bytes()));
        builder.end(None, None);
    }
    builder.build()
}

fn config() -> Config {
    [
        ("value.converter", "bytes"),
        ("transforms", "route,mine"),
        ("transforms.route.type", "RegexRouter"),
        ("transforms.route.regex", "t"),
        ("transforms.route.replacement", "u"),
        ("transforms.mine.type", "obedient@1.0"),
        ("transforms.mine.option", "x"),
    ]
    .into_iter()
    .collect()
}

fn converted(transform: impl Transform + 'static, values: &[&str]) -> Result<Converted, ConnectorError> {
    let plugins: HashMap<String, Box<dyn Transform>> =
        [("mine".to_owned(), Box::new(transform) as _)].into_iter().collect();
    let mut path = SourcePath::new(&config(), plugins, &Unconnected).expect("a path");
    block_on(path.convert(&batch(values)))
}

#[test]
fn components_are_named_with_their_own_settings() {
    let own = [("option", "x"), ("type", "obedient@1.0")].into_iter().collect();
    let expected = PluginTransform { alias: "mine".into(), class: "obedient@1.0".into(), config: own };
    assert_eq!(plugin_transforms(&config()), Ok(vec![expected]));
}

#[test]
fn what_a_component_does_to_records_is_traced_back() {
    let converted = converted(Obedient, &["a", "refuse", "drop", "twice", "refuse", "b"]).expect("converted");
    assert_eq!(converted.origins, [0, 3, 3, 5]);
    assert_eq!(converted.filtered, 1);
    let failures: Vec<_> =
        converted.failures.iter().map(|failure| (failure.index, failure.stage, failure.code.as_str())).collect();
    assert_eq!(failures, [(1, Stage::Transformation, "test.refused"), (4, Stage::Transformation, "test.refused")]);
    let topics: Vec<_> = converted.records.records().map(|record| record.topic().to_string()).collect();
    assert_eq!(topics, ["u"; 4]);
}

#[test]
fn a_batch_that_is_refused_whole_leaves_nothing() {
    let converted = converted(Obedient, &["refuse"]).expect("converted");
    assert!(converted.records.is_empty() && converted.failures.len() == 1);
}

#[test]
fn components_that_contradict_themselves_end_the_task() {
    let answers: [Answer; 4] = [
        |records| Ok(Transformed { records: records.clone(), origins: vec![] }),
        |records| Ok(Transformed { records: records.clone(), origins: vec![1, 0] }),
        |records| Ok(Transformed { records: records.clone(), origins: vec![0, 7] }),
        |_| {
            Err(ConnectorError::Records(vec![RecordError {
                index: 9,
                code: "x".into(),
                reason: "y".into(),
                retriable: false,
            }]))
        },
    ];
    for answer in answers {
        let error = converted(Stubborn(answer), &["a", "b"]).expect_err("it is unsound");
        assert!(matches!(error, ConnectorError::Fatal { .. }), "{error}");
    }
    let passing = converted(Stubborn(|_| Err(ConnectorError::retriable("later"))), &["a"]).expect_err("an error");
    assert!(matches!(passing, ConnectorError::Retriable { .. }));
}

/// A sink's records with JSON values and these headers, after a chain.
pub(super) fn chained(settings: &[(&str, &str)], values: &[(&str, &[&str])]) -> Vec<String> {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
    for (offset, (value, headers)) in values.iter().enumerate() {
        builder.key(None);
        builder.value((*value != "null").then_some(value.as_bytes()));
        headers.iter().for_each(|name| builder.header(name, Form::BYTES, Some(b"x")));
        builder.end(Some(0), Some(offset as i64));
    }
    let config: Config = settings.iter().copied().collect();
    let accepts = [towpath_model::Encoding::Json];
    let mut path = crate::SinkPath::new(&config, &accepts, HashMap::new(), &Unconnected).expect("a path");
    let converted = block_on(path.convert(&builder.build())).expect("converted");
    let shown = |record: towpath_model::Record<'_>| {
        let value = record.value.bytes.map_or("null".into(), String::from_utf8_lossy);
        let headers: Vec<_> = record.headers().map(|(name, _)| name.to_string()).collect();
        format!("{}@{} {value} [{}]", record.topic(), record.offset.unwrap_or(-1), headers.join(","))
    };
    let mut all: Vec<_> = converted.records.records().map(shown).collect();
    all.extend(converted.failures.iter().map(|failure| format!("{} failed: {}", failure.index, failure.reason)));
    all.extend((converted.filtered > 0).then(|| format!("{} filtered", converted.filtered)));
    all
}

const RECORDS: [(&str, &[&str]); 4] =
    [(r#"{"a":1}"#, &["audit"]), ("null", &[]), (r#"{"a":2}"#, &["other"]), (r#"{"a":3}"#, &["audit", "other"])];

#[test]
fn transforms_touch_only_the_records_that_their_predicates_choose() {
    let marked = [
        ("transforms", "mark"),
        ("transforms.mark.type", "InsertHeader"),
        ("transforms.mark.header", "seen"),
        ("transforms.mark.value.literal", "1"),
        ("transforms.mark.predicate", "audited"),
        ("predicates", "audited"),
        ("predicates.audited.type", "HasHeaderKey"),
        ("predicates.audited.name", "audit"),
    ];
    assert_eq!(
        chained(&marked, &RECORDS),
        [
            r#"orders@0 {"a":1} [audit,seen]"#,
            "orders@1 null []",
            r#"orders@2 {"a":2} [other]"#,
            r#"orders@3 {"a":3} [audit,other,seen]"#
        ]
    );
    let dropped = [
        ("transforms", "drop"),
        ("transforms.drop.type", "org.apache.kafka.connect.transforms.Filter"),
        ("transforms.drop.predicate", "tombstone"),
        ("predicates", "tombstone"),
        ("predicates.tombstone.type", "org.apache.kafka.connect.transforms.predicates.RecordIsTombstone"),
    ];
    let negated: Vec<_> = dropped.into_iter().chain([("transforms.drop.negate", "true")]).collect();
    assert_eq!(chained(&negated, &RECORDS), ["orders@1 null []", "3 filtered"]);
    assert_eq!(chained(&dropped, &RECORDS).len(), 4);
    let elsewhere = [
        ("transforms", "drop"),
        ("transforms.drop.type", "Filter"),
        ("transforms.drop.predicate", "topic"),
        ("predicates", "topic"),
        ("predicates.topic.type", "TopicNameMatches"),
        ("predicates.topic.pattern", "order"),
    ];
    assert_eq!(chained(&elsewhere, &RECORDS).len(), 4, "a part of the topic matches, the whole does not");
}

#[test]
fn a_record_that_fails_under_a_predicate_fails_alone() {
    let cast = [
        ("transforms", "cast,route"),
        ("transforms.cast.type", "Cast$Value"),
        ("transforms.cast.spec", "a:int8"),
        ("transforms.cast.predicate", "tombstone"),
        ("transforms.cast.negate", "TRUE"),
        ("predicates", "tombstone"),
        ("predicates.tombstone.type", "RecordIsTombstone"),
        ("transforms.route.type", "TimestampRouter"),
    ];
    let records: [(&str, &[&str]); 3] = [(r#"{"a":"x"}"#, &[]), ("null", &[]), (r#"{"a":"7"}"#, &[])];
    assert_eq!(
        chained(&cast, &records),
        [
            "orders-19700101@1 null []",
            r#"orders-19700101@2 {"a":7} []"#,
            "0 failed: field a: a text that is no such number cannot be cast to int8"
        ]
    );
}

#[test]
fn a_condition_that_cannot_be_kept_is_refused_with_its_key() {
    let base = [("transforms", "t"), ("transforms.t.type", "Filter")];
    for (more, key) in [
        (vec![("transforms.t.negate", "true")], "transforms.t.negate"),
        (vec![("transforms.t.predicate", "p")], "transforms.t.predicate"),
        (vec![("transforms.t.predicate", "p"), ("predicates", "p")], "predicates.p.type"),
        (
            vec![("transforms.t.predicate", "p"), ("predicates", "p"), ("predicates.p.type", "Nope")],
            "predicates.p.type",
        ),
        (
            vec![
                ("transforms.t.predicate", "p"),
                ("predicates", "p"),
                ("predicates.p.type", "TopicNameMatches"),
                ("predicates.p.pattern", "("),
            ],
            "predicates.p.pattern",
        ),
    ] {
        let config: Config = base.into_iter().chain(more).collect();
        let error = SourcePath::new(&config, HashMap::new(), &Unconnected).err().expect(key);
        assert_eq!(error.key, key);
    }
}
