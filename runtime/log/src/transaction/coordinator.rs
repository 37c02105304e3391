//! Drives the machines of all transactional ids: decides under one lock, in whose order everything is queued, and waits for the disk
//! outside of it.
//!
//! What is durable stands in [`Durable`] and follows from the records of `__transaction_state`. What is queued is a copy ahead of
//! it, which decisions are made by, and which is dropped when the queue is refused. Lock order: `ahead`, then the sequencer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard};

use tokio::sync::oneshot;
use towpath_model::TopicPartition;

use super::machine::{Event, Markers, Producer, Step, Transaction};
use super::metrics::Ended;
use super::record;
use crate::codec::{BatchEncoder, BatchHeader, Damaged, RawRecords, records_section, set_transactional, write_marker};
use crate::config::{OFFSETS_TOPIC, TRANSACTIONS_TOPIC};
use crate::core::{Core, Encoded, EncodedBatch, Enqueued};
use crate::engine::{Commit, Committed, Compression, GroupOffset};
use crate::error::Error;
use crate::journal::FrameBuilder;
use crate::partition::Partition;
use crate::partitioner::partition_of_group;
use crate::sync::{lock, read};

/// The durable state of all transactional ids.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    pub(super) by_id: BTreeMap<Arc<str>, Transaction>,
    by_producer: HashMap<i64, Arc<str>>,
    /// How transactions have ended since the log was opened.
    pub(crate) ended: Ended,
}

/// What is queued and not durable yet.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    states: HashMap<Arc<str>, (Option<Transaction>, usize)>,
}

/// Lets batches into the transactions that they claim to be part of, while the order of the queue is held.
pub(crate) struct Joining<'a> {
    core: &'a Core,
    ahead: MutexGuard<'a, Ahead>,
    changed: BTreeMap<Arc<str>, Transaction>,
    now_ms: i64,
}

pub(super) type Done = oneshot::Receiver<Result<Committed, Error>>;

impl Durable {
    pub(crate) fn restore(points: &BTreeMap<Arc<str>, Transaction>) -> Self {
        let mut durable = Self::default();
        for (id, transaction) in points {
            durable.set(id.clone(), Some(transaction.clone()));
        }
        durable
    }

    pub(crate) fn points(&self) -> BTreeMap<Arc<str>, Transaction> {
        self.by_id.clone()
    }

    /// Takes in a batch of `__transaction_state`.
    pub(crate) fn apply(&mut self, header: &BatchHeader, batch: &[u8]) -> Result<(), Damaged> {
        let section = records_section(header, batch)?;
        for record in RawRecords::new(header, &section) {
            let record = record?;
            if let Some((id, state)) = record.key.and_then(|key| record::decode(key, record.value)) {
                if let (Some(before), Some(after)) = (self.by_id.get(id.as_str()), &state) {
                    self.ended.note(before, after);
                }
                self.set(id.into(), state);
            }
        }
        Ok(())
    }

    fn set(&mut self, id: Arc<str>, state: Option<Transaction>) {
        let before = match state {
            Some(state) => {
                self.by_producer.insert(state.producer.id, id.clone());
                let now = state.producer.id;
                self.by_id.insert(id, state).filter(|before| before.producer.id != now)
            }
            None => self.by_id.remove(&id),
        };
        if let Some(before) = before {
            self.by_producer.remove(&before.producer.id);
        }
    }
}

impl Ahead {
    pub(crate) fn note(&mut self, id: Arc<str>, state: Option<Transaction>) {
        let (ahead, commits) = self.states.entry(id).or_insert((None, 0));
        *ahead = state;
        *commits += 1;
    }

    /// One of the commits that were noted is durable.
    pub(crate) fn settle(&mut self, id: &str) {
        if let Some((_, commits)) = self.states.get_mut(id) {
            *commits -= 1;
            if *commits == 0 {
                self.states.remove(id);
            }
        }
    }

    /// Forgets what was queued and never became durable.
    pub(crate) fn refuse(&mut self) {
        self.states.clear();
    }
}

impl<'a> Joining<'a> {
    /// Holds the order.
    pub(crate) fn begin(core: &'a Core, now_ms: i64) -> Self {
        Self { core, ahead: lock(&core.ahead), changed: BTreeMap::new(), now_ms }
    }

    /// Whether a batch may be part of its producer's transaction; `adds` makes its partition a part.
    pub(crate) fn admit(&mut self, header: &BatchHeader, partition: &TopicPartition, adds: bool) -> Result<(), Error> {
        let producer = Producer { id: header.producer_id, epoch: header.producer_epoch };
        let unknown = || Error::UnknownTransaction { id: format!("of producer {}", producer.id) };
        let id = read(&self.core.visible).transactions.by_producer.get(&producer.id).cloned().ok_or_else(unknown)?;
        let current = self.changed.get(&id).cloned().or_else(|| self.core.state_of(&self.ahead, &id));
        let current = current.ok_or_else(unknown)?;
        let partition = partition.clone();
        let event = match adds {
            true => Event::Add { producer, partitions: vec![partition], implied: true },
            false => Event::Write { producer, partition },
        };
        if let Step::Becomes(next, _) = current.on(event, self.now_ms).map_err(|refused| refused.error(&id))? {
            self.changed.insert(id, *next);
        }
        Ok(())
    }

