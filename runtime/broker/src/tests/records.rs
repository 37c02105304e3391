//! Producing and consuming over the wire.

use bytes::Bytes;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::{
    FetchRequest, InitProducerIdRequest, ListOffsetsRequest, ProduceRequest, ProduceResponse,
};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::records::{Compression, Record};
use towpath_log::{Fetches, NewTopic, Topics};
use towpath_model::TopicPartition;

use super::{Served, encoded, fetch, fetched, name, produce, produced, record, values_batch};

#[tokio::test]
async fn what_is_produced_in_any_version_and_codec_is_consumed_in_any_version() {
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let mut client = served.client().await;
    let mut expected = Vec::new();
    let codecs = [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
    for (version, codec) in (3..=13).zip(codecs.iter().cycle()) {
        let values = [format!("a{version}"), format!("b{version}")];
        let records = [record(0, Some("k"), &values[0]), record(1, None, &values[1])];
        let request = produce("orders", id, -1, &[(0, encoded(&records, *codec))]);
        // By name up to version 12, by id from 13 on.
        let request = if version < 13 { with_name_only(request) } else { request };
        let answer = client.call(version, &request).await;
        assert_eq!(produced(&answer), [(0, expected.len() as i64)], "version {version}");
        expected.extend(values.map(|value| (0, value)));
    }
    let expected: Vec<(i64, String)> =
        expected.into_iter().zip(0..).map(|((_, value), offset)| (offset, value)).collect();
    for version in 4..=17 {
        let answer = client.call(version, &fetch("orders", id, 0, &[(0, 0)])).await;
        assert_eq!(fetched(&answer), [Ok(expected.clone())], "version {version}");
    }
}

#[tokio::test]
async fn a_batch_larger_than_any_array_may_be_is_taken_and_handed_out_whole() {
    let served = Served::start().await;
    let configs = [("max.message.bytes".to_owned(), (8 << 20).to_string())];
    let new = NewTopic { name: "orders".into(), configs: configs.into(), ..NewTopic::default() };
    let id = served.log.create_topic(new).await.expect("created").id;
    let mut client = served.client().await;
    let large = "x".repeat(5 << 20);
    let request = produce("orders", id, -1, &[(0, values_batch(&[&large]))]);
    for (version, offset) in [(3, 0), (9, 1), (13, 2)] {
        let request = if version < 13 { with_name_only(request.clone()) } else { request.clone() };
        assert_eq!(produced(&client.call(version, &request).await), [(0, offset)], "version {version}");
        let answer = client.call(12, &fetch("orders", id, 0, &[(0, offset)])).await;
        assert_eq!(fetched(&answer), [Ok(vec![(offset, large.clone())])], "the first batch is whole, however large");
    }
}

#[tokio::test]
async fn a_batch_for_a_compacted_topic_is_refused_with_the_records_that_have_no_key() {
    let served = Served::start().await;
    let configs = [("cleanup.policy".to_owned(), "compact".to_owned())];
    let new = NewTopic { name: "orders".into(), configs: configs.into(), ..NewTopic::default() };
    served.log.create_topic(new).await.expect("created");
    let records = [record(0, Some("k"), "a"), record(1, None, "b"), record(2, Some("k"), "c"), record(3, None, "d")];
    let batch = encoded(&records, Compression::None);
    let answer = served.client().await.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(0, batch)])).await;
    let part = &answer.responses[0].partition_responses[0];
    let refused: Vec<i32> = part.record_errors.iter().map(|one| one.batch_index).collect();
    assert_eq!((part.error_code, refused), (87, vec![1, 3]));
}

fn with_name_only(mut request: ProduceRequest) -> ProduceRequest {
    request.topic_data.iter_mut().for_each(|topic| topic.topic_id = uuid::Uuid::nil());
    request
}

#[tokio::test]
async fn requests_that_are_sent_ahead_are_answered_in_order() {
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let mut client = served.client().await;
    let mut numbers = Vec::new();
    for index in 0..200 {
        numbers.push(
            client.send(9, &produce("orders", uuid::Uuid::nil(), 1, &[(0, values_batch(&[&index.to_string()]))])).await,
        );
    }
    let last = client.send(12, &fetch("orders", id, 0, &[(0, 199)])).await;
    for (index, number) in numbers.into_iter().enumerate() {
        let answer = client.answer::<ProduceRequest>(9, number).await;
        assert_eq!(produced(&answer), [(0, index as i64)]);
    }
    let answer = client.answer::<FetchRequest>(12, last).await;
    assert_eq!(fetched(&answer), [Ok(vec![(199, "199".to_owned())])], "a fetch sees what was produced before it");
}

