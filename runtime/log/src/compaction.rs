//! Compaction: of all records with the same key only the last stays. Offsets never change, so gaps appear. What readers must see for
//! a while, removals and the markers of transactions, stays until its delete horizon (KIP-534). What was aborted goes, and nothing is
//! looked at beyond the first transaction that is open.
//!
//! Kafka's algorithm: a map from keys to their last offsets is built over what is new, then old and new are rewritten together. The
//! new segments are written beside the old ones, the checkpoint that lists them decides, and then they take the old ones' names.
//! Readers in between see the old or the new, never a mixture.
//!
//! ```text
//! begin (holding maintenance) ── write beside: takes as long as it takes, nobody waits ── end (holding maintenance): swap, checkpoint
//!        what is there is left alone meanwhile: checkpoints append to new segments, retention passes by
//! ```

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::aborted::Aborted;
use crate::checkpoint::SegmentPoint;
use crate::codec::{BatchHeader, Fate, Left, RawRecords, records_section, rewrite};
use crate::core::{Core, Maintenance};
use crate::error::Error;
use crate::partition::{Partition, State, TopicEntry};
use crate::segment::{Appender, EXTENSIONS, ReadFailure, SegmentReader, file_name, finish_swap};
use crate::sync::{lock, read};

/// Keys that one pass takes in; what lies beyond waits for the next.
const KEYS_MAX: usize = 2_000_000;

/// A partition that is to be rewritten.
struct Rewrite {
    entry: Arc<TopicEntry>,
    partition: Arc<Partition>,
    job: Job,
}

/// What is to be rewritten.
struct Job {
    segments: Vec<SegmentPoint>,
    flushed: i64,
    /// Segments from here on are too young, or not decided.
    until: i64,
    cleaned: i64,
    /// What was aborted, by producer.
    aborted: HashMap<i64, Vec<Aborted>>,
}

/// The segments that take the place of those of a job, and up to where they were compacted.
struct Written {
    segments: Vec<SegmentPoint>,
    cleaned: i64,
}

/// The last offset of each key, by a hash of 128 bits.
struct LastOffsets {
    hashers: [RandomState; 2],
    offsets: HashMap<u128, i64>,
}

/// What one pass over the batches of a partition knows at each of them.
struct Pass<'a> {
    job: &'a Job,
    last: &'a LastOffsets,
    now_ms: i64,
    /// When what is seen for the first time may go.
    horizon: i64,
    /// Producers of whose transaction something stays, up to its marker.
    staying: HashSet<i64>,
}

impl LastOffsets {
    fn hash(&self, key: &[u8]) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(key)) << 64 | u128::from(low.hash_one(key))
    }
}

impl Pass<'_> {
    /// What stays of a batch.
    fn judge(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<Left, crate::codec::Damaged> {
        let expired = header.delete_horizon().is_some_and(|horizon| horizon < self.now_ms);
        if header.control() {
            // Without its marker a transaction would look open to whoever reads the records that are left of it.
            let needed = self.staying.remove(&header.producer_id);
            let fate = match (needed, expired) {
                (true, _) => Fate::Stays,
                (false, true) => Fate::Goes,
                (false, false) => Fate::StaysForAWhile,
            };
            return rewrite(header, batch, self.horizon, |_| fate);
        }
        if self.job.is_aborted(header) {
            return Ok(Left::Nothing);
        }
        let left = rewrite(header, batch, self.horizon, |record| {
            let Some(key) = record.key else { return Fate::Goes };
            let newer = self.last.offsets.get(&self.last.hash(key)).is_some_and(|newest| *newest > record.offset);
            match record.value {
                _ if newer => Fate::Goes,
                None if expired => Fate::Goes,
                None => Fate::StaysForAWhile,
                Some(_) => Fate::Stays,
            }
        })?;
        if header.transactional() && left != Left::Nothing {
            self.staying.insert(header.producer_id);
        }
        Ok(left)
    }
}

impl Core {
    /// Compacts what is due. Says how many partitions were.
    pub(crate) fn compact(&self) -> Result<usize, Error> {
        self.compact_beside(|| {})
    }

    /// The same; `meanwhile` happens between a rewriting and the moment in which it counts.
    pub(crate) fn compact_beside(&self, mut meanwhile: impl FnMut()) -> Result<usize, Error> {
        let topics: Vec<_> = read(&self.topics).values().cloned().collect();
        let mut compacted = 0;
        for entry in topics.iter().filter(|entry| entry.settings.compact) {
            for partition in entry.partitions.iter() {
                if let Some(rewrite) = self.begin_rewrite(entry, partition)? {
                    let written = self.write_beside(&rewrite);
                    meanwhile();
                    compacted += usize::from(self.end_rewrite(rewrite, written)?);
                }
            }
        }
        Ok(compacted)
    }

