//! One transactional id: what it does with each event, without a clock and without IO.
//!
//! ```text
//!            partition, group or record comes in              end
//!   Empty ──────────────────────────────────────> Ongoing ─────────> CompleteCommit | CompleteAbort
//!     ^  ^                                           │  ^                          │
//!     │  └──────── a new instance: aborts ───────────┤  └──── the next one ────────┘
//!     └─────────── a new instance ───────────────────┼─────────────────────────────┘
//!                                                    └─ too long open: aborts, and fences ─> CompleteAbort
//! ```
//! Who speaks with an older epoch is fenced. Clients of KIP-890 get a new epoch with every end, so that nothing of one transaction
//! can be taken for a part of the next. Kafka's states that prepare an end do not occur: ends are whole at once.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use towpath_model::TopicPartition;

use crate::error::Error;

/// The last epoch but one is the last that is given; one more is left to fence it.
const LAST_EPOCH: i16 = i16::MAX - 1;

/// A producer: its id, and which instance of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Producer {
    /// The id.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
}

/// Where a transactional id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum TransactionStatus {
    Empty,
    Ongoing,
    CompleteCommit,
    CompleteAbort,
}

impl TransactionStatus {
    /// Its name in Kafka.
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    fn ended(commit: bool) -> Self {
        if commit { Self::CompleteCommit } else { Self::CompleteAbort }
    }
}

/// The state of a transactional id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Transaction {
    pub(crate) producer: Producer,
    /// The producer before the last change of epoch by the client's own doing; who repeats that change is known by it.
    pub(crate) previous: Option<Producer>,
    pub(crate) timeout_ms: i32,
    pub(crate) status: TransactionStatus,
    pub(crate) partitions: BTreeSet<TopicPartition>,
    /// When the open transaction began.
    pub(crate) started_ms: Option<i64>,
    pub(crate) updated_ms: i64,
    /// Whether the client gets a new epoch with every end.
    pub(crate) bumps: bool,
}

/// What happens to a transactional id.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// An instance of its producer begins; one that knows who it was until now says so (KIP-360).
    Init { timeout_ms: i32, claimed: Option<Producer>, fresh_id: i64 },
    /// Partitions are to be part of the transaction. `implied` where the client sent records or offsets at once (KIP-890).
    Add { producer: Producer, partitions: Vec<TopicPartition>, implied: bool },
    /// Something is written that must be part of the transaction already.
    Write { producer: Producer, partition: TopicPartition },
    /// The client commits or aborts. `bumps` where it takes the epoch from the answer.
    End { producer: Producer, commit: bool, bumps: bool, fresh_id: i64 },
    /// Time has passed.
    Tick { fresh_id: i64 },
}

/// What comes of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Everything is as it should be already.
    Nothing,
    /// The state becomes this, together with the markers.
    Becomes(Box<Transaction>, Option<Markers>),
}

/// The markers that end a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Markers {
    pub(crate) producer: Producer,
    pub(crate) commit: bool,
    pub(crate) partitions: BTreeSet<TopicPartition>,
}

/// Why an event has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The id belongs to another producer.
    Unknown,
    /// A newer instance has taken over, or the transaction took too long.
    Fenced,
    /// It does not fit what the transaction is in.
    OutOfPlace(&'static str),
}

impl Refused {
    pub(crate) fn error(self, id: &str) -> Error {
        let id = id.to_owned();
        match self {
            Self::Unknown => Error::UnknownTransaction { id },
            Self::Fenced => Error::TransactionFenced { id },
            Self::OutOfPlace(reason) => Error::InvalidTransactionState { id, reason },
        }
    }
}

impl Transaction {
    /// A transactional id that is seen for the first time.
    pub(crate) fn new(producer_id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Self {
            producer: Producer { id: producer_id, epoch: 0 },
            previous: None,
            timeout_ms,
            status: TransactionStatus::Empty,
            partitions: BTreeSet::new(),
            started_ms: None,
            updated_ms: now_ms,
            bumps: false,
        }
    }

