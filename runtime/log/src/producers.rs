//! Idempotent producers of one partition: which batches each sent last, so that one that is sent again is known, and one that is
//! missing is noticed.
//!
//! What is durable follows from the batches of the log and is repeated in checkpoints. What is queued is a copy ahead of it, which
//! the sequencer judges by, and which is dropped when the queue is refused.

use std::collections::{HashMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::codec::BatchHeader;
use crate::transaction::{ActiveProducer, Producer as Identity};

/// How many batches of a producer are remembered: as many as a client may have under way.
const WINDOW: usize = 5;
/// How many producers a partition remembers.
const PRODUCERS_MAX: usize = 10_000;

/// What a partition knows of its producers.
#[derive(Debug, Default)]
pub(crate) struct Producers {
    durable: HashMap<i64, Producer>,
    queued: HashMap<i64, Producer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: i16,
    window: VecDeque<Sent>,
    last_ms: i64,
}

/// A batch that a producer sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sent {
    first_sequence: i32,
    last_sequence: i32,
    pub(crate) base_offset: i64,
}

/// A producer in a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProducerPoint {
    id: i64,
    epoch: i16,
    last_ms: i64,
    window: Vec<Sent>,
}

/// Why a batch is not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It was appended before.
    Duplicate(Sent),
    /// A batch before it is missing, or it is older than what is remembered.
    OutOfOrder,
    /// Nothing is known of its producer, and it is not the first.
    Unknown,
    /// A newer instance of its producer has taken over.
    Fenced,
}

/// What is known of a batch that was sent before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Durable,
    Queued,
    /// The queue it stood in was refused.
    Lost,
}

impl Producers {
    /// The producers as a checkpoint listed them.
    pub(crate) fn restore(points: &[ProducerPoint]) -> Self {
        let producer = |point: &ProducerPoint| {
            let window = point.window.iter().copied().collect();
            (point.id, Producer { epoch: point.epoch, window, last_ms: point.last_ms })
        };
        Self { durable: points.iter().map(producer).collect(), queued: HashMap::new() }
    }

    /// The list for a checkpoint.
    pub(crate) fn points(&self) -> Vec<ProducerPoint> {
        let point = |(id, producer): (&i64, &Producer)| {
            let window = producer.window.iter().copied().collect();
            ProducerPoint { id: *id, epoch: producer.epoch, last_ms: producer.last_ms, window }
        };
        self.durable.iter().map(point).collect()
    }

    /// Why a batch must not be appended, if so.
    pub(crate) fn judge(&self, header: &BatchHeader) -> Option<Verdict> {
        let Some(producer) = self.known(header.producer_id) else {
            // Taken as the first, it would shut out an earlier one that was refused and is sent again.
            return (header.base_sequence != 0).then_some(Verdict::Unknown);
        };
        if header.producer_epoch < producer.epoch {
            return Some(Verdict::Fenced);
        }
        if header.producer_epoch > producer.epoch {
            return (header.base_sequence != 0).then_some(Verdict::OutOfOrder);
        }
        if let Some(sent) = producer.find(header) {
            return Some(Verdict::Duplicate(sent));
        }
        let expected = producer.window.back().map_or(header.base_sequence, |last| following(last.last_sequence, 1));
        (header.base_sequence != expected).then_some(Verdict::OutOfOrder)
    }

    /// Notes a batch that was queued.
    pub(crate) fn queue(&mut self, header: &BatchHeader, now_ms: i64) {
        if !header.numbered() {
            return self.queue_fence(header, now_ms);
        }
        let mut producer = self.known(header.producer_id).cloned().unwrap_or_else(|| Producer::new(header));
        producer.push(header, now_ms);
        self.queued.insert(header.producer_id, producer);
    }

    /// Notes a batch that is durable.
    pub(crate) fn apply(&mut self, header: &BatchHeader, now_ms: i64) {
        if !header.numbered() {
            let Some(producer) = self.durable.get_mut(&header.producer_id) else { return };
            producer.fence(header, now_ms);
            if self.queued.get(&header.producer_id).is_some_and(|queued| queued.is_at(producer)) {
                self.queued.remove(&header.producer_id);
            }
            return;
        }
        if self.durable.len() >= PRODUCERS_MAX && !self.durable.contains_key(&header.producer_id) {
            let oldest = self.durable.iter().min_by_key(|(_, producer)| producer.last_ms).map(|(id, _)| *id);
            oldest.map(|id| self.durable.remove(&id));
        }
        let producer = self.durable.entry(header.producer_id).or_insert_with(|| Producer::new(header));
        producer.push(header, now_ms);
        if self.queued.get(&header.producer_id).is_some_and(|queued| queued.is_at(producer)) {
            self.queued.remove(&header.producer_id);
        }
    }

    /// A marker fences instances that are older than it; it tells nothing of a producer that is not known.
    fn queue_fence(&mut self, header: &BatchHeader, now_ms: i64) {
        if let Some(mut producer) = self.known(header.producer_id).cloned()
            && producer.epoch < header.producer_epoch
        {
            producer.fence(header, now_ms);
            self.queued.insert(header.producer_id, producer);
        }
    }

    /// All that are known, as tools are shown them; where their transactions begin is for others to say.
    pub(crate) fn active(&self) -> Vec<ActiveProducer> {
        let mut found: Vec<_> = self
            .durable
            .iter()
            .map(|(id, producer)| ActiveProducer {
                producer: Identity { id: *id, epoch: producer.epoch },
                last_sequence: producer.window.back().map_or(-1, |last| last.last_sequence),
                last_ms: producer.last_ms,
                open_since: None,
            })
            .collect();
        found.sort_by_key(|active| active.producer.id);
        found
    }

