//! Transactions over the wire, as older clients do them and as those of KIP-890 do; and what tools ask of them.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::{AddPartitionsToTxnTopic, AddPartitionsToTxnTransaction};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Compression, Record};

use super::{Client, Served, encoded, fetch, fetched, name, produce, produced, record};

fn id() -> TransactionalId {
    TransactionalId(StrBytes::from_static_str("copy"))
}

fn group() -> GroupId {
    GroupId(StrBytes::from_static_str("readers"))
}

async fn init(client: &mut Client, version: i16, timeout_ms: i32) -> InitProducerIdResponse {
    let request = InitProducerIdRequest::default().with_transactional_id(Some(id())).with_producer_id(ProducerId(-1));
    client.call(version, &request.with_producer_epoch(-1).with_transaction_timeout_ms(timeout_ms)).await
}

fn batch(producer: ProducerId, epoch: i16, sequence: i32, value: &str) -> Bytes {
    let mut one: Record = record(0, None, value);
    (one.transactional, one.producer_id, one.producer_epoch, one.sequence) = (true, producer.0, epoch, sequence);
    encoded(&[one], Compression::None)
}

fn send(partition: i32, records: Bytes) -> ProduceRequest {
    produce("orders", uuid::Uuid::nil(), -1, &[(partition, records)]).with_transactional_id(Some(id()))
}

async fn read(client: &mut Client, partition: i32, committed: bool) -> (Result<Vec<(i64, String)>, i16>, i64, usize) {
    let request = fetch("orders", uuid::Uuid::nil(), 0, &[(partition, 0)]).with_isolation_level(i8::from(committed));
    let answer = client.call(12, &request).await;
    let part = &answer.responses[0].partitions[0];
    let aborted = part.aborted_transactions.as_ref().map_or(0, Vec::len);
    // Markers have no text; they are left to the client.
    let records = fetched_values(&answer);
    (records, part.last_stable_offset, aborted)
}

fn fetched_values(answer: &FetchResponse) -> Result<Vec<(i64, String)>, i16> {
    fetched(answer).remove(0).map(|all| all.into_iter().filter(|(_, value)| !value.starts_with('\0')).collect())
}

async fn end_offset(client: &mut Client, isolation: i8) -> i64 {
    let part = ListOffsetsPartition::default().with_timestamp(-1);
    let topic = ListOffsetsTopic::default().with_name(name("orders")).with_partitions(vec![part]);
    let request = ListOffsetsRequest::default().with_isolation_level(isolation).with_topics(vec![topic]);
    client.call(8, &request).await.topics[0].partitions[0].offset
}

fn offsets(producer: ProducerId, epoch: i16, offset: i64) -> TxnOffsetCommitRequest {
    let part = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
    let topic = TxnOffsetCommitRequestTopic::default().with_name(name("orders")).with_partitions(vec![part]);
    TxnOffsetCommitRequest::default()
        .with_transactional_id(id())
        .with_group_id(group())
        .with_producer_id(producer)
        .with_producer_epoch(epoch)
        .with_generation_id(-1)
        .with_topics(vec![topic])
}

async fn stable_offset(client: &mut Client) -> (i16, i64) {
    let topic = OffsetFetchRequestTopics::default().with_name(name("orders")).with_partition_indexes(vec![0]);
    let wanted = OffsetFetchRequestGroup::default().with_group_id(group()).with_topics(Some(vec![topic]));
    let request = OffsetFetchRequest::default().with_groups(vec![wanted]).with_require_stable(true);
    let answer = client.call(9, &request).await;
    let part = &answer.groups[0].topics[0].partitions[0];
    (part.error_code, part.committed_offset)
}

fn end(producer: ProducerId, epoch: i16, committed: bool) -> EndTxnRequest {
    EndTxnRequest::default()
        .with_transactional_id(id())
        .with_producer_id(producer)
        .with_producer_epoch(epoch)
        .with_committed(committed)
}

