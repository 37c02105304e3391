//! A small Kafka client: which topics there are, where they end, and what they hold, byte for byte.
//!
//! It asks one broker, one request after another, in the oldest versions that brokers still answer. It takes part in no group
//! and writes nothing, so that looking does not change what is measured.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::records::{Record, RecordBatchDecoder};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{Deadline, LogRecord};

const FETCH: (i16, i16) = (1, 4);
const LIST_OFFSETS: (i16, i16) = (2, 1);
const METADATA: (i16, i16) = (3, 1);

const NO_REPLICA: i32 = -1;
const EARLIEST: i64 = -2;
const LATEST: i64 = -1;
const FETCH_BYTES: i32 = 4 << 20;
const FETCH_WAIT_MS: i32 = 500;
const UNKNOWN_TOPIC: i16 = 3;
const NO_LEADER: i16 = 5;
const NOT_LEADER: i16 = 6;
const LEADER_WITHIN: Duration = Duration::from_secs(60);
const LEADER_PAUSE: Duration = Duration::from_millis(20);
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// Offset and length, which stand before the part of a batch that the length counts.
const BATCH_PREFIX: usize = 12;

/// A connection to a broker.
#[derive(Debug)]
pub struct Kafka {
    stream: TcpStream,
    requests: i32,
}

