//! The topics of connectors that are taken over. They get the same partitions here and go on at the same offsets, so that positions of
//! sinks, and of any other group, stay true; what no sink has read comes along. What is here already is held against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use towpath_broker::admin::Cluster;
use towpath_config::Finding;
use towpath_log::{Embedded, Fetch, Fetches as _, NewTopic, Stretch, Topics as _};
use towpath_model::{Batch, TopicPartition};
use towpath_worker::migration::reads;

use super::gather::Coming;
use crate::connect_cluster::ConnectCluster;
use crate::failure::{Failure, Result};
use crate::migration_findings;
use crate::operator::failure;
use crate::same_record::first;

/// How much of a partition comes at a time.
const BRING_BYTES: usize = 4 << 20;

/// A topic as it is to be.
pub(super) struct TopicPlan {
    name: Arc<str>,
    configs: BTreeMap<String, String>,
    partitions: Vec<PartitionPlan>,
}

/// A partition as it is there, and what of it is to be here.
struct PartitionPlan {
    partition: TopicPartition,
    /// The first offset that is kept there.
    start: i64,
    /// The first offset that is to be here.
    from: i64,
    /// Where it ends there.
    end: i64,
}

impl TopicPlan {
    /// One line for people.
    pub(super) fn line(&self) -> String {
        let unread: i64 = self.partitions.iter().map(|partition| partition.end - partition.from).sum();
        format!("topic {}  {} partitions  {unread} offsets that no sink has read", self.name, self.partitions.len())
    }
}

/// All topics of these connectors that the cluster has.
pub(super) async fn plan(
    cluster: &mut ConnectCluster,
    coming: &mut [Coming],
) -> Result<(Vec<TopicPlan>, Vec<Finding>)> {
    let there = cluster.kafka.topic_names().await.map_err(failure)?;
    let mut wanted: BTreeSet<Arc<str>> = BTreeSet::new();
    for one in coming.iter() {
        wanted.extend(one.topics.iter().cloned());
        wanted.extend(one.arrival.offsets.keys().map(|partition| partition.topic.clone()));
        wanted.extend(
            there.iter().filter(|topic| one.is_sink && reads(&one.config, topic)).map(|topic| topic.as_str().into()),
        );
    }
    wanted.retain(|topic| there.iter().any(|name| name.as_str() == &**topic));
    let (mut plans, mut found) = (Vec::with_capacity(wanted.len()), Vec::new());
    for name in wanted {
        let plan = topic_plan(&mut cluster.kafka, name, coming).await?;
        for partition in &plan.partitions {
            found.extend(coming.iter_mut().filter_map(|sink| step_over(sink, partition)));
        }
        plans.push(plan);
    }
    Ok((plans, found))
}

/// What a sink has not read and the cluster no longer has is stepped over, as Connect would do at the next start.
fn step_over(sink: &mut Coming, plan: &PartitionPlan) -> Option<Finding> {
    let at = sink.arrival.offsets.get_mut(&plan.partition).filter(|at| **at < plan.start)?;
    let gone = plan.start - *at;
    *at = plan.start;
    Some(migration_findings::gone(sink.arrival.name.as_str(), &plan.partition, gone))
}

async fn topic_plan(kafka: &mut Cluster, name: Arc<str>, coming: &[Coming]) -> Result<TopicPlan> {
    let configs = kafka.topic_configs(&name).await.map_err(failure)?;
    let count = kafka.partitions(&name).await.map_err(failure)?.unwrap_or(0);
    let mut partitions = Vec::new();
    for number in 0..count {
        let partition = TopicPartition::new(name.clone(), number);
        let (start, end) = kafka.ends(&partition).await.map_err(failure)?;
        let sinks = coming
            .iter()
            .filter(|one| one.is_sink && (reads(&one.config, &name) || one.arrival.offsets.contains_key(&partition)));
        let from = sinks.map(|sink| first_unread(sink, &partition, (start, end))).min().unwrap_or(end);
        partitions.push(PartitionPlan { partition, start, from, end });
    }
    Ok(TopicPlan { name, configs, partitions })
}

/// The first offset that a sink would read.
fn first_unread(sink: &Coming, partition: &TopicPartition, (start, end): (i64, i64)) -> i64 {
    let reset_to_end = sink.config.get("consumer.override.auto.offset.reset") == Some("latest");
    let without = if reset_to_end { end } else { start };
    sink.arrival.offsets.get(partition).copied().unwrap_or(without).clamp(start, end)
}

