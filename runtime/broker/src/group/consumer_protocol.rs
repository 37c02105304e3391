//! What consumers of the classic protocol say to each other through the broker: subscriptions and assignments, each behind its version.
//! It is read as what it is: bytes that anyone may have sent.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};
use towpath_model::TopicPartition;

use crate::node::topic_name;
use crate::shield;

/// The protocol type of consumers.
pub(crate) const CONSUMER: &str = "consumer";
/// The version that every client reads.
const VERSION: i16 = 1;
const VERSION_MAX: i16 = 3;

/// A subscription to the topics of some partitions.
pub(crate) fn subscription(partitions: &[TopicPartition]) -> Bytes {
    let mut topics: Vec<StrBytes> = Vec::new();
    for partition in partitions {
        if topics.last().is_none_or(|last| last.as_str() != &*partition.topic) {
            topics.push(StrBytes::from_string(partition.topic.to_string()));
        }
    }
    encoded(&ConsumerProtocolSubscription::default().with_topics(topics).with_user_data(None))
}

/// An assignment of partitions, which come topic by topic.
pub(crate) fn assignment(partitions: &[TopicPartition]) -> Bytes {
    let mut topics: Vec<Assigned> = Vec::new();
    for partition in partitions {
        match topics.last_mut().filter(|last| last.topic.as_str() == &*partition.topic) {
            Some(last) => last.partitions.push(partition.partition),
            None => topics.push(
                Assigned::default().with_topic(topic_name(&partition.topic)).with_partitions(vec![partition.partition]),
            ),
        }
    }
    encoded(&ConsumerProtocolAssignment::default().with_assigned_partitions(topics).with_user_data(None))
}

/// A subscription that a member has sent; none where it is something else.
pub(crate) fn read_subscription(bytes: &Bytes) -> Option<ConsumerProtocolSubscription> {
    decoded(bytes)
}

/// An assignment that a member has sent; none where it is something else.
pub(crate) fn read_assignment(bytes: &Bytes) -> Option<ConsumerProtocolAssignment> {
    decoded(bytes)
}

/// The partitions of an assignment.
pub(crate) fn partitions(assignment: ConsumerProtocolAssignment) -> impl Iterator<Item = TopicPartition> {
    assignment.assigned_partitions.into_iter().flat_map(|topic| {
        let name = topic.topic.to_string();
        topic.partitions.into_iter().map(move |partition| TopicPartition::new(name.as_str(), partition))
    })
}

fn decoded<M: Decodable>(bytes: &Bytes) -> Option<M> {
    let mut rest = bytes.clone();
    let version = rest.try_get_i16().ok()?;
    shield::decode(&rest, version.clamp(0, VERSION_MAX)).ok()
}

fn encoded(message: &impl Encodable) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    match message.encode(&mut out, VERSION) {
        Ok(()) => out.freeze(),
        // What these hold always encodes; tools show a member without partitions otherwise.
        Err(_) => Bytes::new(),
    }
}
