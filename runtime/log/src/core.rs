//! The heart of the embedded engine: the queue in which commits get their order, the round that makes them durable, and the
//! moment in which they become visible.
//!
//! ```text
//! commit_atomic ── encode ──> queue ── one round: write, fdatasync ──> visible: tails, high watermarks, group offsets, transactions
//!  caller's thread            offsets       journal thread                  one step for every reader
//! ```
//! Lock order: maintenance, journal, ahead, sequencer, visible, a partition's state, its producers. Nothing is awaited under a lock.
//! Invariant 1: a commit's future resolves with success only after the sync. Invariant 5: a commit is one frame.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, RwLock};

use bytes::Bytes;
use rand::rngs::StdRng;
use tokio::sync::{oneshot, watch};
use towpath_model::Clock;

use crate::catalog::Catalog;
use crate::checkpointer::Unsynced;
use crate::codec::{BatchHeader, set_base_offset, set_leader_epoch};
use crate::config::LogConfig;
use crate::engine::{AppendResult, Committed};
use crate::error::Error;
use crate::fetch::out_of_range;
use crate::journal::{FRAME_HEAD_BYTES, JournalWriter, NoSpace, Placed};
use crate::metrics::Counters;
use crate::partition::{Partition, TopicEntry};
use crate::producers::Verdict;
use crate::sync::{lock, read, write};
use crate::transaction::Ahead;
use crate::vfs::Vfs;
use crate::visible::Visible;

/// What one round writes at most before it syncs.
const ROUND_BYTES_MAX: usize = 16 << 20;

/// The engine's state; its threads are in `embedded`.
pub(crate) struct Core {
    pub(crate) config: LogConfig,
    pub(crate) vfs: Arc<dyn Vfs>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) epoch: u64,
    /// Under which epoch batches are appended: one more after every end that may have lost something.
    pub(crate) leader_epoch: i32,
    pub(crate) topics: RwLock<BTreeMap<Arc<str>, Arc<TopicEntry>>>,
    pub(crate) catalog: Mutex<CatalogState>,
    pub(crate) topic_changes: watch::Sender<u64>,
    pub(crate) ahead: Mutex<Ahead>,
    pub(crate) sequencer: Mutex<Sequencer>,
    pub(crate) work: Condvar,
    pub(crate) journal: Mutex<Option<JournalWriter>>,
    pub(crate) visible: RwLock<Visible>,
    /// Bytes of all tails; changed while `visible` is held, or by the one who changes segments.
    pub(crate) tail_bytes: AtomicUsize,
    pub(crate) maintenance: Mutex<Maintenance>,
    pub(crate) chores: Mutex<Chores>,
    pub(crate) chore: Condvar,
    /// There may be something to compact, or the engine ends.
    pub(crate) compaction: Condvar,
    /// The engine ends: what takes long is left.
    pub(crate) ending: AtomicBool,
    /// Which partition of a fetch begins next.
    pub(crate) fetch_turn: AtomicUsize,
    pub(crate) failed: watch::Sender<Option<Error>>,
    pub(crate) counters: Counters,
    /// How many producers got an id in this run.
    pub(crate) producer_ids: AtomicU32,
}

/// The catalog as it is on disk, and where new topics take their ids from.
pub(crate) struct CatalogState {
    pub(crate) catalog: Catalog,
    pub(crate) random: StdRng,
}

/// Commits in the order in which they were made.
#[derive(Default)]
pub(crate) struct Sequencer {
    pub(crate) queue: VecDeque<Queued>,
    /// Bytes of frames in the queue.
    queue_bytes: usize,
    /// Why nothing more is taken, if so.
    pub(crate) closed: Option<Error>,
    /// Why nothing is taken for now, if so.
    pub(crate) disk_full: Option<Error>,
    /// Whether the log was opened to be read alone.
    pub(crate) read_only: bool,
    pub(crate) stop: bool,
}

/// What checkpoints have achieved; whoever holds it is the only one to change segments.
#[derive(Default)]
pub(crate) struct Maintenance {
    /// The sequence of the last checkpoint.
    pub(crate) sequence: u64,
    /// Whether something else than commits must be put into the next one.
    pub(crate) dirty: bool,
    /// Segments that are to be synced before the next one.
    pub(crate) unsynced: Vec<Unsynced>,
}

/// What the maintenance thread is asked to do.
#[derive(Default)]
pub(crate) struct Chores {
    pub(crate) journal_bytes: u64,
    pub(crate) compact: bool,
    pub(crate) stop: bool,
}

/// A commit that is encoded and waits for its offsets.
pub(crate) struct Encoded {
    pub(crate) frame: Vec<u8>,
    pub(crate) batches: Vec<EncodedBatch>,
    /// The transactional ids whose state it changes.
    pub(crate) transactions: Vec<Arc<str>>,
    pub(crate) now_ms: i64,
}

