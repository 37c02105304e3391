//! The framework's part of a connector's configuration, parsed once at the edge. Names and defaults are Kafka Connect's;
//! what Connect does not know has a name of our own beside them.
//!
//! The checker of `config` has already refused what is malformed, so a value that does not parse here is a fault of the plan.

use std::str::FromStr;
use std::time::Duration;

use towpath_log::Compression;
use towpath_model::Config;

use crate::config::Limits;

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {reason}")]
pub(crate) struct SettingError {
    pub(crate) key: String,
    pub(crate) reason: String,
}

/// Records that are set apart, where the configuration does not say how many may be.
const DEFERRED_MAX: usize = 10_000;

type Result<T> = std::result::Result<T, SettingError>;

/// `errors.tolerance`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) enum Tolerance {
    /// The first refused record fails the task.
    #[default]
    None,
    /// Refused records go to the dead letter queue or are skipped, and are counted.
    All,
}

/// `errors.*`.
#[derive(Clone, Debug)]
pub(crate) struct ErrorSettings {
    pub(crate) tolerance: Tolerance,
    /// How long converters and transforms are tried again; none is for ever.
    pub(crate) retry_timeout: Option<Duration>,
    pub(crate) log: bool,
    pub(crate) dead_letter_topic: Option<String>,
    pub(crate) dead_letter_headers: bool,
}

/// How calls that failed in a way that may pass are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RetrySettings {
    pub(crate) delay: Duration,
    pub(crate) delay_max: Duration,
    /// How many repetitions; none is without end.
    pub(crate) retries_max: Option<u32>,
}

/// Bounds of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchSettings {
    pub(crate) records: u32,
    pub(crate) bytes: u32,
    /// How long a sink's batch that is not full waits for more.
    pub(crate) age: Duration,
}

/// How fast a task may go, a second; none is as fast as it can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RateSettings {
    pub(crate) records: Option<u32>,
    pub(crate) bytes: Option<u32>,
}

/// What is seen together of what a source writes: `transaction.boundary`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The records of a poll.
    Poll,
    /// Those of so long a time, or less of it where memory for them is used up.
    Interval(Duration),
    /// Those of a transaction of the source, however large.
    Connector,
}

/// Where to read when there is no offset, or none that the log still holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reset {
    Earliest,
    Latest,
    Fail,
}

/// What every task needs to know.
#[derive(Clone, Debug)]
pub(crate) struct TaskSettings {
    pub(crate) errors: ErrorSettings,
    pub(crate) retry: RetrySettings,
    pub(crate) batch: BatchSettings,
    pub(crate) rate: RateSettings,
    pub(crate) compression: Compression,
    pub(crate) boundary: Boundary,
}

/// What a sink needs to know beside.
#[derive(Clone, Debug)]
pub(crate) struct SinkSettings {
    pub(crate) topics: TopicSelection,
    pub(crate) start: Reset,
    pub(crate) out_of_range: Reset,
    pub(crate) commit_interval: Duration,
    /// How many records may be set apart to be put again later; none where the others wait for them.
    pub(crate) defers: Option<usize>,
}

/// `topics` or `topics.regex`.
#[derive(Clone, Debug)]
pub(crate) enum TopicSelection {
    Named(Vec<String>),
    Matching(regex::Regex),
}

impl TopicSelection {
    pub(crate) fn new(config: &Config) -> Result<Self> {
        let named: Vec<String> = config.list("topics").map(str::to_owned).collect();
        match config.get("topics.regex") {
            Some(pattern) if named.is_empty() => {
                // Kafka matches the whole name.
                let pattern = regex::Regex::new(&format!("^(?:{pattern})$"));
                Ok(Self::Matching(pattern.map_err(|error| fault("topics.regex", pattern_fault(&error)))?))
            }
            None if !named.is_empty() => Ok(Self::Named(named)),
            _ => Err(fault("topics", "Must configure one of topics or topics.regex")),
        }
    }

    pub(crate) fn selects(&self, topic: &str) -> bool {
        match self {
            Self::Named(names) => names.iter().any(|name| name == topic),
            Self::Matching(pattern) => pattern.is_match(topic),
        }
    }
}

