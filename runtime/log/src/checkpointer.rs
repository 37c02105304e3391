//! Checkpoints: the durable tails go into segments, the segments are synced, the list of them is written, and only then may
//! the journal files be used again. Runs on the maintenance thread, beside commits and reads, which it does not hold up.
//!
//! A tail leaves memory as soon as its segment is written: readers find it there before it is synced, for the journal has it.
//! So memory does not wait for the disk. A full disk ends a checkpoint and nothing else: the old one stands, the journal keeps
//! the records, what was not written is written again later. A failed sync ends the engine.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use towpath_model::crash_point;

use crate::checkpoint::{Bounds, Checkpoint, PartitionPoint, SegmentPoint};
use crate::core::{Core, Maintenance};
use crate::error::Error;
use crate::journal::{JournalWriter, NoSpace};
use crate::partition::{Partition, TailBatch, TopicEntry};
use crate::producers::ProducerPoint;
use crate::segment::{Appender, SegmentFiles};
use crate::sync::{lock, read};
use crate::vfs::{Open, fill_with_zeros, write_all_at};

/// Partitions whose files are open at the same time.
const PARTITIONS_AT_ONCE: usize = 64;
/// Journal files that are kept for use again.
const SPARE_JOURNAL_FILES: usize = 4;
/// A producer that has sent nothing for so long is forgotten, as in Kafka.
const PRODUCER_EXPIRATION_MS: i64 = 86_400_000;

/// Holds space back by its mere size.
const RESERVE_FILE: &str = "reserve";

/// What a checkpoint will hold of one partition.
struct Part {
    entry: Arc<TopicEntry>,
    partition: Arc<Partition>,
    bounds: Bounds,
    segments: Vec<SegmentPoint>,
    tail: Vec<TailBatch>,
    producers: Vec<ProducerPoint>,
    open: Vec<(i64, i64)>,
    leader_epochs: Vec<(i32, i64)>,
    /// Compaction rewrites everything before this at the moment.
    rewriting: Option<i64>,
}

/// What was written into a partition's segments and is not synced yet.
pub(crate) struct Unsynced {
    partition: Arc<Partition>,
    files: SegmentFiles,
}

impl Core {
    /// Makes a checkpoint of all that is durable now. `clean` says that nothing will follow it.
    pub(crate) fn checkpoint(&self, clean: bool) -> Result<(), Error> {
        let mut maintenance = lock(&self.maintenance);
        self.checkpoint_holding(&mut maintenance, clean)
    }

    /// The same, for one who keeps others from changing segments already.
    pub(crate) fn checkpoint_holding(&self, maintenance: &mut Maintenance, clean: bool) -> Result<(), Error> {
        lock(&self.chores).journal_bytes = 0;
        if read(&self.visible).sequence == maintenance.sequence && !maintenance.dirty && !clean {
            return Ok(());
        }
        let (mut checkpoint, mut parts) = self.cut();
        let sequence = checkpoint.sequence;
        for part in parts.iter_mut().filter(|part| !part.tail.is_empty()) {
            self.flush(part, &mut maintenance.unsynced)?;
            if maintenance.unsynced.len() >= PARTITIONS_AT_ONCE {
                self.sync_segments(&mut maintenance.unsynced)?;
            }
        }
        crash_point("checkpoint.before_sync");
        self.sync_segments(&mut maintenance.unsynced)?;
        checkpoint.clean = clean;
        checkpoint.partitions = parts
            .into_iter()
            .filter(|part| part.bounds.end > 0)
            .map(|part| {
                let Partition { topic, name, .. } = part.partition.as_ref();
                let mut point = PartitionPoint::new(*topic, name.partition, part.bounds, part.segments);
                (point.producers, point.open, point.leader_epochs) = (part.producers, part.open, part.leader_epochs);
                point
            })
            .collect();
        let write = || checkpoint.write(self.vfs.as_ref(), &self.config.dir);
        let written = write().or_else(|error| match error {
            // The space that is held back is for this: without a checkpoint nothing could ever be removed.
            Error::DiskFull(_) if self.release_reserve() => write(),
            error => Err(error),
        });
        written.inspect_err(|error| {
            if !matches!(error, Error::DiskFull(_)) {
                self.fail(error.clone());
            }
        })?;
        maintenance.sequence = sequence;
        maintenance.dirty = false;
        self.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        crash_point("checkpoint.before_recycle");
        self.recycle(sequence)
    }

