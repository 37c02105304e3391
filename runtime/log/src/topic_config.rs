//! Kafka's topic configs: which keys there are, their defaults, and what a value may be.
//!
//! Keys that only matter with several brokers are accepted and change nothing, so tools made for clusters work.

use std::collections::BTreeMap;

use crate::engine::Compression;
use crate::error::Error;

/// The configs of a topic, parsed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TopicSettings {
    pub(crate) retention_ms: Option<i64>,
    pub(crate) retention_bytes: Option<u64>,
    pub(crate) segment_bytes: u64,
    pub(crate) segment_ms: i64,
    pub(crate) delete: bool,
    pub(crate) compact: bool,
    pub(crate) delete_retention_ms: i64,
    pub(crate) min_compaction_lag_ms: i64,
    pub(crate) max_compaction_lag_ms: i64,
    pub(crate) min_cleanable_dirty_ratio: f64,
    /// None keeps what the producer chose.
    pub(crate) compression: Option<Compression>,
    pub(crate) max_message_bytes: usize,
    pub(crate) log_append_time: bool,
    pub(crate) index_interval_bytes: u64,
    /// How far a client's timestamps may lie ahead of the clock …
    pub(crate) timestamp_after_max_ms: i64,
    /// … and behind it.
    pub(crate) timestamp_before_max_ms: i64,
}

#[derive(Clone, Copy)]
enum Rule {
    /// A whole number from the first to the second.
    Number(i64, i64),
    Fraction,
    Boolean,
    OneOf(&'static [&'static str]),
    Policies,
    Any,
}

const MAX_I32: i64 = i32::MAX as i64;

