//! The APIs: which there are, in which versions, and where each is answered. One file each.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use kafka_protocol::messages::ApiKey;

use crate::call::{Call, Opening};
use crate::error::Hangup;
use crate::node::Node;
use crate::session::Origin;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter;
mod alter_configs;
mod api_versions;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod end_txn;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_groups;
mod list_offsets;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod txn_offset_commit;

/// An API that is offered.
pub(crate) struct Offer {
    pub(crate) key: ApiKey,
    /// The lowest version that clients are told.
    pub(crate) told_min: i16,
    pub(crate) min: i16,
    pub(crate) max: i16,
}

const fn offer(key: ApiKey, min: i16, max: i16) -> Offer {
    Offer { key, told_min: min, min, max }
}

/// All of them, by number.
pub(crate) const OFFERS: &[Offer] = &[
    // Older clients conclude from version 0 what else there is, so it is told although it is not served.
    Offer { key: ApiKey::Produce, told_min: 0, min: 3, max: 13 },
    offer(ApiKey::Fetch, 4, 17),
    offer(ApiKey::ListOffsets, 1, 8),
    offer(ApiKey::Metadata, 0, 13),
    offer(ApiKey::OffsetCommit, 2, 9),
    offer(ApiKey::OffsetFetch, 1, 9),
    offer(ApiKey::FindCoordinator, 0, 5),
    offer(ApiKey::JoinGroup, 0, 9),
    offer(ApiKey::Heartbeat, 0, 4),
    offer(ApiKey::LeaveGroup, 0, 5),
    offer(ApiKey::SyncGroup, 0, 5),
    offer(ApiKey::DescribeGroups, 0, 6),
    offer(ApiKey::ListGroups, 0, 5),
    // Answered by the connection's session.
    offer(ApiKey::SaslHandshake, 0, 1),
    offer(ApiKey::ApiVersions, 0, 4),
    offer(ApiKey::CreateTopics, 2, 7),
    offer(ApiKey::DeleteTopics, 1, 6),
    offer(ApiKey::DeleteRecords, 0, 2),
    offer(ApiKey::InitProducerId, 0, 5),
    offer(ApiKey::OffsetForLeaderEpoch, 2, 4),
    offer(ApiKey::AddPartitionsToTxn, 0, 5),
    offer(ApiKey::AddOffsetsToTxn, 0, 4),
    offer(ApiKey::EndTxn, 0, 5),
    offer(ApiKey::TxnOffsetCommit, 0, 5),
    offer(ApiKey::DescribeAcls, 1, 3),
    offer(ApiKey::CreateAcls, 1, 3),
    offer(ApiKey::DeleteAcls, 1, 3),
    offer(ApiKey::DescribeConfigs, 1, 4),
    offer(ApiKey::AlterConfigs, 0, 2),
    offer(ApiKey::DescribeLogDirs, 1, 4),
    offer(ApiKey::SaslAuthenticate, 0, 2),
    offer(ApiKey::CreatePartitions, 0, 3),
    offer(ApiKey::DeleteGroups, 0, 2),
    offer(ApiKey::IncrementalAlterConfigs, 0, 1),
    offer(ApiKey::OffsetDelete, 0, 0),
    offer(ApiKey::DescribeCluster, 0, 1),
    offer(ApiKey::ConsumerGroupHeartbeat, 0, 1),
    offer(ApiKey::ConsumerGroupDescribe, 0, 1),
    offer(ApiKey::DescribeProducers, 0, 0),
    offer(ApiKey::DescribeTransactions, 0, 0),
    offer(ApiKey::ListTransactions, 0, 2),
    offer(ApiKey::DescribeTopicPartitions, 0, 0),
];

