//! `errors.retry.mode=defer`: a record that may pass when repeated does not hold up the others. It moves to the connector's retry
//! topic in the commit of the offset behind it, what is consumed of its key queues behind it, and both come back through the
//! same converters, transforms and put when their time has come.
//!
//! The topic is the truth: a task follows it, so that a restart, another task and an operator who edits, drops or hurries a record are
//! all the same to it. Invariant 4: order holds per key, within a partition.

mod set;

use std::collections::HashSet;
use std::time::Duration;

use towpath_log::{Error as LogError, Fetched, LogEngine};
use towpath_model::{Batch, Record, TopicPartition};

use super::letters::{Letter, Letters};
use crate::answers::{RecordId, RetryState};
use crate::backoff::Backoff;
use crate::errors::Stage;
use crate::settings::RetrySettings;
use crate::store::{Rows, ensure_retries, read_all_rows, read_rows, retries_topic};
use crate::task::{Failure, Task};
use set::{DeferredSet, Lane};

/// How long a look at the topic waits for news.
const FOLLOW_WAIT: Duration = Duration::from_secs(30);
/// So often a batch fails as a whole before the key of its first record is set apart.
const WHOLE_FAILURES: u32 = 2;
/// What waits only because something of its key does.
const BEHIND: &str = "worker.behind";

/// Why a record is put again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cause<'a> {
    pub(super) code: &'a str,
    pub(super) reason: &'a str,
    /// The least time to wait, where the other side said so.
    pub(super) after: Option<Duration>,
}

/// The deferred records of a task.
pub(super) struct Deferring {
    topic: String,
    /// Where the topic is read on.
    next: i64,
    set: DeferredSet,
    most: usize,
    retry: RetrySettings,
    seed: u64,
    /// Newly deferred, of the partition and from the offset that are open.
    new: Rows,
    open: Option<(TopicPartition, i64)>,
    waiting: Letters,
    /// What became of records that were given out.
    outcome: Rows,
    /// Dead letters of such.
    letters: Vec<Batch>,
    whole_failures: u32,
    /// The last records that were fetched were deferred ones.
    had_turn: bool,
    /// Given out and not being put yet.
    ahead: Vec<RecordId>,
    /// Being put.
    delivering: Vec<RecordId>,
    /// How many were deferred since the last [`seal`](Self::seal).
    added: u64,
}

impl Deferring {
    /// Reads what waits from the topic, which is made where records are to be deferred. Where they are not, what an earlier
    /// configuration has left is put all the same.
    pub(super) async fn open(task: &Task, retry: RetrySettings, most: Option<usize>) -> Result<Option<Self>, Failure> {
        let failed = |error: LogError| Failure::log("reading the records that wait to be put again", &error);
        let log = task.shared.log.as_ref();
        if most.is_none() && log.topic(&retries_topic(&task.id.connector)).is_none() {
            return Ok(None);
        }
        let topic = ensure_retries(log, &task.id.connector).await.map_err(failed)?.name.to_string();
        let mut deferring = Self {
            new: Rows::new(&topic),
            outcome: Rows::new(&topic),
            topic,
            next: 0,
            set: DeferredSet::default(),
            most: most.unwrap_or(0),
            retry,
            seed: task.seed,
            open: None,
            waiting: Letters::default(),
            letters: Vec::new(),
            whole_failures: 0,
            had_turn: false,
            ahead: Vec::new(),
            delivering: Vec::new(),
            added: 0,
        };
        let set = &mut deferring.set;
        deferring.next = read_all_rows(log, &deferring.topic, 0, |rows| set.take_in(rows)).await.map_err(failed)?;
        task.meters.deferred(deferring.len());
        Ok(Some(deferring))
    }

    /// The name of the topic.
    pub(super) fn topic(&self) -> &str {
        &self.topic
    }

