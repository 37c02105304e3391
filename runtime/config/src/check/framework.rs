//! The keys that every connector has, as Connect defines them, and a few of ours.
//!
//! Names, types, defaults, importance, groups and order are Connect's, because clients show them; the texts are our own.

use towpath_model::{ConfigKey, ConnectorKind, Importance, ValueType, Width};

use Importance::{High, Low, Medium};
use ValueType::{Boolean, Class, Int, List, Long, Short, String as Text};

const COMMON: &str = "Common";
const TRANSFORMS: &str = "Transforms";
const PREDICATES: &str = "Predicates";
const ERRORS: &str = "Error Handling";
const TOPIC_CREATION: &str = "Topic Creation";
const EXACTLY_ONCE: &str = "Exactly Once Support";
const OFFSETS_TOPIC: &str = "offsets.topic";

/// What a key takes.
struct Takes(ValueType, Unless, Importance);

/// What a key is when it is not set.
#[derive(Clone, Copy)]
enum Unless {
    Required,
    Unset,
    Is(&'static str),
}

use Unless::{Is, Required, Unset};

/// The framework's own keys for connectors of this kind, in Connect's order.
pub fn framework_keys(kind: ConnectorKind) -> Vec<ConfigKey> {
    let mut keys = common();
    match kind {
        ConnectorKind::Sink => keys.extend(sink()),
        _ => keys.extend(source()),
    }
    keys
}

fn common() -> Vec<ConfigKey> {
    let plugin_version = "Version of that plugin; the latest when not set.";
    let mut keys = vec![
        key(
            "name",
            Takes(Text, Required, High),
            COMMON,
            Width::Medium,
            "Connector name",
            "Name of the connector, unique in the worker.",
        ),
        key(
            "connector.class",
            Takes(Text, Required, High),
            COMMON,
            Width::Long,
            "Connector class",
            "The plugin: its name, name@version, a path of a .wasm file, or a known Java class.",
        ),
        key(
            "connector.plugin.version",
            Takes(Text, Unset, Medium),
            COMMON,
            Width::Medium,
            "Connector version",
            plugin_version,
        ),
        key(
            "tasks.max",
            Takes(Int, Is("1"), High),
            COMMON,
            Width::Short,
            "Tasks max",
            "The most tasks that the connector is divided into.",
        ),
        key(
            "tasks.max.enforce",
            Takes(Boolean, Is("true"), Low),
            COMMON,
            Width::Short,
            "Enforce tasks max",
            "Whether a connector that plans more tasks than tasks.max is refused.",
        ),
        key(
            "key.converter",
            Takes(Class, Unset, Low),
            COMMON,
            Width::Short,
            "Key converter class",
            "How keys become bytes of the topic and back: json (the default, without schemas), string, bytes, or a Java class.",
        ),
        key(
            "key.converter.plugin.version",
            Takes(Text, Unset, Low),
            COMMON,
            Width::Short,
            "Key converter version",
            plugin_version,
        ),
        key(
            "value.converter",
            Takes(Class, Unset, Low),
            COMMON,
            Width::Short,
            "Value converter class",
            "How values become bytes of the topic and back: json (the default, without schemas), string, bytes, or a Java class.",
        ),
        key(
            "value.converter.plugin.version",
            Takes(Text, Unset, Low),
            COMMON,
            Width::Short,
            "Value converter version",
            plugin_version,
        ),
        key(
            "header.converter",
            Takes(Class, Unset, Low),
            COMMON,
            Width::Short,
            "Header converter class",
            "How values of headers become bytes and back: simple (the default), json, string, bytes, or a Java class.",
        ),
        key(
            "header.converter.plugin.version",
            Takes(Text, Unset, Low),
            COMMON,
            Width::Short,
            "Header converter version",
            plugin_version,
        ),
        key(
            "transforms",
            Takes(List, Is(""), Low),
            TRANSFORMS,
            Width::Long,
            "Transforms",
            "Aliases of the transforms that records pass, in their order.",
        ),
        key(
            "predicates",
            Takes(List, Is(""), Low),
            PREDICATES,
            Width::Long,
            "Predicates",
            "Aliases of predicates that transforms refer to.",
        ),
        key(
            "config.action.reload",
            Takes(Text, Is("restart"), Low),
            COMMON,
            Width::Medium,
            "Reload Action",
            "What happens when a secret that the configuration refers to has changed: restart the connector, or none.",
        ),
        key(
            "errors.retry.timeout",
            Takes(Long, Is("0"), Medium),
            ERRORS,
            Width::Medium,
            "Retry Timeout for Errors",
            "How long in milliseconds a failed conversion or transform is tried again; -1 without end.",
        ),
        key(
            "errors.retry.delay.max.ms",
            Takes(Long, Is("60000"), Medium),
            ERRORS,
            Width::Medium,
            "Maximum Delay Between Retries for Errors",
            "The longest pause between two tries, in milliseconds.",
        ),
        key(
            "errors.tolerance",
            Takes(Text, Is("none"), Medium),
            ERRORS,
            Width::Short,
            "Error Tolerance",
            "none: a record that fails ends the task. all: it is passed over, into the dead letter queue where there is one.",
        ),
        key(
            "errors.log.enable",
            Takes(Boolean, Is("false"), Medium),
            ERRORS,
            Width::Short,
            "Log Errors",
            "Whether each failure is logged, tolerated ones included.",
        ),
        key(
            "errors.log.include.messages",
            Takes(Boolean, Is("false"), Medium),
            ERRORS,
            Width::Short,
            "Log Error Details",
            "Whether the log of a failure names topic, partition and offset of the record.",
        ),
    ];
    number(&mut keys, 0);
    restrict(&mut keys, "config.action.reload", &["none", "restart"]);
    restrict(&mut keys, "errors.tolerance", &["none", "all"]);
    keys
}

fn source() -> Vec<ConfigKey> {
    let mut keys = vec![
        key(
            "topic.creation.groups",
            Takes(List, Is(""), Low),
            TOPIC_CREATION,
            Width::Long,
            "Topic Creation Groups",
            "Groups of topics that are created with settings of their own.",
        ),
        key(
            "exactly.once.support",
            Takes(Text, Is("requested"), Medium),
            EXACTLY_ONCE,
            Width::Short,
            "Exactly once support",
            "required: refuse a connector that cannot write exactly once. requested: do what it can.",
        ),
        key(
            "transaction.boundary",
            Takes(Text, Is("poll"), Medium),
            EXACTLY_ONCE,
            Width::Medium,
            "Transaction Boundary",
            "What is seen together: the records of a poll, those of an interval, or those of a transaction of the source, however large.",
        ),
        key(
            "transaction.boundary.interval.ms",
            Takes(Long, Unset, Low),
            EXACTLY_ONCE,
            Width::Medium,
            "Transaction boundary interval",
            "The interval, in milliseconds; one second when not set. What fills the memory for it is written earlier.",
        ),
        key(
            "offsets.storage.topic",
            Takes(Text, Unset, Low),
            OFFSETS_TOPIC,
            Width::Long,
            "Offsets topic",
            "A topic for a copy of the connector's offsets, written with the worker's and read where that one knows nothing.",
        ),
    ];
    number(&mut keys, 0);
    restrict(&mut keys, "exactly.once.support", &["REQUESTED", "REQUIRED"]);
    restrict(&mut keys, "transaction.boundary", &["POLL", "CONNECTOR", "INTERVAL"]);
    keys
}

fn sink() -> Vec<ConfigKey> {
    let mut keys = vec![
        key("topics", Takes(List, Is(""), High), COMMON, Width::Long, "Topics", "Topics to read, divided by commas."),
        key(
            "topics.regex",
            Takes(Text, Is(""), High),
            COMMON,
            Width::Long,
            "Topics regex",
            "Regular expression for the topics to read; new ones are picked up while running.",
        ),
        key(
            "errors.deadletterqueue.topic.name",
            Takes(Text, Is(""), Medium),
            ERRORS,
            Width::Medium,
            "Dead Letter Queue Topic Name",
            "Topic that takes records which failed; none when empty.",
        ),
        key(
            "errors.deadletterqueue.topic.replication.factor",
            Takes(Short, Is("3"), Medium),
            ERRORS,
            Width::Medium,
            "Dead Letter Queue Topic Replication Factor",
            "Replicas of that topic when it is created on a cluster.",
        ),
        key(
            "errors.deadletterqueue.context.headers.enable",
            Takes(Boolean, Is("false"), Medium),
            ERRORS,
            Width::Medium,
            "Enable Error Context Headers",
            "Whether headers say where and why a record failed.",
        ),
    ];
    for (key, order) in keys.iter_mut().zip([4, 4, 6, 7, 8]) {
        key.order = order;
    }
    keys
}

/// Keys that are ours: checked, and left out of Connect's answers.
pub(crate) fn own_keys(kind: ConnectorKind) -> Vec<ConfigKey> {
    let batch =
        |name: &str, takes: ValueType, doc: &str| key(name, Takes(takes, Unset, Low), COMMON, Width::Short, name, doc);
    let mut keys = vec![
        key(
            "errors.retry.mode",
            Takes(Text, Is("block"), Medium),
            ERRORS,
            Width::Short,
            "Retry mode",
            "block: the partition waits for a record that is tried again. defer, for sinks: the record and what follows of its key are set \
             apart in the topic connect-retries-<name> and put again later, while all others go on.",
        ),
        key(
            "retry.backoff.ms",
            Takes(Long, Is("300"), Medium),
            ERRORS,
            Width::Short,
            "Retry backoff",
            "The first pause before a retry, in milliseconds; it doubles up to errors.retry.delay.max.ms.",
        ),
        key(
            "max.retries",
            Takes(Int, Unset, Medium),
            ERRORS,
            Width::Short,
            "Most retries",
            "How often a call that may succeed later is repeated; without end when not set.",
        ),
        batch("batch.max.records", Int, "The most records that are handled at a time."),
        batch("batch.max.bytes", Int, "The most bytes of records that are handled at a time."),
        batch(
            "rate.limit.records",
            Int,
            "How many records a second a task moves at most; as many as it can when not set.",
        ),
        batch("rate.limit.bytes", Int, "How many bytes of records a second a task moves at most."),
        batch("batch.linger.ms", Long, "How long a batch waits for more records, in milliseconds."),
    ];
    if kind == ConnectorKind::Sink {
        let doc = "How many records may wait under errors.retry.mode=defer before a record of another key blocks; 10000 when not set.";
        keys.push(batch("errors.retry.deferred.max", Int, doc));
        restrict(&mut keys, "errors.retry.mode", &["block", "defer"]);
        keys.push(batch("offset.flush.interval.ms", Long, "How often offsets are committed, in milliseconds."));
        let doc = "Where to read on when the committed offset lies outside the topic: fail, earliest or latest.";
        keys.push(batch("offset.out.of.range", Text, doc));
        restrict(&mut keys, "offset.out.of.range", &["fail", "none", "earliest", "latest"]);
    } else {
        restrict(&mut keys, "errors.retry.mode", &["block"]);
        // Sources have a dead letter queue here, too.
        keys.extend(sink().into_iter().filter(|key| key.name.starts_with("errors.deadletterqueue.")));
    }
    keys
}

fn key(name: &str, takes: Takes, group: &str, width: Width, display_name: &str, doc: &str) -> ConfigKey {
    let Takes(value_type, default, importance) = takes;
    ConfigKey {
        name: name.to_owned(),
        value_type,
        default: match default {
            Is(default) => Some(default.to_owned()),
            Required | Unset => None,
        },
        optional: matches!(default, Unset),
        importance,
        doc: doc.to_owned(),
        group: Some(group.to_owned()),
        order: 0,
        width,
        display_name: display_name.to_owned(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: Vec::new(),
        secret: false,
        endpoint: None,
    }
}

/// Connect counts through all groups.
fn number(keys: &mut [ConfigKey], before: i32) {
    for (key, order) in keys.iter_mut().zip(before + 1..) {
        key.order = order;
    }
}

fn restrict(keys: &mut [ConfigKey], name: &str, valid: &[&str]) {
    for key in keys.iter_mut().filter(|key| key.name == name) {
        key.valid_values = valid.iter().map(|value| (*value).to_owned()).collect();
    }
}