/// How far a request has come when it is begun.
pub(crate) enum Begun {
    /// It stands in the log's queue; what it resolves to is none where the client wants no answer.
    Queued(BoxFuture<'static, Result<Option<Bytes>, Hangup>>),
    /// It is to be answered by [`answer`].
    Call(Call),
    /// This is its answer.
    Answered(Bytes),
}

/// Begins a request. What it appends stands in the log's queue when this returns.
pub(crate) fn begin(node: &Arc<Node>, frame: Bytes, origin: &Arc<Origin>) -> Result<Begun, Hangup> {
    let Opening { key, version, correlation_id } = Opening::read(&frame)?;
    let not_offered = Hangup::NotOffered { key, version };
    let Some(offer) = OFFERS.iter().find(|offer| offer.key as i16 == key) else { return Err(not_offered) };
    if !(offer.min..=offer.max).contains(&version) {
        // KIP-511: a client that is newer than this learns what to ask instead.
        let newer = offer.key == ApiKey::ApiVersions;
        return if newer { api_versions::fallback(correlation_id).map(Begun::Answered) } else { Err(not_offered) };
    }
    let call = Call::read(offer.key, version, frame, origin)?;
    match offer.key {
        ApiKey::Produce => produce::begin(node, call).map(Begun::Queued),
        _ => Ok(Begun::Call(call)),
    }
}

/// Answers a request.
pub(crate) async fn answer(node: &Node, call: Call) -> Result<Bytes, Hangup> {
    let call = &call;
    match call.key {
        ApiKey::Fetch => call.encode(&fetch::answer(node, call.decode()?, call.version).await),
        ApiKey::ListOffsets => call.encode(&list_offsets::answer(node, call.decode()?, call.version).await),
        ApiKey::Metadata => call.encode(&metadata::answer(node, call, call.decode()?).await),
        ApiKey::OffsetCommit => call.encode(&offset_commit::answer(node, call.decode()?).await),
        ApiKey::OffsetFetch => call.encode(&offset_fetch::answer(node, call.decode()?, call.version)),
        ApiKey::FindCoordinator => call.encode(&find_coordinator::answer(call, call.decode()?)),
        ApiKey::JoinGroup => call.encode(&join_group::answer(node, call, call.decode()?).await),
        ApiKey::Heartbeat => call.encode(&heartbeat::answer(node, call.decode()?).await),
        ApiKey::LeaveGroup => call.encode(&leave_group::answer(node, call.decode()?, call.version).await),
        ApiKey::SyncGroup => call.encode(&sync_group::answer(node, call.decode()?).await),
        ApiKey::DescribeGroups => call.encode(&describe_groups::answer(node, call.decode()?, call.version)),
        ApiKey::ListGroups => call.encode(&list_groups::answer(node, call.decode()?)),
        ApiKey::ApiVersions => call.encode(&api_versions::answer(call.version)),
        ApiKey::CreateTopics => call.encode(&create_topics::answer(node, call.decode()?, call.version).await),
        ApiKey::DeleteTopics => call.encode(&delete_topics::answer(node, call.decode()?, call.version).await),
        ApiKey::InitProducerId => call.encode(&init_producer_id::answer(node, call.decode()?, call.version).await),
        ApiKey::OffsetForLeaderEpoch => call.encode(&offset_for_leader_epoch::answer(node, call.decode()?)),
        ApiKey::DescribeAcls => call.encode(&describe_acls::answer()),
        ApiKey::CreateAcls => call.encode(&create_acls::answer(&call.decode()?)),
        ApiKey::DeleteAcls => call.encode(&delete_acls::answer(&call.decode()?)),
        ApiKey::DescribeConfigs => call.encode(&describe_configs::answer(node, call.decode()?)),
        ApiKey::AlterConfigs => call.encode(&alter_configs::answer(node, call.decode()?).await),
        ApiKey::CreatePartitions => call.encode(&create_partitions::answer(node, call.decode()?).await),
        ApiKey::DeleteGroups => call.encode(&delete_groups::answer(node, call.decode()?).await),
        ApiKey::IncrementalAlterConfigs => call.encode(&incremental_alter_configs::answer(node, call.decode()?).await),
        ApiKey::OffsetDelete => call.encode(&offset_delete::answer(node, call.decode()?).await),
        ApiKey::DescribeCluster => call.encode(&describe_cluster::answer(node, call, call.decode()?)),
        ApiKey::DeleteRecords => call.encode(&delete_records::answer(node, call.decode()?).await),
        ApiKey::DescribeLogDirs => call.encode(&describe_log_dirs::answer(node, call.decode()?)),
        ApiKey::DescribeTopicPartitions => call.encode(&describe_topic_partitions::answer(node, call.decode()?)),
        ApiKey::AddPartitionsToTxn => {
            call.encode(&add_partitions_to_txn::answer(node, call.decode()?, call.version).await)
        }
        ApiKey::AddOffsetsToTxn => call.encode(&add_offsets_to_txn::answer(node, call.decode()?, call.version).await),
        ApiKey::EndTxn => call.encode(&end_txn::answer(node, call.decode()?, call.version).await),
        ApiKey::TxnOffsetCommit => call.encode(&txn_offset_commit::answer(node, call.decode()?, call.version).await),
        ApiKey::DescribeProducers => call.encode(&describe_producers::answer(node, call.decode()?)),
        ApiKey::DescribeTransactions => call.encode(&describe_transactions::answer(node, call.decode()?)),
        ApiKey::ListTransactions => call.encode(&list_transactions::answer(node, call.decode()?)),
        ApiKey::ConsumerGroupHeartbeat => call.encode(&consumer_group_heartbeat::answer(node, call, call.decode()?)),
        ApiKey::ConsumerGroupDescribe => call.encode(&consumer_group_describe::answer(node, call.decode()?)),
        other => Err(Hangup::NotOffered { key: other as i16, version: call.version }),
    }
}
