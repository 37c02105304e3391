//! The broker over real sockets, asked by a small client that knows the protocol and nothing of this crate.

mod admin;
mod fuzz;
mod groups;
mod hostile;
mod login;
mod migration;
mod operator;
mod records;
mod residents;
mod transactions;
mod versions;

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, RequestHeader, ResponseHeader, TopicName,
};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use towpath_log::{Embedded, LogConfig, NewTopic, OsVfs, Topics};
use towpath_model::{Clock, SystemClock};

use crate::{Broker, Config, Error, Handle, ListenerConfig};

/// A broker on a port of its own.
pub(crate) struct Served {
    pub(crate) log: Arc<Embedded>,
    pub(crate) address: std::net::SocketAddr,
    pub(crate) handle: Handle,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), Error>>,
    dir: tempfile::TempDir,
}

impl Served {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(7);
        config.initial_rebalance_delay = Duration::ZERO;
        change(&mut config);
        Self::open(tempfile::tempdir().expect("a directory"), config, Arc::new(SystemClock::default())).await
    }

    /// A broker whose time is moved by hand.
    pub(crate) async fn start_at(clock: Arc<dyn Clock>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(7);
        change(&mut config);
        Self::open(tempfile::tempdir().expect("a directory"), config, clock).await
    }

    async fn open(dir: tempfile::TempDir, config: Config, clock: Arc<dyn Clock>) -> Self {
        let log = Embedded::open(LogConfig::new(dir.path()), Arc::new(OsVfs), clock.clone(), 7);
        let log = Arc::new(log.expect("the log opens"));
        let broker = Broker::bind(config, Arc::clone(&log), clock).await.expect("a port");
        let handle = broker.handle();
        let address = handle.address().expect("a listener");
        let (stop, stopping) = watch::channel(false);
        Self { log, address, handle, stop, serving: tokio::spawn(broker.run(stopping)), dir }
    }

    pub(crate) async fn topic(&self, name: &str, partitions: i32) -> uuid::Uuid {
        let new = NewTopic { name: name.into(), partitions: Some(partitions), ..NewTopic::default() };
        self.log.create_topic(new).await.expect("created").id
    }

    pub(crate) async fn client(&self) -> Client {
        Client::over(TcpStream::connect(self.address).await.expect("connected"))
    }

    /// Ends everything as a crash of the process would, but for the disk, and starts again.
    pub(crate) async fn restart(self) -> Self {
        let Self { log, stop, serving, dir, handle, .. } = self;
        drop(handle);
        stop.send_replace(true);
        serving.await.expect("no panic").expect("served");
        drop(log);
        Self::open(dir, config(8), Arc::new(SystemClock::default())).await
    }
}

fn config(seed: u64) -> Config {
    Config::new(vec![ListenerConfig::plaintext("127.0.0.1:0")], seed)
}

/// One connection.
pub(crate) struct Client<S = TcpStream> {
    pub(crate) stream: S,
    next: i32,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) fn over(stream: S) -> Self {
        Self { stream, next: 0 }
    }

    /// Sends a request and returns its number.
    pub(crate) async fn send<Q: Request>(&mut self, version: i16, request: &Q) -> i32 {
        self.next += 1;
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.next)
            .with_client_id(Some(StrBytes::from_static_str("tester")));
        header.encode(&mut frame, Q::header_version(version)).expect("a header");
        request.encode(&mut frame, version).expect("a request");
        let length = (frame.len() - 4) as i32;
        frame[..4].copy_from_slice(&length.to_be_bytes());
        self.stream.write_all(&frame).await.expect("sent");
        self.stream.flush().await.expect("sent");
        self.next
    }

    /// The bytes of the next answer.
    pub(crate) async fn receive(&mut self) -> Option<Bytes> {
        let length = self.stream.read_i32().await.ok()?;
        let mut body = vec![0; length as usize];
        self.stream.read_exact(&mut body).await.ok()?;
        Some(body.into())
    }

    /// Whether the broker lets it in.
    pub(crate) async fn is_answered(&mut self) -> bool {
        let request = b"\0\0\0\x0a\0\x12\0\0\0\0\0\x01\xff\xff";
        self.stream.write_all(request).await.is_ok() && self.receive().await.is_some()
    }

    /// The answer to a request of this kind, which must be the one with this number.
    pub(crate) async fn answer<Q: Request>(&mut self, version: i16, number: i32) -> Q::Response {
        let mut body = self.receive().await.expect("an answer");
        let header = ResponseHeader::decode(&mut body, Q::Response::header_version(version)).expect("a header");
        assert_eq!(header.correlation_id, number, "an answer out of order");
        let answer = Q::Response::decode(&mut body, version).expect("an answer that decodes");
        assert!(body.is_empty(), "{} bytes too many in an answer of API {} version {version}", body.len(), Q::KEY);
        answer
    }

    pub(crate) async fn call<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response {
        let number = self.send(version, request).await;
        self.answer::<Q>(version, number).await
    }
}