#[tokio::test]
async fn without_acknowledgement_there_is_no_answer_and_a_failure_ends_the_connection() {
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let mut client = served.client().await;
    client.send(7, &produce("orders", uuid::Uuid::nil(), 0, &[(0, values_batch(&["a"]))])).await;
    // The next answer is that of the next request.
    let answer = client.call(7, &produce("orders", uuid::Uuid::nil(), 1, &[(0, values_batch(&["b"]))])).await;
    assert_eq!(produced(&answer), [(0, 1)]);
    client.send(7, &produce("nowhere", id, 0, &[(0, values_batch(&["c"]))])).await;
    assert_eq!(client.receive().await, None);
}

#[tokio::test]
async fn a_waiting_fetch_wakes_when_something_is_produced() {
    let served = Served::start().await;
    let id = served.topic("orders", 2).await;
    let (mut reader, mut writer) = (served.client().await, served.client().await);
    let waiting = reader.send(16, &fetch("orders", id, 60_000, &[(0, 0), (1, 0)])).await;
    let answer = writer.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(1, values_batch(&["a"]))])).await;
    assert_eq!(produced(&answer), [(0, 0)]);
    let answer = reader.answer::<FetchRequest>(16, waiting).await;
    assert_eq!(fetched(&answer), [Ok(vec![]), Ok(vec![(0, "a".to_owned())])]);
}

#[tokio::test]
async fn a_session_names_its_partitions_once_and_still_wakes() {
    let served = Served::start().await;
    let id = served.topic("orders", 2).await;
    let (mut reader, mut writer) = (served.client().await, served.client().await);
    let first = fetch("orders", id, 0, &[(0, 0), (1, 0)]).with_session_id(0).with_session_epoch(0);
    let first = reader.call(16, &first).await;
    assert!(first.session_id != 0 && fetched(&first).len() == 2);
    let next = |epoch| {
        let request = FetchRequest::default().with_max_wait_ms(60_000).with_min_bytes(1).with_max_bytes(1 << 20);
        request.with_session_id(first.session_id).with_session_epoch(epoch)
    };
    let waiting = reader.send(16, &next(1)).await;
    writer.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(1, values_batch(&["a"]))])).await;
    let answer = reader.answer::<FetchRequest>(16, waiting).await;
    assert_eq!(fetched(&answer), [Ok(vec![(0, "a".to_owned())])], "of the partition that has something new alone");
    assert_eq!(reader.call(16, &next(1)).await.error_code, 71, "a request that comes twice");
    let closing = FetchRequest::default().with_session_id(first.session_id).with_session_epoch(-1);
    assert_eq!(reader.call(16, &closing).await.error_code, 0);
    assert_eq!(reader.call(16, &next(2)).await.error_code, 70, "it has ended");
}

#[tokio::test]
async fn each_partition_has_its_own_error() {
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let mut client = served.client().await;
    let mut bad = values_batch(&["a"]).to_vec();
    let last = bad.len() - 1;
    bad[last] ^= 1;
    let parts = [(0, values_batch(&["a"])), (7, values_batch(&["a"]))];
    let answer = client.call(9, &produce("orders", uuid::Uuid::nil(), -1, &parts)).await;
    assert_eq!(produced(&answer), [(0, 0), (3, -1)]);
    let answer = client.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(0, bad.into())])).await;
    assert_eq!(produced(&answer), [(2, -1)], "corrupt");
    let answer = client.call(9, &produce("orders", uuid::Uuid::nil(), 5, &[(0, values_batch(&["a"]))])).await;
    assert_eq!(produced(&answer), [(21, -1)], "acks is -1, 0 or 1");
    let answer = client.call(9, &produce("connect-offsets", uuid::Uuid::nil(), -1, &[(0, Bytes::new())])).await;
    assert_eq!(produced(&answer), [(3, -1)], "not there yet");
    let internal = served.topic("connect-offsets", 1).await;
    for (topic, id) in [("connect-offsets", internal), ("__consumer_offsets", uuid::Uuid::nil())] {
        let version = if id.is_nil() { 9 } else { 13 };
        let answer = client.call(version, &produce(topic, id, -1, &[(0, values_batch(&["a"]))])).await;
        assert_eq!(produced(&answer), [(29, -1)], "{topic} is the runtime's own");
    }
    let answer = client.call(12, &fetch("orders", id, 60_000, &[(0, 9), (0, 0), (5, 0)])).await;
    assert_eq!(fetched(&answer), [Err(1), Ok(vec![(0, "a".to_owned())]), Err(3)], "and an error does not wait");
    let answer = client.call(13, &fetch("", uuid::Uuid::from_u128(5), 60_000, &[(0, 0)])).await;
    assert_eq!(fetched(&answer), [Err(100)]);
}