/// One batch of a commit.
pub(crate) struct EncodedBatch {
    pub(crate) partition: Arc<Partition>,
    pub(crate) placed: Placed,
    pub(crate) header: BatchHeader,
    /// Whether the caller asked for it, as opposed to the records that store group offsets.
    pub(crate) reported: bool,
    /// The offset that it must get, where it brings one along.
    pub(crate) at: Option<i64>,
}

/// What became of a commit that was to be queued.
pub(crate) enum Enqueued {
    Queued(oneshot::Receiver<Result<Committed, Error>>),
    /// The state of producers forbids some of its batches, by their place; nothing of it was queued.
    Forbidden(Vec<(usize, Verdict)>),
}

/// A commit in the queue.
pub(crate) struct Queued {
    frame: Bytes,
    batches: Vec<EncodedBatch>,
    transactions: Vec<Arc<str>>,
    now_ms: i64,
    done: oneshot::Sender<Result<Committed, Error>>,
}

impl Sequencer {
    fn check_writable(&self) -> Result<(), Error> {
        match &self.closed {
            Some(error) => Err(error.clone()),
            None if self.stop => Err(Error::Closed("it is being closed".into())),
            None if self.read_only => Err(Error::Closed("it was opened to be read alone".into())),
            None => Ok(()),
        }
    }
}

impl Core {
    /// Gives a commit its offsets and queues it.
    pub(crate) fn enqueue(&self, encoded: Encoded) -> Result<Enqueued, Error> {
        let Encoded { mut frame, mut batches, transactions, now_ms } = encoded;
        let (done, receiver) = oneshot::channel();
        let mut sequencer = lock(&self.sequencer);
        sequencer.check_writable()?;
        if let Some(error) = &sequencer.disk_full {
            return Err(error.clone());
        }
        let bytes = sequencer.queue_bytes;
        if bytes > self.config.queue_bytes_max {
            return Err(Error::Overloaded { bytes });
        }
        if let Some(gone) = batches.iter().find(|batch| batch.partition.deleted.load(Ordering::Acquire)) {
            return Err(Error::UnknownTopic(gone.partition.name.topic.to_string()));
        }
        for EncodedBatch { partition, at, .. } in &batches {
            let end = partition.assigned.load(Ordering::Relaxed);
            if let Some(at) = at.filter(|at| *at != end) {
                return Err(out_of_range(&partition.name, at, lock(&partition.state).ends()));
            }
        }
        let forbidden = |(place, batch): (usize, &EncodedBatch)| {
            let verdict =
                batch.header.numbered().then(|| lock(&batch.partition.producers).judge(&batch.header)).flatten();
            verdict.map(|verdict| (place, verdict))
        };
        let forbidden: Vec<_> = batches.iter().enumerate().filter_map(forbidden).collect();
        if !forbidden.is_empty() {
            return Ok(Enqueued::Forbidden(forbidden));
        }
        for batch in &mut batches {
            let base = batch.partition.assigned.load(Ordering::Relaxed);
            batch.header.base_offset = base;
            batch.header.leader_epoch = self.leader_epoch;
            batch.partition.assigned.store(batch.header.next_offset(), Ordering::Relaxed);
            set_base_offset(&mut frame[batch.placed.at..], base);
            set_leader_epoch(&mut frame[batch.placed.at..], self.leader_epoch);
            if batch.header.producer_id >= 0 {
                lock(&batch.partition.producers).queue(&batch.header, now_ms);
            }
        }
        sequencer.queue_bytes += frame.len();
        sequencer.queue.push_back(Queued { frame: Bytes::from(frame), batches, transactions, now_ms, done });
        drop(sequencer);
        self.work.notify_one();
        Ok(Enqueued::Queued(receiver))
    }