pub(crate) fn name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

pub(crate) fn record(sequence: i32, key: Option<&str>, value: &str) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(sequence),
        sequence,
        timestamp: 1_000 + i64::from(sequence),
        key: key.map(|key| Bytes::copy_from_slice(key.as_bytes())),
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: IndexMap::from([(StrBytes::from_static_str("h"), Some(Bytes::from_static(b"1")))]),
    }
}

pub(crate) fn encoded(records: &[Record], compression: Compression) -> Bytes {
    let mut bytes = BytesMut::new();
    RecordBatchEncoder::encode(&mut bytes, records, &RecordEncodeOptions { version: 2, compression }).expect("a batch");
    bytes.freeze()
}

pub(crate) fn values_batch(values: &[&str]) -> Bytes {
    let records: Vec<Record> = values.iter().zip(0..).map(|(value, index)| record(index, None, value)).collect();
    encoded(&records, Compression::None)
}

/// A request to append to partitions of a topic.
pub(crate) fn produce(topic: &str, id: uuid::Uuid, acks: i16, parts: &[(i32, Bytes)]) -> ProduceRequest {
    let part = |(index, records): &(i32, Bytes)| {
        PartitionProduceData::default().with_index(*index).with_records(Some(records.clone()))
    };
    let topic = TopicProduceData::default().with_name(name(topic)).with_topic_id(id);
    let topic = topic.with_partition_data(parts.iter().map(part).collect());
    ProduceRequest::default().with_acks(acks).with_timeout_ms(30_000).with_topic_data(vec![topic])
}

/// Error code and base offset of each partition of an answer.
pub(crate) fn produced(answer: &ProduceResponse) -> Vec<(i16, i64)> {
    let parts = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
    parts.map(|part| (part.error_code, part.base_offset)).collect()
}

/// A request to read partitions of a topic: index and offset.
pub(crate) fn fetch(topic: &str, id: uuid::Uuid, wait_ms: i32, parts: &[(i32, i64)]) -> FetchRequest {
    use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    let part = |(index, offset): &(i32, i64)| {
        FetchPartition::default().with_partition(*index).with_fetch_offset(*offset).with_partition_max_bytes(1 << 20)
    };
    let topic = FetchTopic::default().with_topic(name(topic)).with_topic_id(id);
    let topic = topic.with_partitions(parts.iter().map(part).collect());
    FetchRequest::default().with_max_wait_ms(wait_ms).with_min_bytes(1).with_max_bytes(1 << 20).with_topics(vec![topic])
}

/// Offsets and values of the records of an answer, partition by partition; or its error.
pub(crate) fn fetched(answer: &FetchResponse) -> Vec<Result<Vec<(i64, String)>, i16>> {
    let parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
    let records = |part: &kafka_protocol::messages::fetch_response::PartitionData| {
        if part.error_code != 0 {
            return Err(part.error_code);
        }
        let mut bytes = part.records.clone().expect("records are never null");
        let sets =
            if bytes.is_empty() { Vec::new() } else { RecordBatchDecoder::decode_all(&mut bytes).expect("batches") };
        let value =
            |record: Record| (record.offset, String::from_utf8_lossy(&record.value.expect("a value")).into_owned());
        Ok(sets.into_iter().flat_map(|set| set.records).map(value).collect())
    };
    parts.map(records).collect()
}