#[tokio::test]
async fn offsets_are_found_by_end_and_by_time() {
    let served = Served::start().await;
    served.topic("orders", 2).await;
    let mut client = served.client().await;
    let records: Vec<Record> = (0..3).map(|index| record(index, None, "v")).collect();
    client.call(9, &produce("orders", uuid::Uuid::nil(), -1, &[(0, encoded(&records, Compression::Lz4))])).await;
    for version in 1..=8 {
        let mut found = Vec::new();
        for time in [-1, -2, -3, 0, 1_001, 1_003] {
            let partition = ListOffsetsPartition::default().with_partition_index(0).with_timestamp(time);
            let topic = ListOffsetsTopic::default().with_name(name("orders")).with_partitions(vec![partition]);
            let answer = client.call(version, &ListOffsetsRequest::default().with_topics(vec![topic])).await;
            let part = &answer.topics[0].partitions[0];
            assert_eq!(part.error_code, 0);
            found.push((part.offset, part.timestamp));
        }
        assert_eq!(found, [(3, -1), (0, -1), (2, 1_002), (0, 1_000), (1, 1_001), (-1, -1)], "version {version}");
    }
}

#[tokio::test]
async fn a_producer_that_sends_again_after_a_restart_is_written_once() {
    let served = Served::start().await;
    served.topic("orders", 1).await;
    let mut client = served.client().await;
    let granted = client.call(4, &InitProducerIdRequest::default().with_transactional_id(None)).await;
    let numbered = |sequence: i32, epoch: i16| {
        let record =
            Record { producer_id: granted.producer_id.0, producer_epoch: epoch, sequence, ..record(0, None, "v") };
        produce("orders", uuid::Uuid::nil(), -1, &[(0, encoded(&[record], Compression::None))])
    };
    for (sequence, expected) in [(0, (0, 0)), (1, (0, 1)), (0, (0, 0)), (3, (45, -1))] {
        assert_eq!(produced(&client.call(9, &numbered(sequence, 0)).await), [expected], "sequence {sequence}");
    }
    let served = served.restart().await;
    let mut client = served.client().await;
    for (sequence, epoch, expected) in [(1, 0, (0, 1)), (2, 0, (0, 2)), (0, 1, (0, 3)), (3, 0, (47, -1))] {
        assert_eq!(
            produced(&client.call(9, &numbered(sequence, epoch)).await),
            [expected],
            "{sequence} of epoch {epoch}"
        );
    }
    let again = client.call(4, &InitProducerIdRequest::default().with_transactional_id(None)).await;
    assert_ne!(again.producer_id, granted.producer_id);
    let ends = served.log.offsets(&TopicPartition::new("orders", 0)).expect("there");
    assert_eq!(ends.high_watermark, 4);
}

#[tokio::test]
async fn what_was_acknowledged_survives_and_what_is_under_way_is_answered_when_the_broker_ends() {
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let mut client = served.client().await;
    let number = client.send(9, &produce("orders", uuid::Uuid::nil(), -1, &[(0, values_batch(&["a"]))])).await;
    let mut body = client.receive().await.expect("an answer");
    kafka_protocol::messages::ResponseHeader::decode(&mut body, 1).expect("a header");
    assert_eq!(produced(&ProduceResponse::decode(&mut body, 9).expect("an answer")), [(0, 0)], "number {number}");
    let served = served.restart().await;
    let answer = served.client().await.call(12, &fetch("orders", id, 0, &[(0, 0)])).await;
    assert_eq!(fetched(&answer), [Ok(vec![(0, "a".to_owned())])]);
}
