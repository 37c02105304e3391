//! The settings, parsed once at the edge: afterwards there is no wrong value left.

use towpath_model::{Config, Fault};
use towpath_sdk::object_store::StoreOptions;
use towpath_sdk::settings::Reader;

use crate::spec;

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON document a line.
    Jsonl,
    /// The bytes and a line feed.
    Raw,
}

/// Whether objects are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// They are not.
    None,
    /// With gzip, at a level from 0 to 9 or gzip's own.
    Gzip {
        /// The level.
        level: Option<u32>,
    },
}

/// What becomes of records without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NullValues {
    /// Left out and counted.
    Ignore,
    /// Kept.
    Write,
    /// Refused.
    Fail,
}

/// What the user wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The store.
    pub store: StoreOptions,
    /// The folder that holds a folder for each topic, without slashes at its ends.
    pub topics_dir: String,
    /// How values are written.
    pub format: Format,
    /// Whether objects are compressed.
    pub compression: Compression,
    /// What becomes of records without a value.
    pub null_values: NullValues,
    /// Records in an object.
    pub flush_size: u64,
    /// Milliseconds from an object's first record to its completion.
    pub rotate_interval_ms: Option<i64>,
    /// Multiples of so many milliseconds complete all objects.
    pub rotate_schedule_interval_ms: Option<i64>,
}

impl Settings {
    /// Reads a configuration. Defaults and aliases are those of the spec.
    ///
    /// # Errors
    /// With everything that is wrong with it.
    pub fn parse(config: &Config) -> Result<Self, Vec<Fault>> {
        let mut reader = Reader::new(&spec(), config);
        let settings = Self {
            store: StoreOptions {
                url: url(&mut reader),
                bucket: bucket(&mut reader),
                region: reader.text("s3.region"),
                access_key_key: key_if_set(&reader, "aws.access.key.id"),
                secret_key_key: secret_key(&reader),
                path_style: reader.text("s3.path.style.access.enabled") != "false",
            },
            topics_dir: topics_dir(&mut reader),
            format: match reader.text("format.class").as_str() {
                "raw" | "io.confluent.connect.s3.format.bytearray.ByteArrayFormat" => Format::Raw,
                _ => Format::Jsonl,
            },
            compression: match reader.text("s3.compression.type").as_str() {
                "gzip" => {
                    let level = reader.number("s3.compression.level", -1..=9);
                    Compression::Gzip { level: u32::try_from(level).ok() }
                }
                _ => Compression::None,
            },
            null_values: match reader.text("behavior.on.null.values").as_str() {
                "write" => NullValues::Write,
                "fail" => NullValues::Fail,
                _ => NullValues::Ignore,
            },
            flush_size: u64::try_from(reader.number("flush.size", 1..=i64::MAX)).unwrap_or(1),
            rotate_interval_ms: interval(&mut reader, "rotate.interval.ms"),
            rotate_schedule_interval_ms: interval(&mut reader, "rotate.schedule.interval.ms"),
        };
        reader.finish(settings)
    }

    /// The folder of a topic.
    pub(crate) fn folder(&self, topic: &str) -> String {
        if self.topics_dir.is_empty() { topic.to_owned() } else { format!("{}/{topic}", self.topics_dir) }
    }

    /// How names of objects end.
    pub(crate) fn extension(&self) -> &'static str {
        match (self.format, self.compression) {
            (Format::Jsonl, Compression::None) => "jsonl",
            (Format::Jsonl, Compression::Gzip { .. }) => "jsonl.gz",
            (Format::Raw, Compression::None) => "bin",
            (Format::Raw, Compression::Gzip { .. }) => "bin.gz",
        }
    }

    /// Tells this store and bucket from others.
    pub(crate) fn store_name(&self) -> String {
        format!("{}/{}", self.store.url.as_deref().unwrap_or("s3:").trim_end_matches('/'), self.store.bucket)
    }

    /// Whether an object that was opened then is to be completed now.
    pub(crate) fn is_due(&self, opened_ms: i64, now_ms: i64) -> bool {
        self.due_in_ms(opened_ms, now_ms) == Some(0)
    }

    /// Milliseconds until an object that was opened then is to be completed.
    pub(crate) fn due_in_ms(&self, opened_ms: i64, now_ms: i64) -> Option<u64> {
        let by_age = self.rotate_interval_ms.map(|interval| opened_ms.saturating_add(interval));
        let by_schedule = self
            .rotate_schedule_interval_ms
            .map(|interval| opened_ms.div_euclid(interval).saturating_add(1).saturating_mul(interval));
        let due_ms = by_age.into_iter().chain(by_schedule).min()?;
        Some(u64::try_from(due_ms.saturating_sub(now_ms)).unwrap_or(0))
    }
}

