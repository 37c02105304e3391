//! Opening a directory: what the checkpoint lists, plus the journal's frames beyond it, is the log. Everything else is rest
//! of something unfinished and goes.
//!
//! ```text
//! meta.properties (format) -> catalog (topics) -> checkpoint (segments, groups) -> journal (frames after it)
//! ```
//! Reading changes nothing, so a stopped directory can be looked at; [`Recovered::clean_up`] is what a writer does next.
//! Invariant 7: whatever instant a crash chose, this finds every acknowledged record or says what is damaged.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use towpath_model::TopicPartition;
use uuid::Uuid;

use crate::aborted::Transactions;
use crate::catalog::Catalog;
use crate::checkpoint::{Checkpoint, PartitionPoint, SegmentPoint};
use crate::config::LogConfig;
use crate::error::Error;
use crate::group::Groups;
use crate::journal::{self, Scan};
use crate::partition::Partition;
use crate::segment::{Rebuilt, SWAP_SUFFIX, aborted_by_batches, aborted_of, file_name, finish_swap, parse_file_name};
use crate::sync::lock;
use crate::topics::DELETE_SUFFIX;
use crate::transaction::{Durable, Ended};
use crate::vfs::{Open, Vfs, read_whole};
use crate::visible::Visible;

/// What a directory holds.
pub(crate) struct Recovered {
    pub(crate) catalog: Catalog,
    pub(crate) checkpoint: Checkpoint,
    pub(crate) partitions: BTreeMap<(Uuid, i32), Arc<Partition>>,
    pub(crate) visible: Visible,
    /// Derived files that were not as they should be.
    pub(crate) rebuilt: Vec<Rebuilt>,
}

/// What is done about commits that are known to have been durable and are no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The log is refused.
    Refused,
    /// They are passed over, and leave gaps between offsets.
    PassedOver,
}

/// The two small files that say what there is.
pub(crate) fn manifests(vfs: &dyn Vfs, dir: &Path) -> Result<(Catalog, Checkpoint), Error> {
    let missing = |name: &str| Error::corrupt(dir.join(name).display(), "the file is missing");
    let catalog = Catalog::read(vfs, dir)?.ok_or_else(|| missing("catalog"))?;
    let checkpoint = Checkpoint::read(vfs, dir)?.ok_or_else(|| missing("checkpoint"))?;
    Ok((catalog, checkpoint))
}

/// Reads a directory.
pub(crate) fn recover(vfs: &dyn Vfs, config: &LogConfig, now_ms: i64, missing: Missing) -> Result<Recovered, Error> {
    let dir = &config.dir;
    let (catalog, mut checkpoint) = manifests(vfs, dir)?;
    let mut rebuilt = Vec::new();
    let partitions = partitions(vfs, dir, &catalog, &mut checkpoint, &mut rebuilt)?;
    let visible = Visible {
        sequence: checkpoint.sequence,
        groups: Groups::restore(&checkpoint.groups, &checkpoint.pending),
        transactions: Durable::restore(&checkpoint.transactions),
    };
    let mut recovered = Recovered { catalog, checkpoint, partitions, visible, rebuilt };
    if !recovered.checkpoint.clean {
        let scan = scan(vfs, dir, &recovered.checkpoint)?;
        let frames = match missing {
            Missing::Refused => scan.finish(&dir.join("journal"))?,
            Missing::PassedOver => scan.salvage().frames,
        };
        for (sequence, frame) in frames {
            recovered.replay(&frame, now_ms, missing)?;
            recovered.visible.sequence = sequence;
        }
    }
    // What ended before is of an earlier run.
    recovered.visible.transactions.ended = Ended::default();
    for partition in recovered.partitions.values() {
        partition.assigned.store(lock(&partition.state).high_watermark, Ordering::Relaxed);
    }
    Ok(recovered)
}

/// The partitions of the catalog's topics, as the checkpoint describes them.
fn partitions(
    vfs: &dyn Vfs,
    dir: &Path,
    catalog: &Catalog,
    checkpoint: &mut Checkpoint,
    rebuilt: &mut Vec<Rebuilt>,
) -> Result<BTreeMap<(Uuid, i32), Arc<Partition>>, Error> {
    let mut points = BTreeMap::new();
    for point in &mut checkpoint.partitions {
        points.insert((point.topic()?, point.partition), point);
    }
    let mut partitions = BTreeMap::new();
    for (name, topic) in &catalog.topics {
        let id = topic.id()?;
        let name: Arc<str> = name.as_str().into();
        for number in 0..topic.partitions {
            let partition_dir = dir.join(format!("{name}-{number}"));
            let tp = TopicPartition::new(name.clone(), number);
            let partition = match points.get_mut(&(id, number)) {
                Some(point) => {
                    for segment in &point.segments {
                        check_segment(vfs, &partition_dir, segment)?;
                    }
                    let build = |point: &PartitionPoint| aborted_by_batches(vfs, &partition_dir, point, topic.gaps);
                    let (aborted, new) = aborted_of(vfs, &partition_dir, point, build)?;
                    for Rebuilt { path, .. } in &new {
                        tracing::warn!(file = %path.display(), "an index was damaged or missing and is built anew");
                    }
                    rebuilt.extend(new);
                    let transactions = Transactions::restore(point.open.iter().copied(), aborted);
                    let partition = Partition::restored(id, tp, partition_dir, point);
                    lock(&partition.state).transactions = transactions;
                    partition
                }
                None => Partition::new(id, tp, partition_dir),
            };
            partitions.insert((id, number), Arc::new(partition));
        }
    }
    Ok(partitions)
}

