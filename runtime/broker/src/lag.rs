//! How far groups are behind, and how long it takes until retention deletes what they have not read.

use std::time::Duration;

use towpath_log::{FetchBatches, FetchLimits, Fetches, GroupOffsets, Topic, Topics, topic_config_defaults};
use towpath_model::TopicPartition;

use crate::node::Node;

/// Where a batch says the largest time of its records.
const MAX_TIMESTAMP: std::ops::Range<usize> = 35..43;

/// How far a group is behind in a partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Lag {
    /// The group.
    pub group: String,
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset that it reads.
    pub committed: i64,
    /// Records that it has yet to read.
    pub records: i64,
    /// Records that were deleted before it read them.
    pub lost: i64,
    /// Until the first record that it has yet to read may be deleted; none where it has read all, or nothing is ever deleted.
    pub time_left: Option<Duration>,
    /// How much of the time, or the space, until then is used up: 0 when it has read all, 1 when records are lost.
    pub exhaustion: f64,
}

/// How far all groups are behind.
pub(crate) async fn all(node: &Node) -> Vec<Lag> {
    let mut all = Vec::new();
    for group in node.log.groups() {
        for offset in node.log.group_offsets(&group) {
            let topic = node.log.topic(&offset.partition.topic);
            if let (Some(committed), Some(topic)) = (offset.offset, topic) {
                all.extend(of(node, &group, &topic, offset.partition, committed).await);
            }
        }
    }
    all
}

async fn of(node: &Node, group: &str, topic: &Topic, partition: TopicPartition, committed: i64) -> Option<Lag> {
    let ends = node.log.offsets(&partition).ok()?;
    let next = committed.clamp(ends.start, ends.high_watermark);
    let (records, lost) = (ends.high_watermark - next, (ends.start - committed).max(0));
    let deletes = config(topic, "cleanup.policy").contains("delete");
    let limit = |key: &str| config(topic, key).parse::<i64>().ok().filter(|limit| deletes && *limit > 0);
    let mut lag =
        Lag { group: group.to_owned(), partition, committed, records, lost, time_left: None, exhaustion: 0.0 };
    if records > 0 {
        if let Some(retention_ms) = limit("retention.ms")
            && let Some(time) = time_of(node, &lag.partition, next).await
        {
            let age_ms = node.clock.now_ms().saturating_sub(time).max(0);
            lag.time_left = Some(Duration::from_millis(u64::try_from(retention_ms - age_ms).unwrap_or(0)));
            lag.exhaustion = age_ms as f64 / retention_ms as f64;
        }
        // Space is used up to the extent that what is kept is unread, once anything was deleted for it.
        if limit("retention.bytes").is_some() && ends.start > 0 {
            lag.exhaustion = lag.exhaustion.max(records as f64 / (ends.high_watermark - ends.start) as f64);
        }
    }
    lag.exhaustion = if lost > 0 { 1.0 } else { lag.exhaustion.min(1.0) };
    Some(lag)
}

fn config<'a>(topic: &'a Topic, key: &str) -> &'a str {
    let default = || topic_config_defaults().find(|(name, _)| *name == key).map_or("", |(_, value)| value);
    topic.configs.get(key).map_or_else(default, String::as_str)
}

/// The time of the batch that holds an offset.
async fn time_of(node: &Node, partition: &TopicPartition, offset: i64) -> Option<i64> {
    let wanted = [FetchBatches { partition: partition.clone(), offset, bytes_max: 1, committed: false }];
    let limits = FetchLimits { bytes_min: 0, max_wait: Duration::ZERO, bytes_max: 1 };
    let fetched = node.log.fetch_batches(&wanted, limits).await.ok()?.into_iter().next()?.ok()?;
    let time = fetched.batches.first()?.get(MAX_TIMESTAMP)?.first_chunk()?;
    Some(i64::from_be_bytes(*time)).filter(|time| *time >= 0)
}
