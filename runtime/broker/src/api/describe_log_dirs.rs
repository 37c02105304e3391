//! DescribeLogDirs: the one directory, and what partitions take in it.

use std::collections::BTreeMap;

use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::node::{Node, topic_name};

/// How large the volume is, and what is free, is not told.
const UNKNOWN: i64 = -1;

pub(super) fn answer(node: &Node, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let (dir, sizes) = node.log.disk_use();
    let wanted = |topic: &str, partition: i32| {
        let Some(topics) = &request.topics else { return true };
        topics.iter().any(|wanted| wanted.topic.as_str() == topic && wanted.partitions.contains(&partition))
    };
    let mut topics: BTreeMap<String, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for (name, bytes) in sizes.iter().filter(|(name, _)| wanted(&name.topic, name.partition)) {
        let size = i64::try_from(*bytes).unwrap_or(i64::MAX);
        let partition =
            DescribeLogDirsPartition::default().with_partition_index(name.partition).with_partition_size(size);
        topics.entry(name.topic.to_string()).or_default().push(partition);
    }
    let topic = |(name, partitions): (String, Vec<DescribeLogDirsPartition>)| {
        DescribeLogDirsTopic::default().with_name(topic_name(&name)).with_partitions(partitions)
    };
    let result = DescribeLogDirsResult::default()
        .with_log_dir(StrBytes::from_string(dir.display().to_string()))
        .with_topics(topics.into_iter().map(topic).collect())
        .with_total_bytes(UNKNOWN)
        .with_usable_bytes(UNKNOWN);
    DescribeLogDirsResponse::default().with_results(vec![result])
}