    /// Makes durable what is queued, up to a bound, and publishes it. Says whether there was anything.
    pub(crate) fn round(&self) -> bool {
        let mut journal = lock(&self.journal);
        let Some(writer) = journal.as_mut() else { return false };
        let round = self.take_round();
        if round.is_empty() {
            return false;
        }
        let lengths = || round.iter().map(|queued| queued.frame.len());
        let mut reserved = writer.reserve(lengths());
        if matches!(reserved, Err(NoSpace::JournalFull(_))) || self.tails_are_full() {
            // Segments lag too far behind. Commits wait for them here; a disk that cannot take them shows below.
            drop(journal);
            if let Err(error) = self.checkpoint(false) {
                tracing::warn!(%error, "segments lag behind and no checkpoint could be made");
            }
            journal = lock(&self.journal);
            let Some(writer) = journal.as_mut() else { return false };
            reserved = writer.reserve(lengths());
            if reserved.is_ok() && self.tails_are_full() {
                reserved = Err(NoSpace::DiskFull("segments cannot be written".into()));
            }
        }
        let Some(writer) = journal.as_mut() else { return false };
        match reserved {
            Ok(()) => {}
            Err(NoSpace::DiskFull(reason) | NoSpace::JournalFull(reason)) => {
                self.refuse(round, Error::DiskFull(reason));
                return true;
            }
            Err(NoSpace::Io(error)) => {
                self.abandon(round, Error::io("making room in the journal", error));
                return true;
            }
        }
        let durable = read(&self.visible).sequence;
        let frames: Vec<Bytes> = round.iter().map(|queued| queued.frame.clone()).collect();
        let bytes: u64 = frames.iter().map(|frame| frame.len() as u64).sum();
        let begun = self.clock.monotonic();
        if let Err(error) = writer.write(&frames, durable + 1, durable) {
            // What the disk holds now is unknown, and asking again would prove nothing: recovery decides.
            self.abandon(round, Error::Io { context: "writing the journal".into(), source: Arc::new(error) });
            return true;
        }
        drop(journal);
        self.counters.round(round.len(), bytes, self.clock.monotonic().saturating_sub(begun));
        self.publish(round, durable);
        self.ask_for_checkpoint(bytes);
        true
    }

    /// Writes a frame that says what is durable, so that later damage to it is known as such.
    pub(crate) fn mark(&self) {
        let mut journal = lock(&self.journal);
        let Some(writer) = journal.as_mut() else { return };
        if writer.reserve(std::iter::once(FRAME_HEAD_BYTES)).is_err() {
            // Without room for it the next commit brings the same news, or a checkpoint makes it superfluous.
            return;
        }
        let durable = read(&self.visible).sequence;
        let mark = Bytes::from_static(&[0; FRAME_HEAD_BYTES]);
        match writer.write(&[mark], durable + 1, durable) {
            Ok(()) => write(&self.visible).sequence = durable + 1,
            Err(error) => self.fail(Error::Io { context: "writing the journal".into(), source: Arc::new(error) }),
        }
    }

    /// Whether as much is in memory as may be of what segments do not hold.
    fn tails_are_full(&self) -> bool {
        self.tail_bytes.load(Ordering::Relaxed) >= self.config.tail_bytes_max
    }

    fn take_round(&self) -> Vec<Queued> {
        let mut sequencer = lock(&self.sequencer);
        let mut bytes = 0;
        let mut round = Vec::new();
        while let Some(next) =
            sequencer.queue.pop_front_if(|next| bytes == 0 || bytes + next.frame.len() <= ROUND_BYTES_MAX)
        {
            bytes += next.frame.len();
            round.push(next);
        }
        sequencer.queue_bytes -= bytes;
        round
    }

    fn publish(&self, round: Vec<Queued>, durable: u64) {
        let mut answers = Vec::with_capacity(round.len());
        let mut woken: Vec<Arc<Partition>> = Vec::new();
        let mut records = 0;
        let mut broken = None;
        let mut ahead = round.iter().any(|queued| !queued.transactions.is_empty()).then(|| lock(&self.ahead));
        {
            // Readers take this lock too, so none sees a part of a commit.
            let mut visible = write(&self.visible);
            for queued in round {
                let mut committed = Committed::default();
                for batch in queued.batches {
                    let bytes = queued.frame.slice(batch.placed.at..batch.placed.at + batch.placed.bytes);
                    self.tail_bytes.fetch_add(bytes.len(), Ordering::Relaxed);
                    if let Err(damage) = visible.enter(&batch.partition, batch.header, bytes, queued.now_ms) {
                        broken = Some(Error::corrupt(&batch.partition.name, damage));
                    }
                    if batch.reported {
                        records += u64::from(batch.header.records.unsigned_abs());
                        report(&mut committed, &batch);
                    }
                    if woken.last().is_none_or(|last| !Arc::ptr_eq(last, &batch.partition)) {
                        woken.push(batch.partition);
                    }
                }
                if let Some(ahead) = &mut ahead {
                    queued.transactions.iter().for_each(|id| ahead.settle(id));
                }
                answers.push((queued.done, committed));
            }
            visible.sequence = durable + answers.len() as u64;
        }
        drop(ahead);
        if let Some(error) = broken {
            // What the log has written itself does not read: it must not go on.
            self.fail(error);
        }
        self.counters.records.fetch_add(records, Ordering::Relaxed);
        for partition in woken {
            lock(&partition.state).wake();
        }
        for (done, committed) in answers {
            // A caller that no longer waits has dropped the other end; the commit stands all the same.
            let _ = done.send(Ok(committed));
        }
    }

