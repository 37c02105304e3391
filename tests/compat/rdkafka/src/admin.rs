//! What operators' programs do.

use anyhow::{Context as _, Result, ensure};
use rdkafka::admin::{AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::topic_partition_list::Offset;
use rdkafka::types::RDKafkaErrorCode;

use crate::{Broker, PATIENCE, list, same, write};

pub(crate) async fn topics(broker: &Broker) -> Result<()> {
    let topic = broker.topic("topics", 2).await?;
    let (admin, options) = (broker.admin()?, AdminOptions::new());
    let again = rdkafka::admin::NewTopic::new(&topic, 1, rdkafka::admin::TopicReplication::Fixed(1));
    let refused = admin.create_topics(&[again], &options).await?;
    same(refused, vec![Err((topic.clone(), RDKafkaErrorCode::TopicAlreadyExists))])?;
    let altered = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set("retention.ms", "1234567");
    same(admin.alter_configs(&[altered], &options).await?.len(), 1)?;
    let described = admin.describe_configs(&[ResourceSpecifier::Topic(&topic)], &options).await?;
    let described = described.into_iter().next().context("no answer")??;
    same(described.get("retention.ms").and_then(|entry| entry.value.clone()), Some("1234567".to_owned()))?;
    let grown = admin.create_partitions(&[NewPartitions::new(&topic, 5)], &options).await?;
    same(grown, vec![Ok(topic.clone())])?;
    let partitions = || -> Result<usize> {
        let metadata = admin.inner().fetch_metadata(Some(&topic), PATIENCE)?;
        Ok(metadata.topics().first().map_or(0, |topic| topic.partitions().len()))
    };
    same(partitions()?, 5)?;
    write(&broker.producer(&[])?, &topic, 0, &["a", "b", "c"]).await?;
    admin.delete_records(&list(&[(&topic, 0, Offset::Offset(2))])?, &options).await?;
    same(admin.inner().fetch_watermarks(&topic, 0, PATIENCE)?, (2, 3))?;
    same(admin.delete_topics(&[&topic], &options).await?, vec![Ok(topic.clone())])?;
    let metadata = admin.inner().fetch_metadata(None, PATIENCE)?;
    ensure!(metadata.topics().iter().all(|found| found.name() != topic), "a deleted topic is still shown");
    Ok(())
}