impl TaskSettings {
    pub(crate) fn new(config: &Config, limits: &Limits) -> Result<Self> {
        let tolerance = match config.get("errors.tolerance").unwrap_or("none") {
            "none" => Tolerance::None,
            "all" => Tolerance::All,
            _ => return Err(fault("errors.tolerance", "String must be one of: none, all")),
        };
        let retry_timeout = match number::<i64>(config, "errors.retry.timeout")?.unwrap_or(0) {
            ..0 => None,
            millis => Some(Duration::from_millis(millis.unsigned_abs())),
        };
        let dead_letter_topic = config.get("errors.deadletterqueue.topic.name").filter(|name| !name.is_empty());
        let errors = ErrorSettings {
            tolerance,
            retry_timeout,
            log: flag(config, "errors.log.enable")?,
            dead_letter_topic: dead_letter_topic.map(str::to_owned),
            dead_letter_headers: flag(config, "errors.deadletterqueue.context.headers.enable")?,
        };
        let delay_max = millis(config, "errors.retry.delay.max.ms")?.unwrap_or(Duration::from_secs(60));
        let delay = millis(config, "retry.backoff.ms")?.unwrap_or(Duration::from_millis(300)).min(delay_max);
        let retry = RetrySettings { delay, delay_max, retries_max: number(config, "max.retries")? };
        let rate =
            RateSettings { records: rate(config, "rate.limit.records")?, bytes: rate(config, "rate.limit.bytes")? };
        let batch = BatchSettings {
            records: number(config, "consumer.override.max.poll.records")?
                .or(number(config, "batch.max.records")?)
                .unwrap_or(limits.batch_records)
                .clamp(1, rate.records.unwrap_or(u32::MAX)),
            bytes: number(config, "consumer.override.fetch.max.bytes")?
                .or(number(config, "batch.max.bytes")?)
                .unwrap_or(limits.batch_bytes)
                .clamp(1, rate.bytes.unwrap_or(u32::MAX)),
            age: millis(config, "batch.linger.ms")?.unwrap_or_default(),
        };
        let (compression, boundary) = (compression(config)?, boundary(config, limits)?);
        Ok(Self { errors, retry, batch, rate, compression, boundary })
    }
}

impl SinkSettings {
    pub(crate) fn new(config: &Config, limits: &Limits) -> Result<Self> {
        let topics = TopicSelection::new(config)?;
        let configured = reset(config, "consumer.override.auto.offset.reset")?;
        Ok(Self {
            topics,
            start: configured.unwrap_or(Reset::Earliest),
            out_of_range: reset(config, "offset.out.of.range")?.unwrap_or(Reset::Fail),
            commit_interval: millis(config, "offset.flush.interval.ms")?.unwrap_or(limits.offset_commit_interval),
            defers: match config.get("errors.retry.mode").unwrap_or("block") {
                "block" => None,
                "defer" => Some(number(config, "errors.retry.deferred.max")?.unwrap_or(DEFERRED_MAX)),
                _ => return Err(fault("errors.retry.mode", "String must be one of: block, defer")),
            },
        })
    }
}

/// `tasks.max`.
pub(crate) fn tasks_max(config: &Config) -> Result<u32> {
    Ok(number(config, "tasks.max")?.unwrap_or(1).max(1))
}

/// Events repeat themselves so much that compressing them costs less than writing them out twice, to journal and segment.
fn compression(config: &Config) -> Result<Compression> {
    const KEY: &str = "producer.override.compression.type";
    Ok(match config.get(KEY).unwrap_or("zstd") {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return Err(fault(KEY, "String must be one of: none, gzip, snappy, lz4, zstd")),
    })
}

fn boundary(config: &Config, limits: &Limits) -> Result<Boundary> {
    const KEY: &str = "transaction.boundary";
    let interval = millis(config, "transaction.boundary.interval.ms")?.unwrap_or(limits.offset_commit_interval);
    Ok(match config.get(KEY).unwrap_or("poll").to_ascii_lowercase().as_str() {
        "poll" => Boundary::Poll,
        "interval" => Boundary::Interval(interval),
        "connector" => Boundary::Connector,
        _ => return Err(fault(KEY, "String must be one of (case insensitive): POLL, CONNECTOR, INTERVAL")),
    })
}

fn reset(config: &Config, key: &'static str) -> Result<Option<Reset>> {
    Ok(Some(match config.get(key) {
        None => return Ok(None),
        Some("earliest") => Reset::Earliest,
        Some("latest") => Reset::Latest,
        Some("none" | "fail") => Reset::Fail,
        Some(_) => return Err(fault(key, "String must be one of: earliest, latest, none")),
    }))
}

