//! The checkpoint: up to which sequence of the journal the segments hold everything, and what they consist of.
//!
//! It is the manifest that recovery starts from. Bytes of a segment beyond those listed here, and segments not listed,
//! were never part of the log. Committed offsets of groups are repeated here, so that recovery never reads a whole topic.

use std::path::Path;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::durable_file::DurableFile;
use crate::error::Error;
use crate::producers::ProducerPoint;
use crate::vfs::Vfs;

/// The state of all segments at a sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The run of the engine whose frames follow.
    pub(crate) epoch: u64,
    /// Frames up to this one are in segments.
    pub(crate) sequence: u64,
    /// Whether the engine was closed after this checkpoint, so that no frame follows.
    pub(crate) clean: bool,
    /// The partitions that ever held a record.
    pub(crate) partitions: Vec<PartitionPoint>,
    /// The committed offsets of groups.
    pub(crate) groups: Vec<GroupPoint>,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartitionPoint {
    topic: String,
    pub(crate) partition: i32,
    pub(crate) log_start: i64,
    pub(crate) end: i64,
    /// Compaction has seen everything before this.
    #[serde(default)]
    pub(crate) cleaned: i64,
    pub(crate) segments: Vec<SegmentPoint>,
    /// What its idempotent producers sent last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) producers: Vec<ProducerPoint>,
}

/// The offsets that bound what a partition's segments hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    pub(crate) log_start: i64,
    pub(crate) end: i64,
    pub(crate) cleaned: i64,
}

/// One segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentPoint {
    pub(crate) base: i64,
    pub(crate) bytes: u64,
    pub(crate) first_timestamp: i64,
    pub(crate) max_timestamp: i64,
    /// Whether its files may still bear the name under which compaction wrote them.
    #[serde(default)]
    pub(crate) swapping: bool,
}

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupPoint {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) metadata: String,
    pub(crate) committed_ms: i64,
}

impl PartitionPoint {
    pub(crate) fn new(topic: Uuid, partition: i32, bounds: Bounds, segments: Vec<SegmentPoint>) -> Self {
        let Bounds { log_start, end, cleaned } = bounds;
        Self { topic: topic.to_string(), partition, log_start, end, cleaned, segments, producers: Vec::new() }
    }

    pub(crate) fn topic(&self) -> Result<Uuid, Error> {
        self.topic.parse().map_err(|_| Error::corrupt("checkpoint", format!("{} is no topic id", self.topic)))
    }
}

impl Checkpoint {
    pub(crate) fn read(vfs: &dyn Vfs, dir: &Path) -> Result<Option<Self>, Error> {
        file(dir).read(vfs)
    }

    pub(crate) fn write(&self, vfs: &dyn Vfs, dir: &Path) -> Result<(), Error> {
        file(dir).write(vfs, self)
    }
}

fn file(dir: &Path) -> DurableFile<'_> {
    DurableFile { dir, name: "checkpoint" }
}