    /// One consistent cut: a sequence, and exactly what the commits up to it have left.
    fn cut(&self) -> (Checkpoint, Vec<Part>) {
        let topics: Vec<Arc<TopicEntry>> = read(&self.topics).values().cloned().collect();
        let visible = read(&self.visible);
        let silent_since_ms = self.clock.now_ms().saturating_sub(PRODUCER_EXPIRATION_MS);
        let part = |entry: &Arc<TopicEntry>, partition: &Arc<Partition>| {
            let state = lock(&partition.state);
            let mut producers = lock(&partition.producers);
            producers.expire(silent_since_ms, |id| state.transactions.open().contains_key(&id));
            Part {
                entry: entry.clone(),
                partition: partition.clone(),
                bounds: Bounds { log_start: state.log_start, end: state.high_watermark, cleaned: state.cleaned },
                segments: state.segments.clone(),
                tail: state.tail.iter().cloned().collect(),
                producers: producers.points(),
                open: state.transactions.open().iter().map(|(id, first)| (*id, *first)).collect(),
                leader_epochs: state.leader_epochs.clone(),
                rewriting: state.rewriting,
            }
        };
        let parts =
            topics.iter().flat_map(|entry| entry.partitions.iter().map(move |partition| part(entry, partition)));
        let parts: Vec<Part> = parts.collect();
        // Counted anew each time, because topics that were deleted took their tails along.
        let tail_bytes = parts.iter().flat_map(|part| &part.tail).map(|batch| batch.bytes.len()).sum();
        self.tail_bytes.store(tail_bytes, Ordering::Relaxed);
        let checkpoint = Checkpoint {
            epoch: self.epoch,
            sequence: visible.sequence,
            leader_epoch: self.leader_epoch,
            groups: visible.groups.points(),
            pending: visible.groups.pending_points(),
            transactions: visible.transactions.points(),
            ..Checkpoint::default()
        };
        (checkpoint, parts)
    }

    /// Writes a tail into segments, from where it is read from now on. It counts as soon as it is synced.
    fn flush(&self, part: &mut Part, unsynced: &mut Vec<Unsynced>) -> Result<(), Error> {
        let written = self.write_tail(part).inspect_err(|error| {
            if !matches!(error, Error::DiskFull(_)) {
                self.fail(error.clone());
            }
        });
        let (segments, files) = written?;
        unsynced.push(Unsynced { partition: part.partition.clone(), files });
        part.segments = segments;
        part.tail = Vec::new();
        let freed = lock(&part.partition.state).adopt(part.segments.clone(), part.bounds.end);
        self.tail_bytes.fetch_sub(freed, Ordering::Relaxed);
        Ok(())
    }

    /// Makes durable what was written into segments.
    fn sync_segments(&self, unsynced: &mut Vec<Unsynced>) -> Result<(), Error> {
        for Unsynced { partition, files } in unsynced.drain(..) {
            if partition.deleted.load(Ordering::Acquire) {
                continue;
            }
            let sync_dir = |dir| if files.dir { self.vfs.sync_dir(dir) } else { Ok(()) };
            let synced = files.files.iter().try_for_each(|file| file.sync()).and_then(|()| sync_dir(&partition.dir));
            synced.map_err(|error| {
                let context = format!("syncing segments in {}", partition.dir.display());
                let error = Error::Io { context, source: Arc::new(error) };
                self.fail(error.clone());
                error
            })?;
        }
        Ok(())
    }

    fn write_tail(&self, part: &Part) -> Result<(Vec<SegmentPoint>, SegmentFiles), Error> {
        let dir = &part.partition.dir;
        let write = || {
            if part.segments.is_empty() {
                self.create_directory(&part.partition)?;
            }
            let mut appender = Appender::new(self.vfs.as_ref(), dir, &part.entry.settings, part.segments.clone());
            appender.leave_alone_before(part.bounds.cleaned.max(part.rewriting.unwrap_or(0)));
            for batch in &part.tail {
                appender.append(&batch.header, &batch.bytes, batch.aborted.as_ref())?;
            }
            self.write_leader_epochs(part)?;
            appender.finish()
        };
        write().map_err(|error| Error::io(format!("writing segments in {}", dir.display()), error))
    }