#[tokio::test]
async fn an_older_client_adds_writes_commits_offsets_and_ends() {
    let served = Served::start().await;
    served.topic("orders", 2).await;
    let mut client = served.client().await;
    assert_eq!(init(&mut client, 4, 900_001).await.error_code, 50, "too long");
    let begun = init(&mut client, 4, 60_000).await;
    assert_eq!((begun.error_code, begun.producer_epoch), (0, 0));
    let producer = begun.producer_id;
    let topic = AddPartitionsToTxnTopic::default().with_name(name("orders")).with_partitions(vec![0, 1]);
    let unknown = AddPartitionsToTxnTopic::default().with_name(name("nowhere")).with_partitions(vec![0]);
    let add = |topics: Vec<AddPartitionsToTxnTopic>| {
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(id())
            .with_v3_and_below_producer_id(producer)
            .with_v3_and_below_topics(topics)
    };
    let codes = |answer: AddPartitionsToTxnResponse| -> Vec<i16> {
        let all = answer.results_by_topic_v3_and_below.into_iter().flat_map(|topic| topic.results_by_partition);
        all.map(|result| result.partition_error_code).collect()
    };
    let answer = client.call(11, &send(0, batch(producer, 0, 0, "early"))).await;
    assert_eq!(produced(&answer), [(48, -1)], "it was not added");
    assert_eq!(codes(client.call(3, &add(vec![topic.clone(), unknown])).await), [55, 55, 3]);
    assert_eq!(codes(client.call(3, &add(vec![topic.clone()])).await), [0, 0]);
    assert_eq!(produced(&client.call(11, &send(0, batch(producer, 0, 0, "a"))).await), [(0, 0)]);
    let request =
        AddOffsetsToTxnRequest::default().with_transactional_id(id()).with_producer_id(producer).with_group_id(group());
    assert_eq!(client.call(3, &request).await.error_code, 0);
    let stored = client.call(3, &offsets(producer, 0, 7)).await;
    assert_eq!(stored.topics[0].partitions[0].error_code, 0);
    assert_eq!(stable_offset(&mut client).await, (88, -1), "a transaction may still change it");
    assert_eq!(read(&mut client, 0, true).await, (Ok(vec![]), 0, 0));
    assert_eq!(read(&mut client, 0, false).await.0, Ok(vec![(0, "a".to_owned())]));
    assert_eq!((end_offset(&mut client, 0).await, end_offset(&mut client, 1).await), (1, 0));
    assert_eq!(client.call(4, &end(producer, 0, true)).await.error_code, 0);
    assert_eq!(client.call(4, &end(producer, 0, true)).await.error_code, 0, "asked again");
    assert_eq!(client.call(4, &end(producer, 0, false)).await.error_code, 48);
    assert_eq!(stable_offset(&mut client).await, (0, 7));
    assert_eq!(read(&mut client, 0, true).await, (Ok(vec![(0, "a".to_owned())]), 2, 0));
    // A second instance fences the first.
    let again = init(&mut client, 4, 60_000).await;
    assert_eq!((again.producer_id, again.producer_epoch), (producer, 1));
    assert_eq!(codes(client.call(3, &add(vec![topic.clone()])).await), [90, 90]);
    assert_eq!(codes(client.call(1, &add(vec![topic])).await), [47, 47], "before there was a code for it");
}