    fn known(&self, producer_id: i64) -> Option<&Producer> {
        self.queued.get(&producer_id).or_else(|| self.durable.get(&producer_id))
    }

    /// Forgets what was queued and never became durable.
    pub(crate) fn refuse_queued(&mut self) {
        self.queued.clear();
    }

    /// Forgets who has sent nothing since, but for those that `stays` names.
    pub(crate) fn expire(&mut self, before_ms: i64, stays: impl Fn(i64) -> bool) {
        self.durable.retain(|id, producer| producer.last_ms >= before_ms || stays(*id));
    }

    /// What became of a batch that was sent before.
    pub(crate) fn fate(&self, header: &BatchHeader) -> Fate {
        let holds = |producers: &HashMap<i64, Producer>| {
            producers.get(&header.producer_id).is_some_and(|producer| producer.find(header).is_some())
        };
        match (holds(&self.durable), holds(&self.queued)) {
            (true, _) => Fate::Durable,
            (false, true) => Fate::Queued,
            (false, false) => Fate::Lost,
        }
    }
}

impl Producer {
    fn new(header: &BatchHeader) -> Self {
        Self { epoch: header.producer_epoch, window: VecDeque::new(), last_ms: 0 }
    }

    fn find(&self, header: &BatchHeader) -> Option<Sent> {
        let (first, last) = (header.base_sequence, last_sequence(header));
        let same = |sent: &&Sent| sent.first_sequence == first && sent.last_sequence == last;
        self.window.iter().find(same).copied().filter(|_| self.epoch == header.producer_epoch)
    }

    fn fence(&mut self, header: &BatchHeader, now_ms: i64) {
        if header.producer_epoch > self.epoch {
            self.epoch = header.producer_epoch;
            self.window.clear();
        }
        self.last_ms = now_ms;
    }

    /// Whether the other has come as far.
    fn is_at(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.window.back() == other.window.back()
    }

    fn push(&mut self, header: &BatchHeader, now_ms: i64) {
        if header.producer_epoch != self.epoch {
            self.epoch = header.producer_epoch;
            self.window.clear();
        }
        if self.window.len() == WINDOW {
            self.window.pop_front();
        }
        let (first_sequence, last_sequence) = (header.base_sequence, last_sequence(header));
        self.window.push_back(Sent { first_sequence, last_sequence, base_offset: header.base_offset });
        self.last_ms = now_ms;
    }
}

fn last_sequence(header: &BatchHeader) -> i32 {
    following(header.base_sequence, header.records.saturating_sub(1))
}

/// The sequence `by` places further; after the largest comes zero.
fn following(sequence: i32, by: i32) -> i32 {
    sequence.wrapping_add(by) & i32::MAX
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::empty_batch;

    fn header(epoch: i16, base_sequence: i32, records: i32, base_offset: i64) -> BatchHeader {
        let mut header = BatchHeader::parse(&empty_batch(base_offset, base_offset + 1)).expect("a head");
        (header.producer_id, header.producer_epoch, header.base_sequence) = (7, epoch, base_sequence);
        header.records = records;
        header
    }

    #[test]
    fn a_batch_that_is_sent_again_is_known_while_it_is_queued_and_when_it_is_durable() {
        let mut producers = Producers::default();
        let first = header(0, 0, 3, 10);
        assert_eq!(producers.judge(&first), None);
        assert_eq!(producers.judge(&header(0, 3, 1, 13)), Some(Verdict::Unknown), "the first is missing");
        producers.queue(&first, 1);
        let Some(Verdict::Duplicate(sent)) = producers.judge(&first) else { panic!("not known") };
        assert_eq!(sent.base_offset, 10);
        assert_eq!(producers.fate(&first), Fate::Queued);
        producers.apply(&first, 1);
        assert_eq!(producers.fate(&first), Fate::Durable);
        let restored = Producers::restore(&producers.points());
        assert_eq!(restored.judge(&first), Some(Verdict::Duplicate(sent)));
        assert_eq!(restored.judge(&header(0, 3, 1, 13)), None);
    }

    #[test]
    fn a_gap_a_batch_beyond_the_window_and_an_old_instance_are_refused() {
        let mut producers = Producers::default();
        for batch in 0..6 {
            producers.apply(&header(1, batch * 2, 2, 0), 1);
        }
        assert_eq!(producers.judge(&header(1, 13, 1, 0)), Some(Verdict::OutOfOrder));
        assert_eq!(producers.judge(&header(1, 0, 2, 0)), Some(Verdict::OutOfOrder), "six batches ago");
        assert!(matches!(producers.judge(&header(1, 2, 2, 0)), Some(Verdict::Duplicate(_))));
        assert_eq!(producers.judge(&header(0, 12, 1, 0)), Some(Verdict::Fenced));
        assert_eq!(producers.judge(&header(2, 5, 1, 0)), Some(Verdict::OutOfOrder), "a new instance begins with 0");
        assert_eq!(producers.judge(&header(2, 0, 1, 0)), None);
    }

    #[test]
    fn a_refused_queue_is_forgotten_and_sequences_begin_anew_after_the_largest() {
        let mut producers = Producers::default();
        let last = header(0, i32::MAX, 1, 4);
        producers.queue(&last, 1);
        assert_eq!(producers.judge(&header(0, 0, 1, 5)), None);
        producers.refuse_queued();
        assert_eq!(producers.fate(&last), Fate::Lost);
        producers.apply(&last, 1);
        producers.expire(2, |_| false);
        assert_eq!(producers.fate(&last), Fate::Lost);
    }
}