    /// Looks whether a partition is due, and has what is to be rewritten left alone.
    fn begin_rewrite(&self, entry: &Arc<TopicEntry>, partition: &Arc<Partition>) -> Result<Option<Rewrite>, Error> {
        let mut maintenance = lock(&self.maintenance);
        if self.has_no_use(partition) {
            return Ok(None);
        }
        if lock(&partition.state).segments.iter().any(|segment| segment.swapping) {
            // An earlier pass found no space for its checkpoint.
            self.checkpoint_holding(&mut maintenance, false)?;
            self.take_names(&mut maintenance, partition, &[])?;
            return Ok(None);
        }
        let due = job(entry, &lock(&partition.state), self.clock.now_ms(), self.config.compaction_bytes_min).is_some();
        if due && maintenance.dirty {
            // A checkpoint that still takes files of the last pass for unnamed ones must not see those of this one.
            self.checkpoint_holding(&mut maintenance, false)?;
        }
        let mut state = lock(&partition.state);
        let job = job(entry, &state, self.clock.now_ms(), self.config.compaction_bytes_min).filter(|_| due);
        state.rewriting = job.as_ref().map(|job| job.flushed);
        Ok(job.map(|job| Rewrite { entry: entry.clone(), partition: partition.clone(), job }))
    }

    /// Puts what was written in the place of what it was made of. Says whether it was.
    fn end_rewrite(&self, rewrite: Rewrite, written: Result<Option<Written>, Error>) -> Result<bool, Error> {
        let Rewrite { partition, job, .. } = rewrite;
        let mut maintenance = lock(&self.maintenance);
        lock(&partition.state).rewriting = None;
        if self.has_no_use(&partition) {
            return Ok(false);
        }
        let Some(Written { mut segments, cleaned }) = written? else { return Ok(false) };
        {
            let mut state = lock(&partition.state);
            segments.extend(state.segments.iter().filter(|segment| segment.base >= job.flushed).copied());
            state.swap(segments, cleaned);
        }
        maintenance.dirty = true;
        // If this fails for want of space the old files stay, and readers find the new ones under their first names.
        self.checkpoint_holding(&mut maintenance, false)?;
        self.take_names(&mut maintenance, &partition, &job.segments)?;
        Ok(true)
    }

    /// Whether nobody will ever want what a rewriting of the partition brings.
    fn has_no_use(&self, partition: &Partition) -> bool {
        partition.deleted.load(Ordering::Acquire) || self.ending.load(Ordering::Acquire)
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
        for new in segments.iter().filter(|new| new.aborted == 0 && old.iter().any(|old| old.base == new.base)) {
            // What was aborted has been taken out. A file that stays is no part of the log, for the checkpoint does not list it.
            let _ = self.vfs.remove(&partition.dir.join(file_name(new.base, "txnindex")));
        }
        for old in old.iter().filter(|old| !segments.iter().any(|new| new.base == old.base)) {
            for extension in EXTENSIONS {
                // A file that stays is removed when the log is opened next.
                let _ = self.vfs.remove(&partition.dir.join(file_name(old.base, extension)));
            }
        }
        Ok(())
    }