/// Key, default, rule.
const KEYS: &[(&str, &str, Rule)] = &[
    ("cleanup.policy", "delete", Rule::Policies),
    ("compression.gzip.level", "-1", Rule::Number(-1, 9)),
    ("compression.lz4.level", "9", Rule::Number(1, 17)),
    ("compression.type", "producer", Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"])),
    ("compression.zstd.level", "3", Rule::Number(-131_072, 22)),
    ("delete.retention.ms", "86400000", Rule::Number(0, i64::MAX)),
    ("file.delete.delay.ms", "60000", Rule::Number(0, i64::MAX)),
    ("flush.messages", "9223372036854775807", Rule::Number(1, i64::MAX)),
    ("flush.ms", "9223372036854775807", Rule::Number(0, i64::MAX)),
    ("follower.replication.throttled.replicas", "", Rule::Any),
    ("index.interval.bytes", "4096", Rule::Number(0, MAX_I32)),
    ("leader.replication.throttled.replicas", "", Rule::Any),
    ("local.retention.bytes", "-2", Rule::Number(-2, i64::MAX)),
    ("local.retention.ms", "-2", Rule::Number(-2, i64::MAX)),
    ("max.compaction.lag.ms", "9223372036854775807", Rule::Number(1, i64::MAX)),
    ("max.message.bytes", "1048588", Rule::Number(0, MAX_I32)),
    ("message.timestamp.after.max.ms", "3600000", Rule::Number(0, i64::MAX)),
    ("message.timestamp.before.max.ms", "9223372036854775807", Rule::Number(0, i64::MAX)),
    ("message.timestamp.type", "CreateTime", Rule::OneOf(&["CreateTime", "LogAppendTime"])),
    ("min.cleanable.dirty.ratio", "0.5", Rule::Fraction),
    ("min.compaction.lag.ms", "0", Rule::Number(0, i64::MAX)),
    ("min.insync.replicas", "1", Rule::Number(1, MAX_I32)),
    ("preallocate", "false", Rule::Boolean),
    ("remote.log.copy.disable", "false", Rule::Boolean),
    ("remote.log.delete.on.disable", "false", Rule::Boolean),
    ("remote.storage.enable", "false", Rule::Boolean),
    ("retention.bytes", "-1", Rule::Number(-1, i64::MAX)),
    ("retention.ms", "604800000", Rule::Number(-1, i64::MAX)),
    ("segment.bytes", "1073741824", Rule::Number(14, MAX_I32)),
    ("segment.index.bytes", "10485760", Rule::Number(4, MAX_I32)),
    ("segment.jitter.ms", "0", Rule::Number(0, i64::MAX)),
    ("segment.ms", "604800000", Rule::Number(1, i64::MAX)),
    ("unclean.leader.election.enable", "false", Rule::Boolean),
];

/// The configs a topic may have, with their defaults.
pub fn topic_config_defaults() -> impl Iterator<Item = (&'static str, &'static str)> {
    KEYS.iter().map(|(key, default, _)| (*key, *default))
}

impl TopicSettings {
    /// Reads configs; what is not set has Kafka's default.
    pub(crate) fn parse(configs: &BTreeMap<String, String>) -> Result<Self, Error> {
        for (key, value) in configs {
            let (_, _, rule) = KEYS.iter().find(|(known, ..)| known == key).ok_or_else(|| unknown(key, value))?;
            rule.check(value).map_err(|reason| invalid(key, value, reason))?;
        }
        let text = |wanted: &str| {
            let default = KEYS.iter().find(|(key, ..)| *key == wanted).map_or("", |(_, default, _)| default);
            configs.get(wanted).map_or(default, |value| value.trim())
        };
        let number = |key: &str| text(key).parse::<i64>().unwrap_or(i64::MAX);
        let policies = || text("cleanup.policy").split(',').map(str::trim);
        Ok(Self {
            retention_ms: Some(number("retention.ms")).filter(|value| *value >= 0),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            segment_bytes: number("segment.bytes").unsigned_abs(),
            segment_ms: number("segment.ms"),
            delete: policies().any(|policy| policy == "delete"),
            compact: policies().any(|policy| policy == "compact"),
            delete_retention_ms: number("delete.retention.ms"),
            min_compaction_lag_ms: number("min.compaction.lag.ms"),
            max_compaction_lag_ms: number("max.compaction.lag.ms"),
            min_cleanable_dirty_ratio: text("min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
            compression: match text("compression.type") {
                "uncompressed" => Some(Compression::None),
                "gzip" => Some(Compression::Gzip),
                "snappy" => Some(Compression::Snappy),
                "lz4" => Some(Compression::Lz4),
                "zstd" => Some(Compression::Zstd),
                _ => None,
            },
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(usize::MAX),
            log_append_time: text("message.timestamp.type") == "LogAppendTime",
            index_interval_bytes: number("index.interval.bytes").unsigned_abs(),
            timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
            timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
        })
    }
}

impl Rule {
    fn check(self, value: &str) -> Result<(), String> {
        let value = value.trim();
        match self {
            Self::Any => Ok(()),
            Self::Number(least, most) => match value.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(()),
                Ok(_) => Err(format!("it must lie between {least} and {most}")),
                Err(_) => Err("it must be a whole number".into()),
            },
            Self::Fraction => match value.parse::<f64>() {
                Ok(number) if (0.0..=1.0).contains(&number) => Ok(()),
                _ => Err("it must be a number between 0 and 1".into()),
            },
            Self::Boolean => Self::OneOf(&["true", "false"]).check(value),
            Self::OneOf(allowed) if allowed.contains(&value) => Ok(()),
            Self::OneOf(allowed) => Err(format!("it must be one of {}", allowed.join(", "))),
            Self::Policies => {
                let known = |policy: &str| matches!(policy.trim(), "delete" | "compact");
                let sound = value.split(',').all(known);
                if sound { Ok(()) } else { Err("it must be delete, compact, or both separated by a comma".into()) }
            }
        }
    }
}

fn unknown(key: &str, value: &str) -> Error {
    invalid(key, value, "there is no such topic config".into())
}

fn invalid(key: &str, value: &str, reason: String) -> Error {
    Error::InvalidConfig { key: key.into(), value: value.into(), reason }
}

/// Checks a topic's name by Kafka's rules.
///
/// # Errors
/// [`Error::InvalidTopic`].
pub fn check_name(name: &str) -> Result<(), Error> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let reason = match name {
        "" => "it is empty",
        "." | ".." => "it cannot be . or ..",
        _ if name.len() > 249 => "it is longer than 249 characters",
        _ if !name.bytes().all(legal) => "only ASCII letters, digits, '.', '_' and '-' may stand in it",
        _ => return Ok(()),
    };
    Err(Error::InvalidTopic { name: name.into(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str, value: &str) -> Result<TopicSettings, Error> {
        TopicSettings::parse(&BTreeMap::from([(key.to_owned(), value.to_owned())]))
    }

    #[test]
    fn defaults_are_kafkas_and_every_default_is_valid() {
        let all = topic_config_defaults().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let settings = TopicSettings::parse(&all).expect("defaults are valid");
        assert_eq!(settings, TopicSettings::parse(&BTreeMap::new()).expect("nothing is valid"));
        assert_eq!((settings.retention_ms, settings.retention_bytes), (Some(604_800_000), None));
        assert!(settings.delete && !settings.compact);
    }

    #[test]
    fn values_out_of_range_are_refused_and_say_why() {
        for (key, value) in [
            ("retention.ms", "-2"),
            ("retention.ms", "week"),
            ("cleanup.policy", "shred"),
            ("compression.type", "rar"),
            ("retention", "1"),
        ] {
            let error = parse(key, value).expect_err(key);
            assert_eq!(error.code(), "log.invalid_config");
            assert!(error.to_string().contains(key), "{error}");
        }
        assert_eq!(parse("retention.ms", "-1").expect("no limit").retention_ms, None);
        assert!(parse("cleanup.policy", "compact,delete").expect("both").compact);
    }

    #[test]
    fn names_follow_kafkas_rules() {
        assert!(check_name("shop.public.orders_v1-x").is_ok());
        for name in ["", ".", "..", "a b", "a/b", "ä", &"x".repeat(250)] {
            assert!(check_name(name).is_err(), "{name:?} was accepted");
        }
    }
}