    /// What an event does, at a time in milliseconds.
    pub(crate) fn on(&self, event: Event, now_ms: i64) -> Result<Step, Refused> {
        match event {
            Event::Init { timeout_ms, claimed, fresh_id } => self.init(timeout_ms, claimed, fresh_id, now_ms),
            Event::Add { producer, partitions, implied } => {
                self.identify(producer)?;
                Ok(self.add(partitions, implied, now_ms))
            }
            Event::Write { producer, partition } => {
                self.identify(producer)?;
                let joined = self.is_open() && self.partitions.contains(&partition);
                if joined { Ok(Step::Nothing) } else { Err(Refused::OutOfPlace("the partition is no part of it")) }
            }
            Event::End { producer, commit, bumps: true, fresh_id } => self.end(producer, commit, fresh_id, now_ms),
            Event::End { producer, commit, bumps: false, .. } => self.end_in_place(producer, commit, now_ms),
            Event::Tick { fresh_id } => Ok(self.tick(fresh_id, now_ms)),
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        self.status == TransactionStatus::Ongoing
    }

    /// When it wants to be told that time has passed.
    pub(crate) fn deadline_ms(&self) -> Option<i64> {
        self.started_ms.filter(|_| self.is_open()).map(|started| started.saturating_add(i64::from(self.timeout_ms)))
    }

    fn identify(&self, producer: Producer) -> Result<(), Refused> {
        match producer {
            Producer { id, .. } if id != self.producer.id => Err(Refused::Unknown),
            Producer { epoch, .. } if epoch != self.producer.epoch => Err(Refused::Fenced),
            _ => Ok(()),
        }
    }

    fn init(&self, timeout_ms: i32, claimed: Option<Producer>, fresh_id: i64, now_ms: i64) -> Result<Step, Refused> {
        let repeated = match claimed {
            None => false,
            Some(claimed) if claimed == self.producer => false,
            // It asks again because the answer was lost.
            Some(claimed) if self.previous == Some(claimed) => !self.is_open(),
            Some(_) => return Err(Refused::Fenced),
        };
        let mut next = self.clone();
        if !repeated {
            next.bump(fresh_id);
            next.previous = claimed;
        }
        (next.timeout_ms, next.updated_ms) = (timeout_ms, now_ms);
        let markers = next.close(TransactionStatus::Empty, self.markers(false));
        Ok(Step::Becomes(Box::new(next), markers))
    }

    fn add(&self, partitions: Vec<TopicPartition>, implied: bool, now_ms: i64) -> Step {
        if self.is_open() && partitions.iter().all(|partition| self.partitions.contains(partition)) {
            return Step::Nothing;
        }
        let mut next = self.clone();
        if !self.is_open() {
            (next.status, next.started_ms) = (TransactionStatus::Ongoing, Some(now_ms));
        }
        next.bumps = implied;
        next.partitions.extend(partitions);
        next.updated_ms = now_ms;
        Step::Becomes(Box::new(next), None)
    }

    /// An end as clients before KIP-890 know it: the epoch stays.
    fn end_in_place(&self, producer: Producer, commit: bool, now_ms: i64) -> Result<Step, Refused> {
        self.identify(producer)?;
        let ended = TransactionStatus::ended(commit);
        if !self.is_open() {
            // It was asked before, and the answer was lost.
            return if self.status == ended { Ok(Step::Nothing) } else { Err(Refused::OutOfPlace("it is not open")) };
        }
        let mut next = self.clone();
        next.updated_ms = now_ms;
        let markers = next.close(ended, self.markers(commit).map(|markers| Markers { producer, ..markers }));
        Ok(Step::Becomes(Box::new(next), markers))
    }

    /// An end that brings a new epoch.
    fn end(&self, producer: Producer, commit: bool, fresh_id: i64, now_ms: i64) -> Result<Step, Refused> {
        let ended = TransactionStatus::ended(commit);
        if self.previous == Some(producer) && !self.is_open() && self.status != TransactionStatus::Empty {
            let repeated = self.status == ended;
            return if repeated { Ok(Step::Nothing) } else { Err(Refused::OutOfPlace("it has ended the other way")) };
        }
        self.identify(producer)?;
        if !self.is_open() && commit {
            return Err(Refused::OutOfPlace("it is not open"));
        }
        let mut next = self.clone();
        next.bump(fresh_id);
        next.previous = Some(producer);
        (next.updated_ms, next.bumps) = (now_ms, true);
        // A client that does not know whether anything of it has arrived aborts to be sure.
        let markers = next.close(ended, self.markers(commit));
        Ok(Step::Becomes(Box::new(next), markers))
    }

    fn tick(&self, fresh_id: i64, now_ms: i64) -> Step {
        if self.deadline_ms().is_none_or(|deadline| now_ms < deadline) {
            return Step::Nothing;
        }
        let mut next = self.clone();
        next.bump(fresh_id);
        next.previous = None;
        next.updated_ms = now_ms;
        let markers = next.close(TransactionStatus::CompleteAbort, self.markers(false));
        Step::Becomes(Box::new(next), markers)
    }

    /// The markers of the transaction that is open: with the epoch after the present one, which fences it everywhere.
    fn markers(&self, commit: bool) -> Option<Markers> {
        let Producer { id, epoch } = self.producer;
        let producer = Producer { id, epoch: epoch.saturating_add(1) };
        self.is_open().then(|| Markers { producer, commit, partitions: self.partitions.clone() })
    }

    fn close(&mut self, status: TransactionStatus, markers: Option<Markers>) -> Option<Markers> {
        (self.status, self.started_ms) = (status, None);
        self.partitions.clear();
        markers
    }

    /// The next epoch, or a new id where there is none.
    fn bump(&mut self, fresh_id: i64) {
        self.producer = match self.producer {
            Producer { id, epoch } if epoch < LAST_EPOCH => Producer { id, epoch: epoch + 1 },
            _ => Producer { id: fresh_id, epoch: 0 },
        };
    }
}