    /// Adds the states that have changed to a commit.
    pub(crate) fn write(&self, encoded: Encoded) -> Result<Encoded, Error> {
        let states = self.changed.iter().map(|(id, state)| (id.clone(), Some(state)));
        self.core.with_states(encoded, states, self.now_ms)
    }

    /// The commit is queued.
    pub(crate) fn queued(mut self) {
        for (id, state) in std::mem::take(&mut self.changed) {
            self.ahead.note(id, Some(state));
        }
    }
}

impl Core {
    /// The state of an id as the next decision has to see it.
    pub(super) fn state_of(&self, ahead: &Ahead, id: &str) -> Option<Transaction> {
        match ahead.states.get(id) {
            Some((state, _)) => state.clone(),
            None => read(&self.visible).transactions.by_id.get(id).cloned(),
        }
    }

    /// Tells an id what happens and queues what comes of it. Its state then, and what to wait for.
    pub(super) fn transact(&self, id: &Arc<str>, event: Event) -> Result<(Transaction, Option<Done>), Error> {
        let now_ms = self.clock.now_ms();
        let mut ahead = lock(&self.ahead);
        let (state, markers) = match (self.state_of(&ahead, id), event) {
            (None, Event::Init { timeout_ms, fresh_id, .. }) => (Transaction::new(fresh_id, timeout_ms, now_ms), None),
            (None, _) => return Err(Error::UnknownTransaction { id: id.to_string() }),
            (Some(state), event) => match state.on(event, now_ms).map_err(|refused| refused.error(id))? {
                Step::Becomes(next, markers) => (*next, markers),
                Step::Nothing if !ahead.states.contains_key(id) => return Ok((state, None)),
                // What is so already is not durable yet; written once more, it is when this is.
                Step::Nothing => (state, None),
            },
        };
        let done = loop {
            let encoded = self.encode_end(markers.as_ref(), now_ms)?;
            let encoded = self.with_states(encoded, [(id.clone(), Some(&state))], now_ms)?;
            match self.enqueue(encoded) {
                // A topic of it was deleted in this moment; it needs no marker.
                Err(Error::UnknownTopic(_)) if markers.is_some() => {}
                queued => break expect_queued(queued?)?,
            }
        };
        ahead.note(id.clone(), Some(state.clone()));
        Ok((state, Some(done)))
    }

    /// Queues offsets of a group that count when the transaction commits.
    pub(super) fn transact_offsets(
        &self,
        id: &Arc<str>,
        producer: Producer,
        offsets: Vec<GroupOffset>,
        adds: bool,
    ) -> Result<Option<Done>, Error> {
        let Some(group) = offsets.first().map(|offset| offset.group.clone()) else { return Ok(None) };
        let partition = self.partition_of_offsets(&group)?;
        let event = match adds {
            true => Event::Add { producer, partitions: vec![partition], implied: true },
            false => Event::Write { producer, partition },
        };
        let encoded = self.encode(Commit { group_offsets: offsets, ..Commit::default() })?;
        self.transact_encoded(id, producer, event, encoded).map(Some)
    }

    /// Queues records and offsets of groups as a part of the transaction, which takes in all the partitions that they touch.
    pub(super) fn transact_commit(
        &self,
        id: &Arc<str>,
        producer: Producer,
        commit: Commit,
    ) -> Result<Option<Done>, Error> {
        let encoded = self.encode(commit)?;
        if encoded.batches.is_empty() {
            return Ok(None);
        }
        let partitions = encoded.batches.iter().map(|batch| batch.partition.name.clone()).collect();
        let event = Event::Add { producer, partitions, implied: false };
        self.transact_encoded(id, producer, event, encoded).map(Some)
    }

    /// Tells an id what happens and queues, as a part of its transaction, what that lets in.
    fn transact_encoded(
        &self,
        id: &Arc<str>,
        producer: Producer,
        event: Event,
        mut encoded: Encoded,
    ) -> Result<Done, Error> {
        encoded.become_part_of(producer)?;
        let now_ms = encoded.now_ms;
        let mut ahead = lock(&self.ahead);
        let unknown = || Error::UnknownTransaction { id: id.to_string() };
        let state = self.state_of(&ahead, id).ok_or_else(unknown)?;
        let step = state.on(event, now_ms).map_err(|refused| refused.error(id))?;
        let next = if let Step::Becomes(next, _) = step { Some(*next) } else { None };
        let states = next.as_ref().map(|next| (id.clone(), Some(next)));
        let done = expect_queued(self.enqueue(self.with_states(encoded, states, now_ms)?)?)?;
        if next.is_some() {
            ahead.note(id.clone(), next);
        }
        Ok(done)
    }

