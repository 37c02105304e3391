//! Which partitions a sink task reads, and from where.
//!
//! A partition belongs to the task that its topic and number lead to, whatever other topics there are, so partitions never move
//! between tasks while these run and tasks need not agree on anything.

use std::collections::BTreeSet;

use towpath_log::{Error as LogError, GroupOffset, LogEngine, PartitionOffsets, Topic};
use towpath_model::TopicPartition;

use crate::settings::{Reset, SinkSettings, TopicSelection};
use crate::task::Failure;

/// The partitions of a task.
pub(super) fn partitions(
    topics: &[Topic],
    selection: &TopicSelection,
    task: u32,
    tasks: u32,
) -> BTreeSet<TopicPartition> {
    let selected = topics.iter().filter(|topic| {
        // A pattern such as `.*` does not mean the runtime's own topics; naming one does.
        selection.selects(&topic.name) && !(topic.internal && matches!(selection, TopicSelection::Matching(_)))
    });
    let owned = selected.flat_map(|topic| {
        let first = spread(&topic.name);
        (0..topic.partitions)
            .filter(move |partition| first.wrapping_add(partition.cast_unsigned()) % tasks.max(1) == task)
            .map(|partition| TopicPartition::new(topic.name.clone(), partition))
    });
    owned.collect()
}

/// FNV-1a, so that topics with one partition are spread over tasks as well.
fn spread(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Where to begin in a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) offset: i64,
    pub(super) committed: Option<i64>,
    pub(super) metadata: String,
    /// The committed offset, or where the last fetch wanted to go on, is not in the log any more.
    pub(super) out_of_range: bool,
}

/// Where to begin: at the committed offset, or as the settings say where there is none or none that the log still holds.
pub(super) fn start(
    log: &dyn LogEngine,
    partition: &TopicPartition,
    committed: Option<&GroupOffset>,
    settings: &SinkSettings,
) -> Result<Start, Failure> {
    let ends = log.offsets(partition).map_err(|error| Failure::log("looking up a partition", &error))?;
    let offset = committed.and_then(|committed| committed.offset);
    let metadata = committed.map(|committed| committed.metadata.clone()).unwrap_or_default();
    let from = |offset, out_of_range| Start { offset, committed: None, metadata: String::new(), out_of_range };
    match offset {
        Some(offset) if offset >= ends.start && offset <= ends.high_watermark => {
            Ok(Start { offset, committed: Some(offset), metadata, out_of_range: false })
        }
        Some(offset) => {
            // What was committed no longer counts: the first commit from here on is an advance, even below it.
            Ok(from(reset(partition, Some(offset), ends, settings.out_of_range)?, true))
        }
        None => Ok(from(reset(partition, None, ends, settings.start)?, false)),
    }
}

/// The offset that a policy leads to.
pub(super) fn reset(
    partition: &TopicPartition,
    offset: Option<i64>,
    ends: PartitionOffsets,
    policy: Reset,
) -> Result<i64, Failure> {
    match (policy, offset) {
        (Reset::Earliest, _) => Ok(ends.start),
        (Reset::Latest, _) => Ok(ends.high_watermark),
        (Reset::Fail, Some(offset)) => {
            let (start, end) = (ends.start, ends.high_watermark);
            let error = LogError::OffsetOutOfRange { partition: partition.clone(), offset, start, end };
            let failure = Failure::log("reading from the committed offset", &error);
            let hint = "Records were lost to retention before they were delivered. Set offset.out.of.range to earliest or latest \
                        to go on without them.";
            Err(Failure { message: format!("{}. {hint}", failure.message), restart: false, ..failure })
        }
        (Reset::Fail, None) => Err(Failure {
            code: "worker.no_offset".into(),
            message: format!("no offset is committed for {partition} and consumer.override.auto.offset.reset is none"),
            detail: None,
            restart: false,
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn topic(name: &str, partitions: i32, internal: bool) -> Topic {
        Topic { name: name.into(), id: uuid::Uuid::nil(), partitions, configs: BTreeMap::new(), internal }
    }

    #[test]
    fn every_partition_has_one_task_whatever_else_there_is() {
        let selection = TopicSelection::Matching(regex::Regex::new("^(?:.*)$").expect("sound"));
        let mut topics = vec![topic("a", 7, false), topic("b", 1, false), topic("connect-offsets", 25, true)];
        let assigned = |topics: &[Topic]| [0, 1, 2].map(|task| partitions(topics, &selection, task, 3));
        let before = assigned(&topics);
        assert_eq!(before.iter().map(BTreeSet::len).sum::<usize>(), 8);
        assert!(before.iter().all(|own| own.iter().filter(|partition| *partition.topic == *"a").count() >= 2));
        topics.insert(0, topic("A", 5, false));
        for (before, after) in before.iter().zip(assigned(&topics)) {
            assert!(after.is_superset(before), "partitions moved between tasks");
        }
    }

    #[test]
    fn an_internal_topic_is_read_only_when_it_is_named() {
        let selection = TopicSelection::Named(vec!["connect-offsets".into()]);
        assert_eq!(partitions(&[topic("connect-offsets", 2, true)], &selection, 0, 1).len(), 2);
    }
}
