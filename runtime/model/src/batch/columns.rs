//! The shape itself: one arena, flat lists, dictionaries. Field by field as in `wit/records.wit`, with nothing promised until
//! it is checked: columns come from guests, and a list that lies must be found here and nowhere later.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How the bytes of a payload are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Opaque bytes.
    Bytes,
    /// One JSON document in UTF-8.
    Json,
    /// A datum in Avro's binary encoding under a Connect schema.
    Connect,
}

/// An encoding and, for [`Encoding::Connect`], the index of its schema in the batch's dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The encoding.
    pub encoding: Encoding,
    /// The schema's index.
    pub schema: Option<u32>,
}

impl Form {
    /// Opaque bytes.
    pub const BYTES: Self = Self { encoding: Encoding::Bytes, schema: None };
    /// A JSON document.
    pub const JSON: Self = Self { encoding: Encoding::Json, schema: None };

    /// A datum under the schema with this index.
    pub const fn connect(schema: u32) -> Self {
        Self { encoding: Encoding::Connect, schema: Some(schema) }
    }
}

/// A header that every record of the batch carries, ahead of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonHeader {
    /// Its name.
    pub name: Arc<str>,
    /// How its value is to be read.
    pub form: Form,
    /// Its value.
    pub value: Option<Bytes>,
}

/// A stretch of neighbouring records that share topic, partition and forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many records.
    pub records: u32,
    /// Index of the topic.
    pub topic: u32,
    /// Index of the topic they were read from, before transforms renamed it. Equal to `topic` for sources.
    pub origin: u32,
    /// The partition, or -1 to let the key decide.
    pub partition: i32,
    /// The form of the keys.
    pub key: Form,
    /// The form of the values.
    pub value: Form,
}

/// Columns with nothing promised, as they come from outside. Field by field as in `wit/records.wit`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Columns {
    pub topics: Vec<Arc<str>>,
    pub schemas: Vec<Arc<str>>,
    pub header_names: Vec<Arc<str>>,
    pub common_headers: Vec<CommonHeader>,
    pub runs: Vec<Run>,
    pub arena: Bytes,
    pub key_lengths: Vec<i32>,
    pub value_lengths: Vec<i32>,
    pub timestamps: Vec<i64>,
    pub offsets: Vec<i64>,
    pub header_counts: Vec<u32>,
    pub header_keys: Vec<u32>,
    pub header_forms: Vec<Form>,
    pub header_lengths: Vec<i32>,
}

/// Columns that contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch is malformed: {0}")]
pub struct Malformed(&'static str);

impl Columns {
    pub(super) fn check(&self) -> Result<(), Malformed> {
        let records = self.key_lengths.len();
        let same_or_empty = |len: usize| len == 0 || len == records;
        let form_fits = |form: &Form| match (form.encoding, form.schema) {
            (Encoding::Connect, Some(index)) => (index as usize) < self.schemas.len(),
            (Encoding::Connect, None) => false,
            (_, schema) => schema.is_none(),
        };
        let require = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(Malformed(what)) };

        require(self.value_lengths.len() == records, "as many value lengths as key lengths are needed")?;
        require(same_or_empty(self.timestamps.len()), "timestamps must be one a record or none")?;
        require(same_or_empty(self.offsets.len()), "offsets must be one a record or none")?;
        require(same_or_empty(self.header_counts.len()), "header counts must be one a record or none")?;
        let in_runs: u64 = self.runs.iter().map(|run| u64::from(run.records)).sum();
        require(in_runs == records as u64, "the runs do not add up to the number of records")?;
        for run in &self.runs {
            let topics = self.topics.len();
            require((run.topic as usize) < topics && (run.origin as usize) < topics, "a run names an unknown topic")?;
            require(run.partition >= -1, "a run has a partition below -1")?;
            require(form_fits(&run.key) && form_fits(&run.value), "a run names an unknown schema")?;
        }
        let headers: u64 = self.header_counts.iter().map(|count| u64::from(*count)).sum();
        let listed = self.header_keys.len();
        require(headers == listed as u64, "the header counts do not add up to the number of headers")?;
        require(
            self.header_forms.len() == listed && self.header_lengths.len() == listed,
            "header lists differ in length",
        )?;
        require(
            self.header_keys.iter().all(|key| (*key as usize) < self.header_names.len()),
            "a header has an unknown name",
        )?;
        require(self.header_forms.iter().all(form_fits), "a header names an unknown schema")?;
        require(
            self.common_headers.iter().all(|header| form_fits(&header.form)),
            "a common header names an unknown schema",
        )?;
        let lengths = || self.key_lengths.iter().chain(&self.value_lengths).chain(&self.header_lengths);
        require(lengths().all(|length| *length >= -1), "a length is below -1")?;
        let total: u64 = lengths().map(|length| u64::try_from(*length).unwrap_or(0)).sum();
        require(total == self.arena.len() as u64, "the lengths do not add up to the arena")
    }
}
