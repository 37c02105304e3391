//! What comes out of a path: records, where each came from, and what was filtered or refused on the way.

use towpath_model::Batch;

/// The step at which a record failed, named as Connect names stages in the headers of a dead letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A transform.
    Transformation,
    /// The converter of keys.
    KeyConverter,
    /// The converter of values.
    ValueConverter,
    /// The converter of headers.
    HeaderConverter,
}

impl Stage {
    /// The name in `__connect.errors.stage`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformation => "TRANSFORMATION",
            Self::KeyConverter => "KEY_CONVERTER",
            Self::ValueConverter => "VALUE_CONVERTER",
            Self::HeaderConverter => "HEADER_CONVERTER",
        }
    }
}

/// One record that could not be converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Index of the record in the batch that was given.
    pub index: u32,
    /// Where it failed.
    pub stage: Stage,
    /// A stable code, such as `convert.json`.
    pub code: String,
    /// What is wrong, in a sentence; never the record's contents.
    pub reason: String,
    /// The class that failed, as the configuration names it, for `__connect.errors.class.name`.
    pub class: String,
}

/// A batch after the path. Every record that was given is in `origins`, in `failures`, or counted in `filtered`.
#[derive(Clone, Debug, Default)]
pub struct Converted {
    /// The records that go on.
    pub records: Batch,
    /// For each of them, the index of the record that it was made of; never decreasing.
    pub origins: Vec<u32>,
    /// How many records transforms dropped by a stated rule.
    pub filtered: u64,
    /// The records that failed, sorted by index.
    pub failures: Vec<Failure>,
}
