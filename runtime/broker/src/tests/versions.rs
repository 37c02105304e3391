//! Every API answers in every version that it is said to have, and clients of other versions learn what there is.

use kafka_protocol::messages::*;
use kafka_protocol::protocol::Request;

use super::Served;
use crate::api::OFFERS;

/// Asks in every version, with what a request says by default.
async fn all<Q: Request + Default>(served: &Served) -> usize {
    ask_all(served, &Q::default()).await
}

async fn ask_all<Q: Request>(served: &Served, request: &Q) -> usize {
    let offer = OFFERS.iter().find(|offer| offer.key as i16 == Q::KEY).expect("offered");
    let mut client = served.client().await;
    for version in offer.min..=offer.max {
        client.call(version, request).await;
    }
    1
}

#[tokio::test]
async fn every_api_answers_in_every_version_that_is_offered() {
    let served = Served::start().await;
    served.topic("orders", 2).await;
    let mut asked = ask_all(&served, &ProduceRequest::default().with_acks(-1)).await;
    asked += all::<FetchRequest>(&served).await;
    asked += all::<ListOffsetsRequest>(&served).await;
    asked += ask_all(&served, &MetadataRequest::default().with_topics(None)).await;
    asked += all::<OffsetCommitRequest>(&served).await;
    asked += all::<OffsetFetchRequest>(&served).await;
    asked += all::<FindCoordinatorRequest>(&served).await;
    asked += all::<JoinGroupRequest>(&served).await;
    asked += all::<HeartbeatRequest>(&served).await;
    asked += all::<LeaveGroupRequest>(&served).await;
    asked += all::<SyncGroupRequest>(&served).await;
    asked += all::<DescribeGroupsRequest>(&served).await;
    asked += all::<ListGroupsRequest>(&served).await;
    asked += all::<SaslHandshakeRequest>(&served).await;
    asked += all::<ApiVersionsRequest>(&served).await;
    asked += all::<CreateTopicsRequest>(&served).await;
    asked += all::<DeleteTopicsRequest>(&served).await;
    asked += all::<InitProducerIdRequest>(&served).await;
    asked += all::<OffsetForLeaderEpochRequest>(&served).await;
    asked += all::<AddPartitionsToTxnRequest>(&served).await;
    asked += all::<AddOffsetsToTxnRequest>(&served).await;
    asked += all::<EndTxnRequest>(&served).await;
    asked += all::<TxnOffsetCommitRequest>(&served).await;
    asked += all::<DescribeProducersRequest>(&served).await;
    asked += all::<DescribeTransactionsRequest>(&served).await;
    asked += all::<ListTransactionsRequest>(&served).await;
    asked += all::<DeleteRecordsRequest>(&served).await;
    asked += all::<DescribeLogDirsRequest>(&served).await;
    asked += all::<DescribeTopicPartitionsRequest>(&served).await;
    asked += all::<DescribeAclsRequest>(&served).await;
    asked += all::<CreateAclsRequest>(&served).await;
    asked += all::<DeleteAclsRequest>(&served).await;
    asked += all::<DescribeConfigsRequest>(&served).await;
    asked += all::<AlterConfigsRequest>(&served).await;
    // A login that has not begun ends its connection, which is not asked here.
    asked += 1;
    asked += all::<CreatePartitionsRequest>(&served).await;
    asked += all::<DeleteGroupsRequest>(&served).await;
    asked += all::<IncrementalAlterConfigsRequest>(&served).await;
    asked += all::<OffsetDeleteRequest>(&served).await;
    asked += all::<DescribeClusterRequest>(&served).await;
    asked += all::<ConsumerGroupHeartbeatRequest>(&served).await;
    asked += all::<ConsumerGroupDescribeRequest>(&served).await;
    assert_eq!(asked, OFFERS.len(), "an API that is offered was not asked");
}

#[tokio::test]
async fn api_versions_tells_the_exact_ranges() {
    let served = Served::start().await;
    let answer = served.client().await.call(3, &ApiVersionsRequest::default()).await;
    let range = |key: ApiKey| {
        let found = answer.api_keys.iter().find(|told| told.api_key == key as i16)?;
        Some((found.min_version, found.max_version))
    };
    // Some clients take compression and idempotence for missing unless Produce begins with 0.
    assert_eq!(range(ApiKey::Produce), Some((0, 13)));
    assert_eq!(range(ApiKey::Fetch), Some((4, 17)));
    assert_eq!(range(ApiKey::JoinGroup), Some((0, 9)));
    assert_eq!(range(ApiKey::WriteTxnMarkers), None);
    let finalized: Vec<_> =
        answer.finalized_features.iter().map(|one| (one.name.as_str(), one.max_version_level)).collect();
    assert_eq!((answer.finalized_features_epoch, finalized), (0, vec![("transaction.version", 2)]));
}

#[tokio::test]
async fn a_client_that_is_too_new_gets_an_answer_in_version_0_and_goes_on() {
    let served = Served::start().await;
    let mut client = served.client().await;
    // Version 99: the head is that of version 3, which the broker cannot know.
    use tokio::io::AsyncWriteExt as _;
    let request = b"\0\0\0\x0f\0\x12\0\x63\0\0\0\x07\0\x01x\0\x01\x01\0";
    client.stream.write_all(request).await.expect("sent");
    let body = client.receive().await.expect("an answer");
    assert_eq!(body[..], *b"\0\0\0\x07\0\x23\0\0\0\x01\0\x12\0\0\0\x04");
    let answer = client.call(3, &ApiVersionsRequest::default()).await;
    assert_eq!((answer.error_code, answer.api_keys.len()), (0, OFFERS.len()));
}

#[tokio::test]
async fn a_version_that_is_not_offered_ends_the_connection() {
    let served = Served::start().await;
    use tokio::io::AsyncWriteExt as _;
    for head in [b"\0\0\0\x0a\0\0\0\x02\0\0\0\x07\xff\xff", b"\0\0\0\x0a\0\x7f\0\0\0\0\0\x07\xff\xff"] {
        let mut client = served.client().await;
        client.stream.write_all(head).await.expect("sent");
        assert_eq!(client.receive().await, None);
    }
}
