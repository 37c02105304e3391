//! Records on their way in and out.

use anyhow::{Context as _, Result};
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Header, Headers as _, Message as _, OwnedHeaders, Timestamp};
use rdkafka::producer::FutureRecord;
use rdkafka::topic_partition_list::Offset;

use crate::{Broker, PATIENCE, list, next, same, values, write};

pub(crate) async fn come_back(broker: &Broker) -> Result<()> {
    let topic = broker.topic("codecs", 1).await?;
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let value = "towpath ".repeat(50);
    for (codec, number) in codecs.iter().zip(1i64..) {
        let producer = broker.producer(&[("compression.codec", codec)])?;
        let headers = OwnedHeaders::new()
            .insert(Header { key: "codec", value: Some(*codec) })
            .insert(Header { key: "none", value: None::<&str> })
            .insert(Header { key: "codec", value: Some("again") });
        let record = FutureRecord::to(&topic).key(*codec).payload(&value).timestamp(number * 1_000).headers(headers);
        let sent = producer.send(record, PATIENCE).await.map_err(|(error, _)| error)?;
        same((sent.partition, sent.offset), (0, 2 * number - 2))?;
        let tombstone = FutureRecord::<str, str>::to(&topic).key(*codec);
        producer.send(tombstone, PATIENCE).await.map_err(|(error, _)| error)?;
    }
    let reader = broker.reader(&[(&topic, 0, Offset::Beginning)], &[("check.crcs", "true")])?;
    for (codec, number) in codecs.iter().zip(1i64..) {
        let record = next(&reader).await.context(*codec)?;
        same((record.key(), record.payload()), (Some(codec.as_bytes()), Some(value.as_bytes())))?;
        same(record.timestamp(), Timestamp::CreateTime(number * 1_000))?;
        let headers = record.headers().context("no headers")?;
        let headers: Vec<(&str, Option<&[u8]>)> = headers.iter().map(|header| (header.key, header.value)).collect();
        let expected = [("codec", Some(codec.as_bytes())), ("none", None), ("codec", Some(b"again".as_slice()))];
        same(headers, expected.to_vec())?;
        same(next(&reader).await?.payload(), None)?;
    }
    Ok(())
}

pub(crate) async fn are_written_once(broker: &Broker) -> Result<()> {
    let topic = broker.topic("idempotent", 1).await?;
    let producer =
        broker.producer(&[("enable.idempotence", "true"), ("batch.num.messages", "7"), ("linger.ms", "1")])?;
    let sent: Vec<String> = (0..2_000).map(|number| number.to_string()).collect();
    let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
    same(write(&producer, &topic, 0, &sent).await?, (0..2_000).collect())?;
    let reader = broker.reader(&[(&topic, 0, Offset::Beginning)], &[])?;
    same(values(&reader, sent.len()).await?, sent.iter().map(ToString::to_string).collect())
}

pub(crate) async fn are_sought(broker: &Broker) -> Result<()> {
    let topic = broker.topic("sought", 1).await?;
    let producer = broker.producer(&[])?;
    for number in 0..10i64 {
        let value = number.to_string();
        let record = FutureRecord::<(), str>::to(&topic).payload(&value).timestamp(1_000 + number * 100);
        producer.send(record, PATIENCE).await.map_err(|(error, _)| error)?;
    }
    let reader = broker.reader(&[(&topic, 0, Offset::Beginning)], &[])?;
    same(values(&reader, 10).await?.len(), 10)?;
    reader.seek(&topic, 0, Offset::Offset(7), PATIENCE)?;
    same(values(&reader, 3).await?, vec!["7".to_owned(), "8".to_owned(), "9".to_owned()])?;
    reader.seek(&topic, 0, Offset::OffsetTail(1), PATIENCE)?;
    same(values(&reader, 1).await?, vec!["9".to_owned()])?;
    for (time, offset) in [(0, Offset::Offset(0)), (1_250, Offset::Offset(3)), (9_000, Offset::End)] {
        let found = reader.offsets_for_times(list(&[(&topic, 0, Offset::Offset(time))])?, PATIENCE)?;
        same(found.find_partition(&topic, 0).map(|found| found.offset()), Some(offset))?;
    }
    same(reader.fetch_watermarks(&topic, 0, PATIENCE)?, (0, 10))
}