    /// Refuses a round of which nothing was written, and all that was queued behind it, and takes their offsets back.
    fn refuse(&self, round: Vec<Queued>, error: Error) {
        let mut ahead = lock(&self.ahead);
        let mut sequencer = lock(&self.sequencer);
        ahead.refuse();
        let mut refused = round;
        refused.extend(sequencer.queue.drain(..));
        sequencer.queue_bytes = 0;
        for batch in refused.iter().flat_map(|queued| &queued.batches) {
            let durable = lock(&batch.partition.state).high_watermark;
            batch.partition.assigned.store(durable, Ordering::Relaxed);
            lock(&batch.partition.producers).refuse_queued();
        }
        // Commits stay refused until space is found, so that none overtakes one that its caller does not know to be lost.
        sequencer.disk_full = Some(error.clone());
        drop(sequencer);
        drop(ahead);
        tracing::warn!(%error, "commits are refused until there is space");
        for queued in refused {
            for batch in &queued.batches {
                // Whoever waits for the fate of a batch that was sent again learns it here.
                lock(&batch.partition.state).wake();
            }
            let _ = queued.done.send(Err(error.clone()));
        }
        self.chore.notify_one();
    }

    fn abandon(&self, round: Vec<Queued>, error: Error) {
        self.fail(error.clone());
        for queued in round {
            let _ = queued.done.send(Err(error.clone()));
        }
    }

    /// Ends the engine: nothing more is taken, all that waits fails, and whoever watches is told.
    pub(crate) fn fail(&self, error: Error) {
        tracing::error!(error = error.told(), "the log has failed; it must be opened anew");
        self.close_with(error.clone());
        self.failed.send_if_modified(|failed| {
            let first = failed.is_none();
            if first {
                *failed = Some(error);
            }
            first
        });
    }

    /// Takes nothing more and fails what is queued.
    pub(crate) fn close_with(&self, error: Error) {
        let mut sequencer = lock(&self.sequencer);
        sequencer.closed.get_or_insert_with(|| error.clone());
        let left: Vec<Queued> = sequencer.queue.drain(..).collect();
        sequencer.queue_bytes = 0;
        drop(sequencer);
        for queued in left {
            let _ = queued.done.send(Err(error.clone()));
        }
        self.wake_all();
    }

    /// Wakes every reader, to look again.
    pub(crate) fn wake_all(&self) {
        for partition in self.all_partitions() {
            lock(&partition.state).wake();
        }
        self.work.notify_all();
        self.chore.notify_all();
        self.compaction.notify_all();
    }

    pub(crate) fn all_partitions(&self) -> Vec<Arc<Partition>> {
        read(&self.topics).values().flat_map(|entry| entry.partitions.iter().cloned()).collect()
    }

    pub(crate) fn topic_entry(&self, name: &str) -> Result<Arc<TopicEntry>, Error> {
        read(&self.topics).get(name).cloned().ok_or_else(|| Error::UnknownTopic(name.into()))
    }

    /// An id for a producer: the number of the run above, that of the producer below, so no two runs give the same.
    pub(crate) fn new_producer_id(&self) -> i64 {
        let number = self.producer_ids.fetch_add(1, Ordering::Relaxed);
        ((self.epoch >> 32 << 32 | u64::from(number)) & i64::MAX as u64) as i64
    }

    /// Fails where the engine is closed or has failed.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        lock(&self.sequencer).closed.clone().map_or(Ok(()), Err)
    }

    /// Fails where nothing may be changed.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        lock(&self.sequencer).check_writable()
    }

    /// Takes commits again if there is room for them, after the disk was full.
    pub(crate) fn look_for_space(&self) {
        if lock(&self.sequencer).disk_full.is_none() || self.tails_are_full() {
            return;
        }
        let mut journal = lock(&self.journal);
        let Some(writer) = journal.as_mut() else { return };
        let probe = usize::try_from(self.config.journal_file_bytes).unwrap_or(usize::MAX);
        if writer.reserve(std::iter::once(probe)).is_ok() {
            lock(&self.sequencer).disk_full = None;
            self.hold_reserve();
            tracing::info!("there is space again, commits are taken");
        }
    }

    fn ask_for_checkpoint(&self, bytes: u64) {
        let mut chores = lock(&self.chores);
        chores.journal_bytes += bytes;
        if chores.journal_bytes >= self.config.checkpoint_bytes {
            self.chore.notify_one();
        }
    }
}

fn report(committed: &mut Committed, batch: &EncodedBatch) {
    let records = batch.header.records.unsigned_abs();
    let follows = |last: &&mut AppendResult| last.partition == batch.partition.name;
    match committed.appends.iter_mut().find(follows) {
        // Further batches of the same commit in a partition follow without a gap.
        Some(entry) => entry.records += records,
        None => committed.appends.push(AppendResult {
            partition: batch.partition.name.clone(),
            base_offset: batch.header.base_offset,
            records,
        }),
    }
}

/// A topic's turn counter, at its beginning.
pub(crate) fn new_turn() -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(0))
}
