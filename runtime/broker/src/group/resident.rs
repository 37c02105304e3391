//! Groups whose members live in this process: the sinks of the worker, which read the log directly and commit to `connect-<name>`.
//!
//! Clients see them like any others, and are kept from moving their offsets while they run.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::consumer_protocol_assignment::TopicPartition as Assigned;
use kafka_protocol::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use kafka_protocol::protocol::{Encodable, StrBytes};
use towpath_model::TopicPartition;

use super::machine::{Described, DescribedMember, State};
use crate::node::topic_name;

/// The names that such groups have, as Connect gives them.
const PREFIX: &str = "connect-";
/// The version of the consumer protocol that every client reads.
const VERSION: i16 = 1;

/// Whoever houses groups.
pub trait Residents: std::fmt::Debug + Send + Sync {
    /// Whether it is known which there are; before that nobody else may change what could be one of them.
    fn is_ready(&self) -> bool;
    /// All of them, also those that are stopped.
    fn groups(&self) -> Vec<ResidentGroup>;
}

/// A group that lives here.
#[derive(Clone, Debug)]
pub struct ResidentGroup {
    /// Its name.
    pub group: String,
    /// Who reads for it now.
    pub members: Vec<ResidentMember>,
}

/// A member of such a group.
#[derive(Clone, Debug)]
pub struct ResidentMember {
    /// Its id.
    pub member_id: String,
    /// What it is called.
    pub client_id: String,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

/// Whether someone who does not live here may change a group that may.
pub(crate) fn may_change(residents: Option<&dyn Residents>, group: &str, refusal: Code) -> Result<(), Code> {
    let Some(residents) = residents.filter(|_| group.starts_with(PREFIX)) else { return Ok(()) };
    if !residents.is_ready() {
        return Err(Code::CoordinatorLoadInProgress);
    }
    let runs = |one: ResidentGroup| one.group == group && !one.members.is_empty();
    if residents.groups().into_iter().any(runs) { Err(refusal) } else { Ok(()) }
}

impl ResidentGroup {
    /// The group as it is described to tools.
    pub(crate) fn described(self) -> Described {
        let state = if self.members.is_empty() { State::Empty } else { State::Stable };
        let member = |member: ResidentMember| DescribedMember {
            metadata: subscription(&member.partitions),
            assignment: assignment(&member.partitions),
            member_id: member.member_id,
            instance: None,
            client_id: member.client_id,
            client_host: "/127.0.0.1".to_owned(),
        };
        let members = self.members.into_iter().map(member).collect();
        Described { state, protocol_type: "consumer".to_owned(), protocol: "range".to_owned(), members }
    }
}

fn subscription(partitions: &[TopicPartition]) -> Bytes {
    let mut topics: Vec<StrBytes> = Vec::new();
    for partition in partitions {
        if topics.last().is_none_or(|last| last.as_str() != &*partition.topic) {
            topics.push(StrBytes::from_string(partition.topic.to_string()));
        }
    }
    encoded(&ConsumerProtocolSubscription::default().with_topics(topics).with_user_data(None))
}

fn assignment(partitions: &[TopicPartition]) -> Bytes {
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

fn encoded(message: &impl Encodable) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    match message.encode(&mut out, VERSION) {
        Ok(()) => out.freeze(),
        // What these hold always encodes; tools show a member without partitions otherwise.
        Err(_) => Bytes::new(),
    }
}