fn rate(config: &Config, key: &'static str) -> Result<Option<u32>> {
    match number(config, key)? {
        Some(0) => Err(fault(key, "Value must be at least 1")),
        rate => Ok(rate),
    }
}

fn flag(config: &Config, key: &'static str) -> Result<bool> {
    match config.get(key) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("true") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("false") => Ok(false),
        Some(_) => Err(fault(key, "Expected value to be either true or false")),
    }
}

fn number<T: FromStr>(config: &Config, key: &'static str) -> Result<Option<T>> {
    let Some(text) = config.get(key).filter(|text| !text.is_empty()) else { return Ok(None) };
    text.trim().parse().map(Some).map_err(|_| fault(key, "Not a number that fits"))
}

fn millis(config: &Config, key: &'static str) -> Result<Option<Duration>> {
    Ok(number::<u64>(config, key)?.map(Duration::from_millis))
}

/// What is wrong with a regular expression, in one line.
pub(crate) fn pattern_fault(error: &regex::Error) -> String {
    let text = error.to_string();
    let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
    format!("it is no regular expression: {reason}")
}

fn fault(key: &'static str, reason: impl Into<String>) -> SettingError {
    SettingError { key: key.into(), reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        settings.iter().copied().collect()
    }

    #[test]
    fn defaults_are_connects() {
        let settings = TaskSettings::new(&config(&[]), &Limits::default()).expect("sound");
        assert_eq!(settings.errors.tolerance, Tolerance::None);
        assert_eq!(settings.errors.retry_timeout, Some(Duration::ZERO));
        assert_eq!(settings.retry.delay_max, Duration::from_secs(60));
        assert_eq!(settings.retry.retries_max, None);
        assert_eq!(tasks_max(&config(&[])), Ok(1));
        assert_eq!(settings.compression, Compression::Zstd, "but for this one: the log is on this machine");
    }

    #[test]
    fn what_is_seen_together_is_chosen_as_in_connect() {
        let boundary = |settings: &[(&str, &str)]| {
            TaskSettings::new(&config(settings), &Limits::default()).expect("sound").boundary
        };
        assert_eq!(boundary(&[]), Boundary::Poll);
        assert_eq!(boundary(&[("transaction.boundary", "CONNECTOR")]), Boundary::Connector);
        let interval = [("transaction.boundary", "interval"), ("transaction.boundary.interval.ms", "250")];
        assert_eq!(boundary(&interval), Boundary::Interval(Duration::from_millis(250)));
        assert_eq!(boundary(&interval[..1]), Boundary::Interval(Limits::default().offset_commit_interval));
    }

    #[test]
    fn a_negative_retry_timeout_is_for_ever() {
        let settings =
            TaskSettings::new(&config(&[("errors.retry.timeout", "-1")]), &Limits::default()).expect("sound");
        assert_eq!(settings.errors.retry_timeout, None);
    }

    #[test]
    fn a_topic_pattern_matches_whole_names() {
        let settings =
            SinkSettings::new(&config(&[("topics.regex", "shop\\..*|audit")]), &Limits::default()).expect("sound");
        let selected = ["shop.orders", "audit", "audits", "my.shop.orders"].map(|topic| settings.topics.selects(topic));
        assert_eq!(selected, [true, true, false, false]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let refused = |settings: &[(&str, &str)]| {
            let config = config(settings);
            let task = TaskSettings::new(&config, &Limits::default()).err();
            task.or(SinkSettings::new(&config, &Limits::default()).err()).expect("refused").key
        };
        assert_eq!(refused(&[("errors.tolerance", "some")]), "errors.tolerance");
        assert_eq!(refused(&[("retry.backoff.ms", "soon")]), "retry.backoff.ms");
        assert_eq!(refused(&[("rate.limit.bytes", "0")]), "rate.limit.bytes");
        assert_eq!(refused(&[("transaction.boundary", "commit")]), "transaction.boundary");
        assert_eq!(refused(&[("topics", "a"), ("topics.regex", "b")]), "topics");
        assert_eq!(refused(&[("topics.regex", "(")]), "topics.regex");
        assert_eq!(refused(&[]), "topics");
    }
}