    /// Where each key was last written, and the offset up to which that was looked at; none where that is of no use any more.
    fn last_offsets(&self, rewrite: &Rewrite) -> Result<Option<(LastOffsets, i64)>, Error> {
        let Rewrite { entry, partition, job } = rewrite;
        let mut last = LastOffsets { hashers: [RandomState::new(), RandomState::new()], offsets: HashMap::new() };
        let mut seen = job.until;
        for (segment, end) in job.pairs().filter(|(segment, _)| segment.base >= job.cleaned && segment.base < job.until)
        {
            let reader = self.reader(partition, segment, end)?;
            reader.scan(|header, batch| {
                if last.offsets.len() >= KEYS_MAX || self.has_no_use(partition) {
                    seen = seen.min(header.base_offset);
                    return Ok(false);
                }
                if header.control() || job.is_aborted(header) {
                    return Ok(true);
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
        Ok((!self.has_no_use(partition)).then_some((last, seen)))
    }

    /// Writes what stays of a partition; none where that is of no use any more.
    fn write_beside(&self, rewrite: &Rewrite) -> Result<Option<Written>, Error> {
        let Some((last, cleaned)) = self.last_offsets(rewrite)? else { return Ok(None) };
        let Rewrite { entry, partition, job } = rewrite;
        let now_ms = self.clock.now_ms();
        let horizon = now_ms.saturating_add(entry.settings.delete_retention_ms);
        let mut pass = Pass { job, last: &last, now_ms, horizon, staying: HashSet::new() };
        let failed = |error| Error::io(format!("compacting {}", partition.name), error);
        let damaged = |damage| Error::corrupt(&partition.name, damage);
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
                    return appender.append(header, batch, job.aborted_by(header)).map(|()| true).map_err(failed);
                }
                match pass.judge(header, batch).map_err(damaged)? {
                    Left::All => appender.append(header, batch, None).map_err(failed)?,
                    Left::Nothing => {}
                    Left::Some(batch) => {
                        let header = BatchHeader::parse(&batch).map_err(damaged)?;
                        appender.append(&header, &batch, None).map_err(failed)?;
                    }
                }
                Ok(!self.has_no_use(partition))
            })?;
            if self.has_no_use(partition) {
                return Ok(None);
            }
        }
        let (mut segments, files) = appender.finish().map_err(failed)?;
        let synced = files.files.iter().try_for_each(|file| file.sync());
        let synced = synced.and_then(|()| self.vfs.sync_dir(&partition.dir));
        if self.has_no_use(partition) {
            // The directory of a deleted topic is gone, and there is nothing that could have been lost.
            return Ok(None);
        }
        synced.map_err(|error| {
            let error =
                Error::Io { context: format!("syncing segments of {}", partition.name), source: Arc::new(error) };
            self.fail(error.clone());
            error
        })?;
        segments.extend(untouched);
        Ok(Some(Written { segments, cleaned }))
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
    /// Whether a batch belongs to a transaction that was aborted.
    fn is_aborted(&self, header: &BatchHeader) -> bool {
        self.aborted.get(&header.producer_id).into_iter().flatten().any(|aborted| aborted.holds(header))
    }

    /// The transaction that a marker aborted.
    fn aborted_by(&self, header: &BatchHeader) -> Option<&Aborted> {
        let of_producer = self.aborted.get(&header.producer_id).into_iter().flatten();
        of_producer.filter(|_| header.control()).find(|aborted| aborted.last_offset == header.last_offset())
    }

    /// The segments, each with the first offset behind it.
    fn pairs(&self) -> impl Iterator<Item = (&SegmentPoint, i64)> {
        let ends = self.segments.iter().skip(1).map(|next| next.base).chain([self.flushed]);
        self.segments.iter().zip(ends)
    }
}

/// What is to be compacted of a partition, if anything is due.
fn job(entry: &TopicEntry, state: &State, now_ms: i64, bytes_min: u64) -> Option<Job> {
    let settings = &entry.settings;
    let young = |segment: &&SegmentPoint| {
        let lag_ms = settings.min_compaction_lag_ms;
        segment.base >= state.cleaned && lag_ms > 0 && segment.max_timestamp > now_ms.saturating_sub(lag_ms)
    };
    let until = state.segments.iter().find(young).map_or(state.flushed, |young| young.base);
    // Up to the segment in which the first open transaction begins.
    let undecided = state.segment_of(state.ends().last_stable).map_or(state.flushed, |(segment, _)| segment.base);
    let until = if state.ends().last_stable < state.flushed { until.min(undecided) } else { until };
    let considered = || state.segments.iter().filter(|segment| segment.base < until);
    let fresh = || considered().filter(|segment| segment.base >= state.cleaned);
    let total: u64 = considered().map(|segment| segment.bytes).sum();
    let new: u64 = fresh().map(|segment| segment.bytes).sum();
    let enough = new >= bytes_min && new as f64 >= settings.min_cleanable_dirty_ratio * total as f64;
    let late = |segment: &SegmentPoint| now_ms.saturating_sub(segment.first_timestamp) > settings.max_compaction_lag_ms;
    let overdue = fresh().next().is_some_and(late);
    if new == 0 || until <= state.cleaned || !(enough || overdue) {
        return None;
    }
    let mut aborted: HashMap<i64, Vec<Aborted>> = HashMap::new();
    for one in state.transactions.aborted_in(state.log_start, i64::MAX) {
        aborted.entry(one.producer_id).or_default().push(one);
    }
    let (segments, flushed, cleaned) = (state.segments.clone(), state.flushed, state.cleaned);
    Some(Job { segments, flushed, cleaned, until, aborted })
}
