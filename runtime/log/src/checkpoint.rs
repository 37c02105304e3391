//! The checkpoint: up to which sequence of the journal the segments hold everything, and what they consist of.
//!
//! It is the manifest that recovery starts from. Bytes of a segment beyond those listed here, and segments not listed,
//! were never part of the log. Committed offsets of groups and the state of transactional ids are repeated
//! here, so that recovery never reads a whole topic.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::durable_file::DurableFile;
use crate::error::Error;
use crate::producers::ProducerPoint;
use crate::transaction::Transaction;
use crate::vfs::Vfs;

/// The state of all segments at a sequence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Checkpoint {
    /// The run of the engine whose frames follow.
    pub(crate) epoch: u64,
    /// Frames up to this one are in segments.
    pub(crate) sequence: u64,
    /// The leader epoch of what is appended.
    #[serde(default)]
    pub(crate) leader_epoch: i32,
    /// Whether the engine was closed after this checkpoint, so that no frame follows.
    pub(crate) clean: bool,
    /// The partitions that ever held a record.
    pub(crate) partitions: Vec<PartitionPoint>,
    /// The committed offsets of groups.
    pub(crate) groups: Vec<GroupPoint>,
    /// Offsets that open transactions will commit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pending: Vec<PendingPoint>,
    /// The state of transactional ids.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) transactions: BTreeMap<Arc<str>, Transaction>,
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
    /// Its open transactions: producer, first offset.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) open: Vec<(i64, i64)>,
    /// The leader epochs it was written under, each with its first offset.
    #[serde(default)]
    pub(crate) leader_epochs: Vec<(i32, i64)>,
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
    /// Entries of its `.txnindex`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) aborted: u32,
    /// The CRC-32C of these.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(crate) aborted_crc: u32,
}

/// What is left out of a checkpoint because it is so mostly.
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// One committed offset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupPoint {
    pub(crate) group: String,
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) leader_epoch: Option<i32>,
    pub(crate) metadata: String,
    pub(crate) committed_ms: i64,
    /// The offset of the record that committed it.
    #[serde(default)]
    pub(crate) at: i64,
}

/// The offsets of groups that a producer's open transaction holds in one partition of the offsets topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PendingPoint {
    pub(crate) producer_id: i64,
    pub(crate) partition: i32,
    pub(crate) offsets: Vec<GroupPoint>,
}

impl PartitionPoint {
    pub(crate) fn new(topic: Uuid, partition: i32, bounds: Bounds, segments: Vec<SegmentPoint>) -> Self {
        let Bounds { log_start, end, cleaned } = bounds;
        let (producers, open, leader_epochs) = (Vec::new(), Vec::new(), Vec::new());
        let topic = topic.to_string();
        Self { topic, partition, log_start, end, cleaned, segments, producers, open, leader_epochs }
    }

    /// Its segments, each with the first offset behind it.
    pub(crate) fn with_ends(&self) -> impl Iterator<Item = (SegmentPoint, i64)> {
        let ends = self.segments.iter().skip(1).map(|next| next.base).chain([self.end]);
        self.segments.iter().copied().zip(ends)
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