fn check_segment(vfs: &dyn Vfs, dir: &Path, segment: &SegmentPoint) -> Result<(), Error> {
    let plain = dir.join(file_name(segment.base, "log"));
    let beside = dir.join(file_name(segment.base, "log") + SWAP_SUFFIX);
    let opened = match vfs.open(&beside, Open::Read) {
        Ok(file) if segment.swapping => Ok(file),
        _ => vfs.open(&plain, Open::Read),
    };
    let length = match opened {
        Ok(file) => file.length().map_err(|error| Error::io(format!("reading {}", plain.display()), error))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::corrupt(plain.display(), "the file is missing"));
        }
        Err(error) => return Err(Error::io(format!("opening {}", plain.display()), error)),
    };
    if length < segment.bytes {
        return Err(Error::corrupt(plain.display(), format!("the file has {length} bytes of {}", segment.bytes)));
    }
    Ok(())
}

/// Looks through the journal for what the checkpoint does not cover.
pub(crate) fn scan(vfs: &dyn Vfs, dir: &Path, checkpoint: &Checkpoint) -> Result<Scan, Error> {
    let dir = dir.join("journal");
    let failed = |error| Error::io(format!("reading {}", dir.display()), error);
    let mut scan = Scan::new(checkpoint.epoch, checkpoint.sequence);
    for name in journal::file_names(vfs, &dir).map_err(failed)? {
        let file = vfs.open(&dir.join(&name), Open::Read).map_err(failed)?;
        scan.file(name, read_whole(file.as_ref()).map_err(failed)?);
    }
    Ok(scan)
}

impl Recovered {
    fn replay(&mut self, frame: &Bytes, now_ms: i64, missing: Missing) -> Result<(), Error> {
        let damaged = |what: String| Error::corrupt("journal", what);
        for entry in journal::entries(frame).map_err(|damage| damaged(damage.to_string()))? {
            // Records of a topic that was deleted since.
            let Some(partition) = self.partitions.get(&(entry.topic, entry.partition)) else { continue };
            let bytes = frame.slice(entry.placed.at..entry.placed.at + entry.placed.bytes);
            let (expected, found) = (lock(&partition.state).high_watermark, entry.header.base_offset);
            if found > expected && missing == Missing::PassedOver {
                if let Some(topic) = self.catalog.topics.get_mut(partition.name.topic.as_ref()) {
                    topic.gaps = true;
                }
            } else if found != expected {
                return Err(damaged(format!("records of {} begin at {found} and not at {expected}", partition.name)));
            }
            let entered = self.visible.enter(partition, entry.header, bytes, now_ms);
            entered.map_err(|damage| Error::corrupt(&partition.name, damage))?;
        }
        Ok(())
    }

    /// Removes what is no part of the log: directories and segments that nobody lists, and bytes beyond what is listed.
    pub(crate) fn clean_up(&self, vfs: &dyn Vfs, dir: &Path) -> Result<(), Error> {
        let failed = |error| Error::io(format!("cleaning up {}", dir.display()), error);
        let mut known = BTreeMap::new();
        for partition in self.partitions.values() {
            let name = partition.dir.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            known.insert(name.to_owned(), partition);
        }
        for name in vfs.list(dir).map_err(failed)? {
            let path = dir.join(&name);
            match known.get(&name) {
                Some(partition) => clean_partition(vfs, partition).map_err(failed)?,
                None if name.ends_with(DELETE_SUFFIX) || is_partition_dir(vfs, &path) => {
                    tracing::info!(dir = %path.display(), "removing the rest of a deleted topic");
                    vfs.remove(&path).map_err(failed)?;
                }
                None => {}
            }
        }
        for rebuilt in &self.rebuilt {
            rebuilt.write(vfs).map_err(failed)?;
            rebuilt.path.parent().map_or(Ok(()), |dir| vfs.sync_dir(dir)).map_err(failed)?;
        }
        vfs.sync_dir(dir).map_err(failed)
    }
}

/// Whether a directory is one that the log made for a partition.
fn is_partition_dir(vfs: &dyn Vfs, path: &Path) -> bool {
    vfs.open(&path.join("partition.metadata"), Open::Read).is_ok()
}

fn clean_partition(vfs: &dyn Vfs, partition: &Partition) -> std::io::Result<()> {
    let segments = {
        let mut state = lock(&partition.state);
        finish_swap(vfs, &partition.dir, &state.segments)?;
        state.segments.iter_mut().for_each(|segment| segment.swapping = false);
        state.segments.clone()
    };
    let bases: BTreeSet<i64> = segments.iter().map(|segment| segment.base).collect();
    for name in vfs.list(&partition.dir)? {
        let unlisted = |(base, extension): (i64, &str)| !bases.contains(&base) || extension.ends_with(SWAP_SUFFIX);
        if parse_file_name(&name).is_some_and(unlisted) {
            vfs.remove(&partition.dir.join(name))?;
        }
    }
    if let Some(active) = segments.last() {
        let file = vfs.open(&partition.dir.join(file_name(active.base, "log")), Open::Write)?;
        if file.length()? > active.bytes {
            file.set_len(active.bytes)?;
        }
    }
    Ok(())
}