    /// How many records wait.
    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    /// Waits for news in the topic.
    pub(super) fn follow(
        &self,
        log: std::sync::Arc<dyn LogEngine>,
    ) -> impl Future<Output = Result<Option<Fetched>, LogError>> + Send + 'static {
        let (topic, next) = (self.topic.clone(), self.next);
        async move { read_rows(log.as_ref(), &topic, next, FOLLOW_WAIT).await }
    }

    /// Takes in news of the topic.
    pub(super) fn take_in(&mut self, rows: &Fetched) {
        self.set.take_in(&rows.records);
        self.next = rows.next_offset;
    }

    /// Whether the record, as consumed, has to wait because its key does, or does so already. Then it is dealt with.
    pub(super) fn parks(&mut self, record: &Record<'_>, now_ms: i64) -> bool {
        if self.set.len() == 0 {
            return false;
        }
        let id = id_of(record);
        if self.set.holds(&id) {
            return true;
        }
        let lane = Lane::of(&id, record.key.bytes);
        if !self.set.parks(&lane) {
            return false;
        }
        let cause = "a record of the same key waits to be put again".to_owned();
        let fares = RetryState {
            stage: Stage::Put.name().to_owned(),
            attempt: 0,
            cause,
            code: BEHIND.to_owned(),
            since_ms: now_ms,
            next_ms: now_ms,
        };
        self.add(record, id, lane, &fares, now_ms);
        true
    }

    /// Whether there is room for records of further keys.
    pub(super) fn has_room(&self) -> bool {
        self.set.len() < self.most
    }

    /// The record, as consumed, is to wait. Answers false when it has been tried often enough.
    pub(super) fn defer(&mut self, record: &Record<'_>, cause: Cause<'_>, now_ms: i64) -> bool {
        let id = id_of(record);
        let Some(fares) = self.failed(&id, cause, now_ms) else { return false };
        if !self.set.holds(&id) {
            let lane = Lane::of(&id, record.key.bytes);
            self.add(record, id, lane, &fares, now_ms);
        }
        true
    }

    fn add(&mut self, record: &Record<'_>, id: RecordId, lane: Lane, fares: &RetryState, now_ms: i64) {
        let partition = id.partition();
        if self.open.as_ref().is_some_and(|(open, _)| *open != partition) {
            let added = self.seal();
            self.added = added;
        }
        let (_, first) = self.open.get_or_insert((partition, id.offset));
        *first = (*first).min(id.offset);
        self.new.waits(record, &id, now_ms);
        self.new.fares(&id, fares, now_ms);
        self.set.defer(id, lane);
        self.added += 1;
    }

    /// How a record fares after one more failure; none when it has been tried often enough.
    fn failed(&self, id: &RecordId, cause: Cause<'_>, now_ms: i64) -> Option<RetryState> {
        let before = self.set.fares(id);
        let mut backoff = Backoff::new(self.retry, self.seed ^ id.offset.cast_unsigned());
        backoff.resume(before.map_or(0, |fares| fares.attempt));
        let delay = backoff.next(cause.after)?;
        Some(RetryState {
            stage: Stage::Put.name().to_owned(),
            attempt: backoff.attempt(),
            cause: cause.reason.to_owned(),
            code: cause.code.to_owned(),
            since_ms: before.map_or(now_ms, |fares| fares.since_ms),
            next_ms: now_ms.saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)),
        })
    }

    /// What was deferred since the last call waits for the commit of the offset behind it. Answers how many records that is.
    pub(super) fn seal(&mut self) -> u64 {
        if let (Some((partition, first)), Some(records)) = (self.open.take(), self.new.take()) {
            self.waiting.add(vec![Letter { partition, first, records }]);
        }
        std::mem::take(&mut self.added)
    }

    /// Records whose time has come, with where they stand in the topic. Never twice in a row, so that the others have their turn.
    pub(super) fn give(&mut self, now_ms: i64, most: usize, owned: impl Fn(&RecordId) -> bool) -> Vec<(RecordId, i64)> {
        if std::mem::take(&mut self.had_turn) {
            return Vec::new();
        }
        let given = self.set.give(now_ms, most, owned);
        self.had_turn = !given.is_empty();
        self.ahead = given.iter().map(|(id, _)| id.clone()).collect();
        given
    }

    /// These of what was given out were found; the others are in news of the topic that are still to come.
    pub(super) fn found(&mut self, found: impl Iterator<Item = RecordId>) {
        let found: HashSet<_> = found.collect();
        let (ahead, missing) = std::mem::take(&mut self.ahead).into_iter().partition(|id| found.contains(id));
        self.ahead = ahead;
        self.set.recall(&missing);
    }

    /// What was given out is being put now.
    pub(super) fn delivering(&mut self) {
        self.delivering = std::mem::take(&mut self.ahead);
    }

    /// When the next record may be put.
    pub(super) fn next_ms(&self, owned: impl Fn(&RecordId) -> bool) -> Option<i64> {
        self.set.next_ms(owned)
    }

    /// What was fetched ahead is dropped, and waits again.
    pub(super) fn recall(&mut self) {
        self.set.recall(&std::mem::take(&mut self.ahead));
    }

    /// What was being put is dropped, and waits again as far as the guest has not taken it.
    pub(super) fn recall_delivery(&mut self) {
        self.set.recall(&std::mem::take(&mut self.delivering));
    }

    /// The guest has taken these.
    pub(super) fn handed(&mut self, ids: Vec<RecordId>) {
        self.set.handed(ids);
    }

    /// The record that was given out failed again. Answers false when it has been tried often enough.
    pub(super) fn failed_again(&mut self, id: &RecordId, cause: Cause<'_>, now_ms: i64) -> bool {
        let Some(fares) = self.failed(id, cause, now_ms) else { return false };
        self.outcome.fares(id, &fares, now_ms);
        self.set.settled([id.clone()]);
        true
    }

    /// The record that was given out is done with: delivered, filtered, skipped, or one of these dead letters.
    pub(super) fn done(&mut self, id: &RecordId, now_ms: i64) {
        self.outcome.gone(id, now_ms);
        self.set.settled([id.clone()]);
    }

    pub(super) fn dead_letters(&mut self, letters: Vec<Letter>) {
        self.letters.extend(letters.into_iter().map(|letter| letter.records));
    }

    /// A flush has made durable what the guest has taken, apart from partitions of which it still holds something.
    pub(super) fn flushed(&mut self, holds: impl Fn(&TopicPartition) -> bool, now_ms: i64) {
        for id in self.set.taken().into_iter().filter(|id| !holds(&id.partition())) {
            self.done(&id, now_ms);
        }
    }

    /// The guest lost what it had of the partition from here on.
    pub(super) fn rewound(&mut self, partition: &TopicPartition, offset: i64) {
        self.set.lost(partition);
        self.set.rewound(partition, offset);
        self.waiting.rewind(partition, offset);
    }

    /// Where the record stands in the topic, if it waits.
    pub(super) fn place(&self, id: &RecordId) -> Option<i64> {
        self.set.place(id)
    }

    /// Whether something is to be written whether offsets move or not.
    pub(super) fn must_commit(&self) -> bool {
        !self.outcome.is_empty() || !self.letters.is_empty() || self.waiting.too_many()
    }

    /// Whether something waits to be written.
    pub(super) fn is_unwritten(&self) -> bool {
        self.must_commit() || !self.waiting.is_empty()
    }

    /// Dead letters, and rows for the topic, that go with this commit.
    pub(super) fn due(&mut self, passed: impl Fn(&TopicPartition, i64) -> bool) -> (Vec<Batch>, Vec<Batch>) {
        let mut rows = self.waiting.due(passed);
        rows.extend(self.outcome.take());
        (std::mem::take(&mut self.letters), rows)
    }

    /// A batch failed as a whole. Answers whether it has done so often enough for the key of its first record to be set apart.
    pub(super) fn failed_as_a_whole(&mut self) -> bool {
        self.whole_failures += 1;
        let enough = self.whole_failures > WHOLE_FAILURES && self.has_room();
        if enough {
            self.whole_failures = 0;
        }
        enough
    }

    /// A batch went through, at least in part.
    pub(super) fn went_through(&mut self) {
        self.whole_failures = 0;
    }
}

/// Which record this is, as it was consumed.
pub(super) fn id_of(record: &Record<'_>) -> RecordId {
    RecordId { topic: record.origin().clone(), partition: record.run.partition, offset: record.offset.unwrap_or(-1) }
}

/// Whether two records must stay in order.
pub(super) fn same_lane(one: &Record<'_>, other: &Record<'_>) -> bool {
    Lane::of(&id_of(one), one.key.bytes) == Lane::of(&id_of(other), other.key.bytes)
}