    /// Ends transactions that have been open for too long, and forgets ids that nobody has used for long.
    pub(crate) fn expire_transactions(&self) -> Result<(), Error> {
        let now_ms = self.clock.now_ms();
        let unused_since = now_ms.saturating_sub(self.config.transactional_id_expiration_ms);
        let mut late = Vec::new();
        let mut unused = Vec::new();
        for (id, state) in &read(&self.visible).transactions.by_id {
            if state.deadline_ms().is_some_and(|deadline| deadline <= now_ms) {
                late.push(id.clone());
            } else if !state.is_open() && state.updated_ms < unused_since {
                unused.push(id.clone());
            }
        }
        for id in late {
            tracing::warn!(transactional_id = %id, "a transaction was open for too long and is aborted");
            self.transact(&id, Event::Tick { fresh_id: self.new_producer_id() })?;
        }
        for id in unused {
            let mut ahead = lock(&self.ahead);
            if !ahead.states.contains_key(&id) {
                let encoded = self.with_states(self.encode_end(None, now_ms)?, [(id.clone(), None)], now_ms)?;
                expect_queued(self.enqueue(encoded)?)?;
                ahead.note(id, None);
            }
        }
        Ok(())
    }

    /// When the next transaction will have been open for too long.
    pub(crate) fn next_transaction_deadline_ms(&self) -> Option<i64> {
        read(&self.visible).transactions.by_id.values().filter_map(Transaction::deadline_ms).min()
    }

    pub(super) fn partition_of_offsets(&self, group: &str) -> Result<TopicPartition, Error> {
        let entry = self.topic_entry(OFFSETS_TOPIC)?;
        Ok(TopicPartition::new(entry.topic.name.clone(), partition_of_group(group, entry.topic.partitions)))
    }

    /// The markers of an end, in every partition that still exists.
    fn encode_end(&self, markers: Option<&Markers>, now_ms: i64) -> Result<Encoded, Error> {
        let mut frame = FrameBuilder::with_capacity(0);
        let mut batches = Vec::new();
        for name in markers.iter().flat_map(|markers| &markers.partitions) {
            let Some(Markers { producer, commit, .. }) = markers else { break };
            let Ok((_, partition)) = self.partition_of(name) else { continue };
            if partition.deleted.load(std::sync::atomic::Ordering::Acquire) {
                continue;
            }
            let write = |out: &mut Vec<u8>| write_marker((producer.id, producer.epoch), *commit, now_ms, out);
            batches.push(entry(&mut frame, partition, write)?);
        }
        Ok(Encoded { frame: frame.into_bytes(), batches, transactions: Vec::new(), now_ms })
    }

    /// A commit that also stores the states of ids.
    fn with_states<'s>(
        &self,
        encoded: Encoded,
        states: impl IntoIterator<Item = (Arc<str>, Option<&'s Transaction>)>,
        now_ms: i64,
    ) -> Result<Encoded, Error> {
        let Encoded { frame, mut batches, mut transactions, .. } = encoded;
        let mut frame = FrameBuilder::resume(frame);
        for (id, state) in states {
            let too_long = || Error::InvalidTransactionState { id: id.to_string(), reason: "it is too long" };
            let key = record::key(&id).ok_or_else(too_long)?;
            let value = state.map(record::value);
            let topic = self.topic_entry(TRANSACTIONS_TOPIC)?;
            let index = partition_of_group(&id, topic.topic.partitions);
            let (_, partition) = self.partition_of(&TopicPartition::new(topic.topic.name.clone(), index))?;
            let write = |out: &mut Vec<u8>| {
                let mut encoder = BatchEncoder::default();
                encoder.push_plain(Some(&key), value.as_deref(), now_ms);
                encoder.seal(Compression::None, None, out)
            };
            batches.push(entry(&mut frame, partition, write)?);
            transactions.push(id);
        }
        Ok(Encoded { frame: frame.into_bytes(), batches, transactions, now_ms })
    }
}

impl Encoded {
    /// Makes all batches part of a producer's transaction.
    fn become_part_of(&mut self, producer: Producer) -> Result<(), Error> {
        for batch in &mut self.batches {
            let place = batch.placed.at..batch.placed.at + batch.placed.bytes;
            let Some(bytes) = self.frame.get_mut(place) else { continue };
            set_transactional(bytes, (producer.id, producer.epoch), false);
            batch.header = BatchHeader::parse(bytes).map_err(|damage| Error::corrupt("a new batch", damage))?;
        }
        Ok(())
    }
}

/// Adds a batch of the log's own to a frame.
fn entry(
    frame: &mut FrameBuilder,
    partition: Arc<Partition>,
    write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>,
) -> Result<EncodedBatch, Error> {
    let placed = frame
        .entry(partition.topic, partition.name.partition, write)
        .map_err(|error| Error::io("writing the state of a transaction", error))?;
    let header = BatchHeader::parse(frame.slice(placed)).map_err(|damage| Error::corrupt("a new batch", damage))?;
    Ok(EncodedBatch { partition, placed, header, reported: false, at: None })
}

fn expect_queued(queued: Enqueued) -> Result<Done, Error> {
    match queued {
        Enqueued::Queued(done) => Ok(done),
        Enqueued::Forbidden(_) => Err(Error::Closed("what the log writes itself is not numbered".into())),
    }
}