impl Kafka {
    /// Connects to the broker at `bootstrap`, such as `127.0.0.1:9092`.
    pub async fn connect(bootstrap: &str) -> Result<Self> {
        let stream = TcpStream::connect(bootstrap).await.with_context(|| format!("connecting to {bootstrap}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, requests: 0 })
    }

    /// All topics with their partitions.
    pub async fn topics(&mut self) -> Result<BTreeMap<String, Vec<i32>>> {
        let mut request = BytesMut::new();
        request.put_i32(-1);
        let mut answer = self.ask(METADATA, &request).await?;
        for _ in 0..count(&mut answer)? {
            skip(&mut answer, 4)?;
            string(&mut answer)?;
            skip(&mut answer, 4)?;
            string(&mut answer)?;
        }
        skip(&mut answer, 4)?;
        let mut topics = BTreeMap::new();
        for _ in 0..count(&mut answer)? {
            accept(answer.try_get_i16()?)?;
            let name = string(&mut answer)?.context("a topic without a name")?;
            skip(&mut answer, 1)?;
            let mut partitions = Vec::new();
            for _ in 0..count(&mut answer)? {
                skip(&mut answer, 2)?;
                partitions.push(answer.try_get_i32()?);
                skip(&mut answer, 4)?;
                for _replicas_then_in_sync in 0..2 {
                    let bytes = count(&mut answer)? * 4;
                    skip(&mut answer, bytes)?;
                }
            }
            topics.insert(name, partitions);
        }
        Ok(topics)
    }

    /// Where a partition ends: the offset that its next record will have.
    pub async fn end(&mut self, topic: &str, partition: i32) -> Result<i64> {
        self.offset(topic, partition, LATEST).await
    }

    /// How many records a topic was ever given; none when it does not exist.
    pub async fn count(&mut self, topic: &str) -> Result<u64> {
        let partitions = self.topics().await?.remove(topic).unwrap_or_default();
        let mut records = 0;
        for partition in partitions {
            records += u64::try_from(self.end(topic, partition).await?)?;
        }
        Ok(records)
    }

    /// All records of a topic up to where it ends now, partition after partition.
    pub async fn drain(&mut self, topic: &str) -> Result<Vec<LogRecord>> {
        let partitions = self.topics().await?.remove(topic).unwrap_or_default();
        let mut drained = Vec::new();
        for partition in partitions {
            let mut next = self.offset(topic, partition, EARLIEST).await?;
            let end = self.end(topic, partition).await?;
            while next < end {
                let batches = self.fetch(topic, partition, next).await?;
                let before = next;
                for record in decode(batches)? {
                    if record.offset < next {
                        continue;
                    }
                    next = record.offset + 1;
                    if !record.control {
                        drained.push(readable(topic, partition, record)?);
                    }
                }
                ensure!(next > before, "{topic} gives nothing at offset {before} and ends at {end}");
            }
        }
        Ok(drained)
    }

    async fn offset(&mut self, topic: &str, partition: i32, which: i64) -> Result<i64> {
        let mut request = BytesMut::new();
        request.put_i32(NO_REPLICA);
        put_partition(&mut request, topic, partition);
        request.put_i64(which);
        let deadline = Deadline::after(LEADER_WITHIN);
        let mut answer = loop {
            let mut answer = self.ask(LIST_OFFSETS, &request).await?;
            open_partition(&mut answer)?;
            match answer.try_get_i16()? {
                // A topic is listed a moment before its partition has a leader.
                UNKNOWN_TOPIC | NO_LEADER | NOT_LEADER if !deadline.is_over() => {
                    tokio::time::sleep(LEADER_PAUSE).await;
                }
                error => {
                    accept(error)?;
                    break answer;
                }
            }
        };
        skip(&mut answer, 8)?;
        Ok(answer.try_get_i64()?)
    }

    /// Whole batches from `offset` on, and perhaps the beginning of another.
    async fn fetch(&mut self, topic: &str, partition: i32, offset: i64) -> Result<Bytes> {
        let mut request = BytesMut::new();
        request.put_i32(NO_REPLICA);
        request.put_i32(FETCH_WAIT_MS);
        request.put_i32(1);
        request.put_i32(FETCH_BYTES);
        request.put_i8(0);
        put_partition(&mut request, topic, partition);
        request.put_i64(offset);
        request.put_i32(FETCH_BYTES);
        let mut answer = self.ask(FETCH, &request).await?;
        skip(&mut answer, 4)?;
        open_partition(&mut answer)?;
        accept(answer.try_get_i16()?)?;
        skip(&mut answer, 16)?;
        let aborted = answer.try_get_i32()?;
        skip(&mut answer, usize::try_from(aborted.max(0))? * 16)?;
        let length = usize::try_from(answer.try_get_i32()?.max(0))?;
        ensure!(answer.len() >= length, "the answer is cut short");
        Ok(answer.split_to(length))
    }

    async fn ask(&mut self, (api, version): (i16, i16), body: &[u8]) -> Result<Bytes> {
        self.requests = self.requests.wrapping_add(1);
        let mut request = BytesMut::new();
        request.put_i16(api);
        request.put_i16(version);
        request.put_i32(self.requests);
        put_string(&mut request, "towpath-tests");
        request.put_slice(body);
        self.stream.write_i32(i32::try_from(request.len())?).await?;
        self.stream.write_all(&request).await?;
        let length = usize::try_from(self.stream.read_i32().await?)?;
        ensure!(length <= ANSWER_BYTES_MAX, "an answer of {length} bytes");
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer).await?;
        let mut answer = Bytes::from(answer);
        ensure!(answer.try_get_i32()? == self.requests, "an answer to another request");
        Ok(answer)
    }
}

/// The records of all whole batches.
fn decode(mut batches: Bytes) -> Result<Vec<Record>> {
    let mut records = Vec::new();
    while let Some(length) = batches.get(8..BATCH_PREFIX) {
        let length = BATCH_PREFIX + usize::try_from(i32::from_be_bytes(length.try_into()?))?;
        if batches.len() < length {
            break;
        }
        let mut batch = batches.split_to(length);
        records.extend(RecordBatchDecoder::decode(&mut batch)?.records);
    }
    Ok(records)
}

fn readable(topic: &str, partition: i32, record: Record) -> Result<LogRecord> {
    let text = |bytes: Option<Bytes>| bytes.map(|bytes| String::from_utf8(bytes.to_vec())).transpose();
    let mut headers = Vec::new();
    for (key, value) in record.headers {
        headers.push(json!({"key": key.as_str(), "value": text(value)?}));
    }
    Ok(LogRecord {
        topic: topic.to_owned(),
        partition,
        offset: record.offset,
        timestamp: record.timestamp,
        key: text(record.key)?,
        value: text(record.value)?,
        headers: serde_json::to_string(&headers)?,
    })
}

fn put_string(request: &mut BytesMut, text: &str) {
    request.put_i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
    request.put_slice(text.as_bytes());
}

/// One topic with one partition, as requests name them.
fn put_partition(request: &mut BytesMut, topic: &str, partition: i32) {
    request.put_i32(1);
    put_string(request, topic);
    request.put_i32(1);
    request.put_i32(partition);
}

/// Passes over the names in the answer to such a request.
fn open_partition(answer: &mut Bytes) -> Result<()> {
    ensure!(count(answer)? == 1, "the answer names no topic");
    string(answer)?;
    ensure!(count(answer)? == 1, "the answer names no partition");
    skip(answer, 4)
}

fn count(answer: &mut Bytes) -> Result<usize> {
    let count = usize::try_from(answer.try_get_i32()?.max(0))?;
    ensure!(count <= answer.len(), "{count} of something in {} bytes", answer.len());
    Ok(count)
}

fn string(answer: &mut Bytes) -> Result<Option<String>> {
    let Ok(length) = usize::try_from(answer.try_get_i16()?) else { return Ok(None) };
    ensure!(answer.len() >= length, "the answer is cut short");
    Ok(Some(String::from_utf8(answer.split_to(length).to_vec())?))
}

fn skip(answer: &mut Bytes, bytes: usize) -> Result<()> {
    if answer.len() < bytes {
        return Err(anyhow!("the answer is cut short"));
    }
    answer.advance(bytes);
    Ok(())
}

fn accept(error: i16) -> Result<()> {
    if error != 0 {
        bail!("the broker answers with error {error}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::decode;

    #[test]
    fn a_batch_that_is_cut_off_waits_for_the_next_fetch() {
        let mut cut = vec![0; 8];
        cut.extend(100_i32.to_be_bytes());
        cut.extend([0; 99]);
        assert_eq!(decode(Bytes::from(cut)).unwrap().len(), 0);
    }
}