/// Says where what is here is something else than what is there.
pub(super) async fn compare(cluster: &mut ConnectCluster, log: &Embedded, plans: &[TopicPlan]) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for plan in plans {
        let Some(here) = log.topic(&plan.name) else { continue };
        if usize::try_from(here.partitions) != Ok(plan.partitions.len()) {
            let reason = format!("has {} partitions, not {}", here.partitions, plan.partitions.len());
            found.push(migration_findings::topic(&plan.name, &reason));
            continue;
        }
        for partition in &plan.partitions {
            if let Some(reason) = differs(&mut cluster.kafka, log, partition).await? {
                found.push(migration_findings::topic(&plan.name, &reason));
                break;
            }
        }
    }
    Ok(found)
}

/// Why a partition that is here cannot be gone on with, if so.
async fn differs(kafka: &mut Cluster, log: &Embedded, plan: &PartitionPlan) -> Result<Option<String>> {
    let PartitionPlan { partition, start, from, end } = plan;
    let here = log.offsets(partition).map_err(Failure::by_code)?;
    let number = partition.partition;
    if here.high_watermark == 0 {
        return Ok(None);
    }
    if here.start > *from {
        return Ok(Some(format!("its partition {number} begins only at {}, not at {from}", here.start)));
    }
    if here.high_watermark < *from {
        return Ok(Some(format!("its partition {number} ends at {}, before {from}", here.high_watermark)));
    }
    let common = here.start.max(*start)..here.high_watermark.min(*end);
    if common.is_empty() {
        return Ok(None);
    }
    let there = kafka.fetch(partition, common.start, 1).await.map_err(failure)?.records;
    let wanted = [Fetch { partition: partition.clone(), offset: common.start }];
    let fetched = log.fetch(&wanted, 1, Duration::ZERO).await.map_err(Failure::by_code)?;
    let ours = fetched.into_iter().next().map(|fetched| fetched.records).unwrap_or_default();
    let one = |batch: &Batch| first(batch).filter(|first| first.is_within(&common));
    Ok((one(&there) != one(&ours)).then(|| format!("its partition {number} holds other records")))
}

/// Brings what of a topic is not here yet. Gives how many records that were.
pub(super) async fn bring(cluster: &mut ConnectCluster, log: &Embedded, plan: &TopicPlan) -> Result<u64> {
    if log.topic(&plan.name).is_none() {
        let known =
            |key: &str, value: &str| log.check_configs(&BTreeMap::from([(key.to_owned(), value.to_owned())])).is_ok();
        let configs = plan.configs.iter().filter(|(key, value)| known(key, value));
        let configs = configs.map(|(key, value)| (key.clone(), value.clone())).collect();
        let partitions = i32::try_from(plan.partitions.len()).ok();
        log.create_topic(NewTopic { name: plan.name.to_string(), partitions, configs })
            .await
            .map_err(Failure::by_code)?;
    }
    let mut brought = 0;
    for partition in &plan.partitions {
        brought += bring_partition(&mut cluster.kafka, log, partition).await?;
    }
    Ok(brought)
}

async fn bring_partition(kafka: &mut Cluster, log: &Embedded, plan: &PartitionPlan) -> Result<u64> {
    let PartitionPlan { partition, from, end, .. } = plan;
    let mut at = log.offsets(partition).map_err(Failure::by_code)?.high_watermark;
    if at == 0 && *from > 0 {
        let before = Stretch { partition: partition.clone(), from: 0, records: Batch::default(), next: *from };
        log.append_at(&before).await.map_err(Failure::by_code)?;
        at = *from;
    }
    if at == *from && at > 0 && is_empty(log, partition).await? {
        log.delete_records(partition, Some(at)).await.map_err(Failure::by_code)?;
    }
    let mut brought = 0;
    while at < *end {
        let fetched = kafka.fetch(partition, at, BRING_BYTES).await.map_err(failure)?;
        if fetched.next_offset <= at {
            let reason = anyhow::anyhow!("{partition} ends at {at} and not at {end}, as its broker says");
            return Err(Failure::environment(reason));
        }
        brought += fetched.records.len() as u64;
        let next = fetched.next_offset;
        let stretch = Stretch { partition: partition.clone(), from: at, records: fetched.records, next };
        log.append_at(&stretch).await.map_err(Failure::by_code)?;
        at = next;
    }
    Ok(brought)
}

/// Whether a partition holds no record, wherever it ends.
async fn is_empty(log: &Embedded, partition: &TopicPartition) -> Result<bool> {
    let ends = log.offsets(partition).map_err(Failure::by_code)?;
    let mut offset = ends.start;
    while offset < ends.high_watermark {
        let wanted = [Fetch { partition: partition.clone(), offset }];
        let fetched = log.fetch(&wanted, 1, Duration::ZERO).await.map_err(Failure::by_code)?;
        match fetched.first() {
            Some(fetched) if fetched.records.is_empty() && fetched.next_offset > offset => offset = fetched.next_offset,
            _ => return Ok(false),
        }
    }
    Ok(true)
}