fn key_if_set(reader: &Reader, key: &str) -> Option<String> {
    reader.optional(key).map(|_| key.to_owned())
}

/// The host withholds the secret, so its key is named whenever there is an access key.
fn secret_key(reader: &Reader) -> Option<String> {
    key_if_set(reader, "aws.access.key.id").map(|_| "aws.secret.access.key".to_owned())
}

fn url(reader: &mut Reader) -> Option<String> {
    let url = reader.optional("store.url")?;
    if !["file:///", "http://", "https://", "memory:"].iter().any(|kind| url.starts_with(kind)) {
        reader.fault("store.url", "a store is file:///folder, http(s)://host:port, or memory:");
    }
    Some(url)
}

fn topics_dir(reader: &mut Reader) -> String {
    let folder = reader.text("topics.dir").trim_matches('/').to_owned();
    if !folder.is_empty() && folder.split('/').any(|part| matches!(part, "" | "." | "..")) {
        reader.fault("topics.dir", format!("`{folder}` is not a plain path"));
    }
    folder
}

fn bucket(reader: &mut Reader) -> String {
    let bucket = reader.text("s3.bucket.name");
    if bucket.is_empty() || bucket.contains('/') {
        reader.fault("s3.bucket.name", format!("`{bucket}` is not the name of a bucket"));
    }
    bucket
}

fn interval(reader: &mut Reader, key: &str) -> Option<i64> {
    Some(reader.number(key, -1..=i64::MAX)).filter(|interval| *interval > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(settings: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let config = settings.iter().copied().collect();
        Settings::parse(&config).map_err(|faults| faults.iter().map(|fault| fault.reason.to_string()).collect())
    }

    #[test]
    fn a_bucket_is_enough() {
        let settings = parse(&[("s3.bucket.name", "lake")]).unwrap();
        assert_eq!(settings.folder("orders"), "topics/orders");
        assert_eq!((settings.flush_size, settings.rotate_interval_ms, settings.extension()), (1000, None, "jsonl"));
        assert_eq!(settings.store_name(), "s3:/lake");
        assert_eq!(settings.store.access_key_key, None);
        assert!(settings.store.path_style);
    }

    #[test]
    fn names_and_classes_of_other_sinks_are_understood() {
        let settings = parse(&[
            ("aws.s3.bucket.name", "lake"),
            ("aws.s3.endpoint.url", "http://127.0.0.1:9000"),
            ("aws.access.key.id", "id"),
            ("file.max.records", "7"),
            ("file.compression.type", "gzip"),
            ("format.class", "io.confluent.connect.s3.format.bytearray.ByteArrayFormat"),
            ("topics.dir", "/"),
        ])
        .unwrap();
        assert_eq!((settings.flush_size, settings.extension()), (7, "bin.gz"));
        assert_eq!(settings.folder("orders"), "orders");
        assert_eq!(settings.store.secret_key_key.as_deref(), Some("aws.secret.access.key"));
        assert_eq!(settings.store_name(), "http://127.0.0.1:9000/lake");
    }

    #[test]
    fn all_faults_are_told_at_once() {
        let faults = parse(&[
            ("store.url", "s3://lake"),
            ("topics.dir", "a/../b"),
            ("flush.size", "0"),
            ("rotate.interval.ms", "1m"),
            ("s3.compression.type", "gzip"),
            ("s3.compression.level", "10"),
        ]);
        assert_eq!(
            faults.unwrap_err(),
            [
                "a store is file:///folder, http(s)://host:port, or memory:",
                "`` is not the name of a bucket",
                "`a/../b` is not a plain path",
                "10 is not between -1 and 9",
                "0 is too small; the least is 1",
                "`1m` is not a whole number"
            ]
        );
    }

    #[test]
    fn objects_are_due_by_age_and_by_schedule() {
        let base = parse(&[("s3.bucket.name", "lake")]).unwrap();
        assert_eq!(base.due_in_ms(1000, 9000), None);
        let aged = Settings { rotate_interval_ms: Some(500), ..base.clone() };
        assert_eq!(aged.due_in_ms(1000, 1200), Some(300));
        assert_eq!(aged.due_in_ms(1000, 1500), Some(0));
        let scheduled = Settings { rotate_schedule_interval_ms: Some(3_600_000), ..aged };
        assert_eq!(scheduled.due_in_ms(3_599_900, 3_599_950), Some(50));
        assert_eq!(scheduled.due_in_ms(3_600_000, 3_600_001), Some(499));
    }
}