    /// Makes a partition's directory with the two files that Kafka keeps in it.
    fn create_directory(&self, partition: &Partition) -> std::io::Result<()> {
        let dir = &partition.dir;
        self.vfs.create_dir(dir)?;
        let topic_id = kafka_uuid(partition.topic);
        let file = self.vfs.open(&dir.join("partition.metadata"), Open::Create)?;
        write_all_at(file.as_ref(), format!("version: 0\ntopic_id: {topic_id}\n").as_bytes(), 0)?;
        file.sync()?;
        self.vfs.sync_dir(&self.config.dir)
    }

    /// Brings Kafka's file of leader epochs up to date where records of a new one are written. Nothing is ever decided by it.
    fn write_leader_epochs(&self, part: &Part) -> std::io::Result<()> {
        let first = part.tail.first().map_or(i64::MAX, |batch| batch.header.base_offset);
        if part.leader_epochs.last().is_none_or(|(_, start)| *start < first) {
            return Ok(());
        }
        let mut content = format!("0\n{}\n", part.leader_epochs.len());
        part.leader_epochs.iter().for_each(|(epoch, start)| content.push_str(&format!("{epoch} {start}\n")));
        let file = self.vfs.open(&part.partition.dir.join("leader-epoch-checkpoint"), Open::Create)?;
        write_all_at(file.as_ref(), content.as_bytes(), 0)?;
        file.sync()
    }

    /// Gives up the space that is held back. Says whether there was any.
    fn release_reserve(&self) -> bool {
        self.vfs.remove(&self.config.dir.join(RESERVE_FILE)).is_ok()
    }

    /// Holds back some space, if that is not done already. Without space for it, the log works all the same.
    pub(crate) fn hold_reserve(&self) {
        let path = self.config.dir.join(RESERVE_FILE);
        let bytes = self.config.reserve_bytes;
        let hold = || {
            let file = self.vfs.open(&path, Open::WriteOrCreate)?;
            if file.length()? < bytes { fill_with_zeros(file.as_ref(), bytes) } else { Ok(()) }
        };
        if let Err(error) = hold() {
            tracing::warn!(%error, "no space could be held back for the time when the disk is full");
            // A part of it would be taken for all of it.
            let _ = self.vfs.remove(&path);
        }
    }

    fn recycle(&self, sequence: u64) -> Result<(), Error> {
        let mut journal = lock(&self.journal);
        let Some(writer) = journal.as_mut() else { return Ok(()) };
        writer.recycle(sequence, SPARE_JOURNAL_FILES).map_err(|error| Error::io("removing journal files", error))?;
        drop(journal);
        self.prepare_journal()
    }

    /// Has a journal file ready beyond the current one.
    pub(crate) fn prepare_journal(&self) -> Result<(), Error> {
        let spare = lock(&self.journal).as_mut().and_then(JournalWriter::plan_spare);
        if let Some(spare) = spare {
            match spare.create(self.vfs.as_ref()) {
                Ok(file) => {
                    if let Some(writer) = lock(&self.journal).as_mut() {
                        writer.adopt_spare(file);
                    }
                }
                Err(NoSpace::DiskFull(reason) | NoSpace::JournalFull(reason)) => {
                    tracing::warn!(reason, "no spare journal file could be made")
                }
                Err(NoSpace::Io(error)) => return Err(Error::io("making a journal file", error)),
            }
        }
        Ok(())
    }
}

/// A topic's id as Kafka writes it: URL-safe base64 without padding.
pub(crate) fn kafka_uuid(id: uuid::Uuid) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = id.as_u128();
    let digit = |index: u32| {
        // 22 digits of six bits; the last one has only two bits of the id, in front.
        let shift = 122 - 6 * i64::from(index);
        let six = if shift >= 0 { value >> shift } else { value << -shift };
        DIGITS.get((six & 63) as usize).map_or('A', |digit| char::from(*digit))
    };
    (0..22).map(digit).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn topic_ids_are_written_as_kafka_does() {
        let id = |value: u128| super::kafka_uuid(uuid::Uuid::from_u128(value));
        assert_eq!(id(0), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(id(u128::MAX), "_____________________w");
        assert_eq!(id(1), "AAAAAAAAAAAAAAAAAAAAAQ");
    }
}
