//! Compaction: of all records with the same key only the last stays; one without a value goes as well once it has been seen
//! long enough. Offsets never change, so gaps appear.
//!
//! Kafka's algorithm: a map from keys to their last offsets is built over what is new, then old and new are rewritten
//! together. The new segments are written beside the old ones, the checkpoint that lists them decides, and then they take
//! the old ones' names. Readers in between see the old or the new, never a mixture.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::checkpoint::SegmentPoint;
use crate::codec::{Left, RawRecords, records_section, rewrite};
use crate::core::{Core, Maintenance};
use crate::error::Error;
use crate::partition::{Partition, State, TopicEntry};
use crate::segment::{Appender, EXTENSIONS, ReadFailure, SegmentReader, file_name, finish_swap};
use crate::sync::{lock, read};

/// Keys that one pass takes in; what lies beyond waits for the next.
const KEYS_MAX: usize = 2_000_000;

/// What is to be rewritten.
struct Job {
    segments: Vec<SegmentPoint>,
    flushed: i64,
    cleaned: i64,
    /// Segments from here on are too young.
    until: i64,
}

/// The last offset of each key, by a hash of 128 bits.
struct LastOffsets {
    hashers: [RandomState; 2],
    offsets: HashMap<u128, i64>,
}

impl LastOffsets {
    fn hash(&self, key: &[u8]) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(key)) << 64 | u128::from(low.hash_one(key))
    }
}

impl Core {
    /// Compacts what is due. Says how many partitions were.
    pub(crate) fn compact(&self) -> Result<usize, Error> {
        let topics: Vec<_> = read(&self.topics).values().cloned().collect();
        let mut compacted = 0;
        for entry in topics.iter().filter(|entry| entry.settings.compact) {
            for partition in entry.partitions.iter() {
                let mut maintenance = lock(&self.maintenance);
                if partition.deleted.load(std::sync::atomic::Ordering::Acquire) {
                    continue;
                }
                let due = job(entry, &lock(&partition.state), self.clock.now_ms(), self.config.compaction_bytes_min);
                if lock(&partition.state).segments.iter().any(|segment| segment.swapping) {
                    // An earlier pass found no space for its checkpoint.
                    self.checkpoint_holding(&mut maintenance, false)?;
                    self.take_names(&mut maintenance, partition, &[])?;
                } else if let Some(job) = due {
                    self.compact_partition(&mut maintenance, entry, partition, &job)?;
                    compacted += 1;
                }
            }
        }
        Ok(compacted)
    }

    fn compact_partition(
        &self,
        maintenance: &mut Maintenance,
        entry: &TopicEntry,
        partition: &Arc<Partition>,
        job: &Job,
    ) -> Result<(), Error> {
        if maintenance.dirty {
            // A checkpoint that still takes files of the last pass for unnamed ones must not see those of this one.
            self.checkpoint_holding(maintenance, false)?;
        }
        let (last_offsets, cleaned) = self.last_offsets(entry, partition, job)?;
        let segments = self.write_beside(entry, partition, job, &last_offsets, cleaned)?;
        lock(&partition.state).swap(segments.clone(), cleaned);
        maintenance.dirty = true;
        // If this fails for want of space the old files stay, and readers find the new ones under their first names.
        self.checkpoint_holding(maintenance, false)?;
        self.take_names(maintenance, partition, &job.segments)
    }

    /// Gives the new segments their names and removes those that are listed no more.
    fn take_names(
        &self,
        maintenance: &mut Maintenance,
        partition: &Partition,
        old: &[SegmentPoint],
    ) -> Result<(), Error> {
        let segments = lock(&partition.state).segments.clone();
        finish_swap(self.vfs.as_ref(), &partition.dir, &segments).map_err(|error| {
            let context = format!("renaming segments in {}", partition.dir.display());
            let error = Error::Io { context, source: Arc::new(error) };
            self.fail(error.clone());
            error
        })?;
        lock(&partition.state).segments.iter_mut().for_each(|segment| segment.swapping = false);
        maintenance.dirty = true;
        for old in old.iter().filter(|old| !segments.iter().any(|new| new.base == old.base)) {
            for extension in EXTENSIONS {
                // A file that stays is removed when the log is opened next.
                let _ = self.vfs.remove(&partition.dir.join(file_name(old.base, extension)));
            }
        }
        Ok(())
    }

