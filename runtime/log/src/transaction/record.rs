//! The state of a transactional id as Kafka stores it: records of `__transaction_state`, which its tools read.
//!
//! Key: version 2 bytes (0), transactional id. Value, version 1 (compact lengths, tagged fields): producer id 8, epoch 2, timeout 4,
//! status 1, topics (name, partitions 4 each) or null, last update 8, start 8, then tagged: previous producer id (0), client's
//! transaction version (2). One tagged field is ours: the epoch that went before (1000).

use std::collections::{BTreeMap, BTreeSet};

use towpath_model::TopicPartition;

use super::machine::{Producer, Transaction, TransactionStatus};

const KEY_VERSION: i16 = 0;
const VALUE_VERSION: i16 = 1;
const PREVIOUS_ID: u32 = 0;
const CLIENT_VERSION: u32 = 2;
const PREVIOUS_EPOCH: u32 = 1000;
/// What clients of KIP-890 are noted as.
const BUMPS: i16 = 2;

/// The key of an id; none where the id is too long.
pub(crate) fn key(id: &str) -> Option<Vec<u8>> {
    let length = i16::try_from(id.len()).ok()?;
    let mut out = KEY_VERSION.to_be_bytes().to_vec();
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(id.as_bytes());
    Some(out)
}

/// The value of a state.
pub(crate) fn value(transaction: &Transaction) -> Vec<u8> {
    let mut out = VALUE_VERSION.to_be_bytes().to_vec();
    out.extend_from_slice(&transaction.producer.id.to_be_bytes());
    out.extend_from_slice(&transaction.producer.epoch.to_be_bytes());
    out.extend_from_slice(&transaction.timeout_ms.to_be_bytes());
    out.push(number_of(transaction.status));
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for partition in &transaction.partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    match transaction.status {
        TransactionStatus::Empty => out.push(0),
        _ => {
            unsigned(&mut out, topics.len() as u32 + 1);
            for (topic, partitions) in topics {
                unsigned(&mut out, topic.len() as u32 + 1);
                out.extend_from_slice(topic.as_bytes());
                unsigned(&mut out, partitions.len() as u32 + 1);
                partitions.iter().for_each(|partition| out.extend_from_slice(&partition.to_be_bytes()));
                out.push(0);
            }
        }
    }
    out.extend_from_slice(&transaction.updated_ms.to_be_bytes());
    out.extend_from_slice(&transaction.started_ms.unwrap_or(-1).to_be_bytes());
    let mut tagged: Vec<(u32, Vec<u8>)> = Vec::new();
    if let Some(previous) = transaction.previous {
        tagged.push((PREVIOUS_ID, previous.id.to_be_bytes().to_vec()));
    }
    if transaction.bumps {
        tagged.push((CLIENT_VERSION, BUMPS.to_be_bytes().to_vec()));
    }
    if let Some(previous) = transaction.previous {
        tagged.push((PREVIOUS_EPOCH, previous.epoch.to_be_bytes().to_vec()));
    }
    unsigned(&mut out, tagged.len() as u32);
    for (tag, bytes) in tagged {
        unsigned(&mut out, tag);
        unsigned(&mut out, bytes.len() as u32);
        out.extend_from_slice(&bytes);
    }
    out
}

/// Reads a record back: the id and its state, or none where it is removed. None for records of other kinds.
pub(crate) fn decode(key: &[u8], value: Option<&[u8]>) -> Option<(String, Option<Transaction>)> {
    let mut key = Reader(key);
    if i16::from_be_bytes(key.take()?) != KEY_VERSION {
        return None;
    }
    let length = u32::try_from(i16::from_be_bytes(key.take()?)).ok()?;
    let id = key.text(length)?;
    let Some(value) = value else { return Some((id, None)) };
    Some((id, Some(decode_value(Reader(value))?)))
}

fn decode_value(mut value: Reader<'_>) -> Option<Transaction> {
    if i16::from_be_bytes(value.take()?) != VALUE_VERSION {
        return None;
    }
    let producer = Producer { id: i64::from_be_bytes(value.take()?), epoch: i16::from_be_bytes(value.take()?) };
    let timeout_ms = i32::from_be_bytes(value.take()?);
    let [status] = value.take()?;
    let mut partitions = BTreeSet::new();
    for _ in 1..value.unsigned()? {
        let length = value.unsigned()?.checked_sub(1)?;
        let topic: std::sync::Arc<str> = value.text(length)?.into();
        for _ in 1..value.unsigned()? {
            partitions.insert(TopicPartition::new(topic.clone(), i32::from_be_bytes(value.take()?)));
        }
        value.tagged()?;
    }
    let updated_ms = i64::from_be_bytes(value.take()?);
    let started_ms = Some(i64::from_be_bytes(value.take()?)).filter(|started| *started >= 0);
    let tagged = value.tagged()?;
    let number = |tag: u32| {
        let bytes = tagged.get(&tag)?;
        bytes.iter().try_fold(0i64, |number, byte| number.checked_mul(256).map(|number| number | i64::from(*byte)))
    };
    let previous = number(PREVIOUS_ID)
        .zip(number(PREVIOUS_EPOCH))
        .and_then(|(id, epoch)| Some(Producer { id, epoch: i16::try_from(epoch).ok()? }));
    Some(Transaction {
        producer,
        previous,
        timeout_ms,
        status: status_of(status)?,
        partitions,
        started_ms,
        updated_ms,
        bumps: number(CLIENT_VERSION) == Some(i64::from(BUMPS)),
    })
}

fn number_of(status: TransactionStatus) -> u8 {
    match status {
        TransactionStatus::Empty => 0,
        TransactionStatus::Ongoing => 1,
        TransactionStatus::CompleteCommit => 4,
        TransactionStatus::CompleteAbort => 5,
    }
}

fn status_of(number: u8) -> Option<TransactionStatus> {
    match number {
        0 => Some(TransactionStatus::Empty),
        1 => Some(TransactionStatus::Ongoing),
        4 => Some(TransactionStatus::CompleteCommit),
        5 => Some(TransactionStatus::CompleteAbort),
        _ => None,
    }
}

/// Kafka's unsigned variable-length number.
fn unsigned(out: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn bytes(&mut self, length: u32) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length as usize)?;
        self.0 = rest;
        Some(bytes)
    }

    fn text(&mut self, length: u32) -> Option<String> {
        String::from_utf8(self.bytes(length)?.to_vec()).ok()
    }

    fn unsigned(&mut self) -> Option<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let [byte] = self.take()?;
            value |= u32::from(byte & 0x7f).checked_shl(shift)?;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn tagged(&mut self) -> Option<BTreeMap<u32, &'a [u8]>> {
        let mut found = BTreeMap::new();
        for _ in 0..self.unsigned()? {
            let tag = self.unsigned()?;
            let length = self.unsigned()?;
            found.insert(tag, self.bytes(length)?);
        }
        Some(found)
    }
}
