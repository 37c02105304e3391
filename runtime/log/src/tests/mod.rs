//! The engine on real files, through its public door, and through its records and disks where those are the question.

mod engine;
mod faults;
mod retention;
mod simulation;

use std::sync::Arc;

use towpath_model::{Batch, BatchBuilder, Form, Run, SystemClock, TopicPartition};

use crate::{Commit, Embedded, Fetch, Fetches, LogConfig, NewTopic, OsVfs};

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