#[tokio::test]
async fn a_newer_client_just_writes_and_gets_a_new_epoch_with_each_end() {
    let served = Served::start().await;
    let orders = served.topic("orders", 1).await;
    let mut client = served.client().await;
    let producer = init(&mut client, 5, 60_000).await.producer_id;
    assert_eq!(produced(&client.call(12, &send(0, batch(producer, 0, 0, "a"))).await), [(0, 0)]);
    assert_eq!(client.call(5, &offsets(producer, 0, 3)).await.topics[0].partitions[0].error_code, 0);
    let ended = client.call(5, &end(producer, 0, false)).await;
    assert_eq!((ended.error_code, ended.producer_id, ended.producer_epoch), (0, producer, 1));
    assert_eq!(stable_offset(&mut client).await, (0, -1));
    let (_, stable, aborted) = read(&mut client, 0, true).await;
    assert_eq!((stable, aborted), (2, 1), "the client is told what to leave out");
    let late = client.call(12, &send(0, batch(producer, 0, 1, "late"))).await;
    assert_eq!(produced(&late), [(47, -1)]);
    let by_id = produce("", orders, -1, &[(0, batch(producer, 1, 0, "b"))]).with_transactional_id(Some(id()));
    assert_eq!(produced(&client.call(13, &by_id).await), [(0, 2)]);
    let described = client.call(0, &DescribeTransactionsRequest::default().with_transactional_ids(vec![id()])).await;
    let state = &described.transaction_states[0];
    assert_eq!((state.transaction_state.as_str(), state.producer_epoch, state.topics.len()), ("Ongoing", 1, 1));
    let listed = |filter: &'static str| {
        ListTransactionsRequest::default()
            .with_state_filters(vec![StrBytes::from_static_str(filter)])
            .with_duration_filter(-1)
    };
    assert_eq!(client.call(1, &listed("Ongoing")).await.transaction_states.len(), 1);
    assert_eq!(client.call(1, &listed("CompleteAbort")).await.transaction_states.len(), 0);
    assert_eq!(client.call(1, &listed("Asleep")).await.unknown_state_filters.len(), 1);
    let named = async |client: &mut Client, pattern: &'static str| {
        let pattern = Some(StrBytes::from_static_str(pattern));
        let answer = client.call(2, &listed("Ongoing").with_transactional_id_pattern(pattern)).await;
        (answer.error_code, answer.transaction_states.len())
    };
    assert_eq!(named(&mut client, "").await, (0, 1));
    assert_eq!(named(&mut client, "c.*").await, (0, 1));
    assert_eq!(named(&mut client, "cop").await, (0, 0), "a pattern is for the whole name");
    assert_eq!(named(&mut client, "(").await, (128, 0));
    let wanted = TopicRequest::default().with_name(name("orders")).with_partition_indexes(vec![0]);
    let producers = client.call(0, &DescribeProducersRequest::default().with_topics(vec![wanted])).await;
    let active = &producers.topics[0].partitions[0].active_producers[0];
    assert_eq!((active.producer_id, active.producer_epoch, active.current_txn_start_offset), (producer, 1, 2));
    // Another broker asks whether a partition is part of it.
    let topic = AddPartitionsToTxnTopic::default().with_name(name("orders")).with_partitions(vec![0, 1]);
    let verified = AddPartitionsToTxnTransaction::default()
        .with_transactional_id(id())
        .with_producer_id(producer)
        .with_producer_epoch(1)
        .with_verify_only(true)
        .with_topics(vec![topic]);
    let answer = client.call(5, &AddPartitionsToTxnRequest::default().with_transactions(vec![verified])).await;
    let results = &answer.results_by_transaction[0].topic_results[0].results_by_partition;
    let codes: Vec<i16> = results.iter().map(|result| result.partition_error_code).collect();
    assert_eq!(codes, [0, 120]);
    // It outlives the broker.
    let served = served.restart().await;
    let mut client = served.client().await;
    assert_eq!(client.call(5, &end(producer, 1, true)).await.producer_epoch, 2);
    assert_eq!(client.call(5, &end(producer, 1, true)).await.producer_epoch, 2, "asked again");
    let request = fetch("orders", uuid::Uuid::nil(), 0, &[(0, 2)]).with_isolation_level(1);
    let records = fetched_values(&client.call(12, &request).await);
    assert_eq!(records, Ok(vec![(2, "b".to_owned())]));
}

#[tokio::test]
async fn an_end_that_was_not_clean_begins_a_leader_epoch_and_clients_can_tell() {
    let served = Served::start().await;
    let id = served.topic("orders", 1).await;
    let mut client = served.client().await;
    let plain = |value: &str| produce("orders", uuid::Uuid::nil(), -1, &[(0, super::values_batch(&[value]))]);
    assert_eq!(produced(&client.call(9, &plain("a")).await), [(0, 0)]);
    let served = served.restart().await;
    let mut client = served.client().await;
    assert_eq!(produced(&client.call(9, &plain("b")).await), [(0, 1)]);
    let topics = vec![metadata_request::MetadataRequestTopic::default().with_name(Some(name("orders")))];
    let answer = client.call(9, &MetadataRequest::default().with_topics(Some(topics))).await;
    assert_eq!(answer.topics[0].partitions[0].leader_epoch, 1);
    let ends = async |client: &mut Client, current: i32, epoch: i32| {
        let part = OffsetForLeaderPartition::default().with_current_leader_epoch(current).with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default().with_topic(name("orders")).with_partitions(vec![part]);
        let answer = client.call(4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic])).await;
        let part = &answer.topics[0].partitions[0];
        (part.error_code, part.leader_epoch, part.end_offset)
    };
    assert_eq!(ends(&mut client, 1, 0).await, (0, 0, 1));
    assert_eq!(ends(&mut client, -1, 1).await, (0, 1, 2));
    assert_eq!(ends(&mut client, 1, 5).await, (0, -1, -1));
    assert_eq!(ends(&mut client, 0, 0).await, (74, -1, -1));
    assert_eq!(ends(&mut client, 9, 0).await, (75, -1, -1));
    let mut stale = fetch("orders", id, 0, &[(0, 0)]);
    stale.topics[0].partitions[0].current_leader_epoch = 0;
    assert_eq!(fetched(&client.call(12, &stale).await), [Err(74)]);
}