    /// Where each key was last written, and the offset up to which that was looked at.
    fn last_offsets(&self, entry: &TopicEntry, partition: &Partition, job: &Job) -> Result<(LastOffsets, i64), Error> {
        let mut last = LastOffsets { hashers: [RandomState::new(), RandomState::new()], offsets: HashMap::new() };
        let mut seen = job.until;
        for (segment, end) in job.pairs().filter(|(segment, _)| segment.base >= job.cleaned && segment.base < job.until)
        {
            let reader = self.reader(partition, segment, end)?;
            reader.scan(|header, batch| {
                if last.offsets.len() >= KEYS_MAX {
                    seen = seen.min(header.base_offset);
                    return Ok(false);
                }
                let damaged = |damage| Error::corrupt(&partition.name, damage);
                let section = records_section(header, batch).map_err(damaged)?;
                for record in RawRecords::new(header, &section) {
                    let record = record.map_err(damaged)?;
                    if let Some(key) = record.key {
                        let hash = last.hash(key);
                        last.offsets.insert(hash, record.offset);
                    }
                }
                Ok(true)
            })?;
            if seen < job.until {
                break;
            }
        }
        debug_assert!(entry.gaps, "a compacted topic is known to have gaps");
        Ok((last, seen))
    }

    /// Writes what stays of everything before `cleaned`, and returns the partition's new list of segments.
    fn write_beside(
        &self,
        entry: &TopicEntry,
        partition: &Partition,
        job: &Job,
        last: &LastOffsets,
        cleaned: i64,
    ) -> Result<Vec<SegmentPoint>, Error> {
        let now_ms = self.clock.now_ms();
        let failed = |error| Error::io(format!("compacting {}", partition.name), error);
        let mut appender = Appender::beside(self.vfs.as_ref(), &partition.dir, &entry.settings);
        let mut untouched = Vec::new();
        for (segment, end) in job.pairs() {
            if segment.base >= cleaned {
                untouched.push(*segment);
                continue;
            }
            self.reader(partition, segment, end)?.scan(|header, batch| {
                if header.base_offset >= cleaned {
                    // The rest of a segment that was looked at in part only begins a segment of its own.
                    appender.leave_alone_before(cleaned);
                    return appender.append(header, batch).map(|()| true).map_err(failed);
                }
                // One without a value has been seen by whoever reads along once it was here for a while.
                let expired = header.max_timestamp.saturating_add(entry.settings.delete_retention_ms) < now_ms;
                let left = rewrite(header, batch, |record| {
                    let Some(key) = record.key else { return false };
                    let newer = last.offsets.get(&last.hash(key)).is_some_and(|newest| *newest > record.offset);
                    let gone = record.value.is_none() && record.offset < job.cleaned && expired;
                    !newer && !gone
                });
                match left.map_err(|damage| Error::corrupt(&partition.name, damage))? {
                    Left::All => appender.append(header, batch).map_err(failed)?,
                    Left::Nothing => {}
                    Left::Some(batch) => {
                        let header = crate::codec::BatchHeader::parse(&batch);
                        let header = header.map_err(|damage| Error::corrupt(&partition.name, damage))?;
                        appender.append(&header, &batch).map_err(failed)?;
                    }
                }
                Ok(true)
            })?;
        }
        let (mut segments, files) = appender.finish().map_err(failed)?;
        let synced = files.files.iter().try_for_each(|file| file.sync());
        synced.and_then(|()| self.vfs.sync_dir(&partition.dir)).map_err(|error| {
            let error =
                Error::Io { context: format!("syncing segments of {}", partition.name), source: Arc::new(error) };
            self.fail(error.clone());
            error
        })?;
        segments.extend(untouched);
        Ok(segments)
    }

    fn reader<'a>(
        &'a self,
        partition: &'a Partition,
        segment: &SegmentPoint,
        end: i64,
    ) -> Result<SegmentReader<'a>, Error> {
        SegmentReader::open(self.vfs.as_ref(), &partition.dir, *segment, end, true).map_err(|failure| match failure {
            ReadFailure::Gone => Error::corrupt(&partition.name, format!("segment {} is gone", segment.base)),
            ReadFailure::Error(error) => error,
        })
    }
}

impl Job {
    /// The segments, each with the first offset behind it.
    fn pairs(&self) -> impl Iterator<Item = (&SegmentPoint, i64)> {
        let ends = self.segments.iter().skip(1).map(|next| next.base).chain([self.flushed]);
        self.segments.iter().zip(ends)
    }
}

/// What is to be compacted of a partition, if anything is due.
fn job(entry: &TopicEntry, state: &State, now_ms: i64, bytes_min: u64) -> Option<Job> {
    let young = |segment: &&SegmentPoint| {
        let lag_ms = entry.settings.min_compaction_lag_ms;
        segment.base >= state.cleaned && lag_ms > 0 && segment.max_timestamp > now_ms.saturating_sub(lag_ms)
    };
    let until = state.segments.iter().find(young).map_or(state.flushed, |young| young.base);
    let considered = || state.segments.iter().filter(|segment| segment.base < until);
    let total: u64 = considered().map(|segment| segment.bytes).sum();
    let new: u64 = considered().filter(|segment| segment.base >= state.cleaned).map(|segment| segment.bytes).sum();
    let enough = new >= bytes_min && new as f64 >= entry.settings.min_cleanable_dirty_ratio * total as f64;
    (new > 0 && enough).then(|| Job {
        segments: state.segments.clone(),
        flushed: state.flushed,
        cleaned: state.cleaned,
        until,
    })
}
