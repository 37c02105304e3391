//! Read, transform, write, exactly once.

use anyhow::{Result, ensure};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::Message as _;
use rdkafka::producer::{FutureProducer, Producer as _};
use rdkafka::topic_partition_list::Offset;

use crate::{Broker, PATIENCE, list, next, same, values, write};

pub(crate) async fn hold(broker: &Broker) -> Result<()> {
    let (from, to) = (broker.topic("from", 1).await?, broker.topic("to", 2).await?);
    let (group, id) = (broker.name("group"), broker.name("transactional"));
    write(&broker.producer(&[])?, &from, 0, &["a", "b", "c"]).await?;
    let consumer = broker.consumer(&group, &[("isolation.level", "read_committed")])?;
    consumer.subscribe(&[&from])?;
    let begin = || -> Result<FutureProducer> {
        let producer = broker.producer(&[("transactional.id", &id)])?;
        producer.init_transactions(PATIENCE)?;
        Ok(producer)
    };
    let producer = begin()?;
    for aborts in [false, true, false] {
        let record = next(&consumer).await?;
        let value = String::from_utf8_lossy(record.payload().unwrap_or_default()).to_uppercase();
        producer.begin_transaction()?;
        write(&producer, &to, 0, &[&value]).await?;
        write(&producer, &to, 1, &[&value]).await?;
        if let Some(metadata) = consumer.group_metadata() {
            let offsets = list(&[(&from, 0, Offset::Offset(record.offset() + 1))])?;
            producer.send_offsets_to_transaction(&offsets, &metadata, PATIENCE)?;
        }
        if aborts {
            producer.abort_transaction(PATIENCE)?
        } else {
            producer.commit_transaction(PATIENCE)?
        }
        let committed = consumer.committed_offsets(list(&[(&from, 0, Offset::Invalid)])?, PATIENCE)?;
        let expected = if aborts { record.offset() } else { record.offset() + 1 };
        same(committed.find_partition(&from, 0).map(|found| found.offset()), Some(Offset::Offset(expected)))?;
    }
    for partition in [0, 1] {
        let reader = broker.reader(&[(&to, partition, Offset::Beginning)], &[("isolation.level", "read_committed")])?;
        same(values(&reader, 2).await?, vec!["A".to_owned(), "C".to_owned()])?;
        let reader =
            broker.reader(&[(&to, partition, Offset::Beginning)], &[("isolation.level", "read_uncommitted")])?;
        same(values(&reader, 3).await?.len(), 3)?;
    }
    producer.begin_transaction()?;
    write(&producer, &to, 0, &["late"]).await?;
    let successor = begin()?;
    let fenced = producer.commit_transaction(PATIENCE);
    let code = fenced.as_ref().err().and_then(rdkafka::error::KafkaError::rdkafka_error_code);
    ensure!(matches!(code, Some(RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch)), "{fenced:?}");
    successor.begin_transaction()?;
    successor.commit_transaction(PATIENCE)?;
    Ok(())
}
