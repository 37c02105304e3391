//! The engine on real files, through its public door, and through its records and disks where those are the question.

mod append_at;
mod batches;
mod compaction;
mod engine;
mod faults;
mod inspect;
mod kafka;
mod repair;
mod retention;
mod simulation;
mod transactions;

use std::sync::Arc;

use bytes::Bytes;
use towpath_model::{Batch, BatchBuilder, Form, Run, SystemClock, TopicPartition};

use crate::codec::BatchEncoder;
use crate::{Commit, Compression, Embedded, Fetch, Fetches, LogConfig, NewTopic, OsVfs};

/// Records for one topic: partition, key, value.
pub(crate) fn batch(topic: &str, records: &[(i32, Option<&str>, &str)]) -> Batch {
    let mut builder = BatchBuilder::default();
    let index = builder.topic(topic);
    for (partition, key, value) in records {
        let (key_form, value_form) = (Form::BYTES, Form::BYTES);
        builder.run(Run {
            records: 0,
            topic: index,
            origin: index,
            partition: *partition,
            key: key_form,
            value: value_form,
        });
        builder.key(key.map(str::as_bytes));
        builder.value(Some(value.as_bytes()));
        builder.end(None, None);
    }
    builder.build()
}

/// A batch as a client sends it, of values without keys. The producer is its id, epoch and first sequence.
pub(crate) fn received_batch(values: &[&str], compression: Compression, producer: (i64, i16, i32)) -> Bytes {
    let mut encoder = BatchEncoder::default();
    for value in values {
        encoder.push_plain(None, Some(value.as_bytes()), 1_000);
    }
    let mut bytes = Vec::new();
    encoder.seal(compression, None, &mut bytes).expect("compressed");
    bytes[12..16].copy_from_slice(&(-1i32).to_be_bytes());
    bytes[43..51].copy_from_slice(&producer.0.to_be_bytes());
    bytes[51..53].copy_from_slice(&producer.1.to_be_bytes());
    bytes[53..57].copy_from_slice(&producer.2.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// The same, as part of its producer's transaction.
pub(crate) fn transactional_batch(values: &[&str], producer: (i64, i16, i32)) -> Bytes {
    let mut bytes = received_batch(values, Compression::None, producer).to_vec();
    crate::codec::set_transactional(&mut bytes, (producer.0, producer.1), false);
    bytes.into()
}

/// A commit of one batch.
pub(crate) fn commit(records: Batch) -> Commit {
    Commit { records: vec![records], ..Commit::default() }
}

pub(crate) fn topic(name: &str, partitions: i32) -> NewTopic {
    NewTopic { name: name.into(), partitions: Some(partitions), ..NewTopic::default() }
}

pub(crate) fn open(dir: &std::path::Path) -> Arc<Embedded> {
    let log = Embedded::open(LogConfig::new(dir), Arc::new(OsVfs), Arc::new(SystemClock::default()), 7);
    Arc::new(log.expect("the log opens"))
}

/// All values of a partition from an offset on, with their offsets.
pub(crate) async fn values(log: &Embedded, partition: &TopicPartition, from: i64) -> Vec<(i64, String)> {
    let mut found = Vec::new();
    let mut offset = from;
    loop {
        let wanted = [Fetch { partition: partition.clone(), offset }];
        let fetched = log.fetch(&wanted, 1 << 16, std::time::Duration::ZERO).await.expect("a fetch");
        let fetched = fetched.first().expect("one partition");
        for record in fetched.records.records() {
            let value = String::from_utf8_lossy(record.value.bytes.expect("a value")).into_owned();
            found.push((record.offset.expect("an offset"), value));
        }
        if fetched.next_offset == offset {
            return found;
        }
        offset = fetched.next_offset;
    }
}
