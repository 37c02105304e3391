//! What all connections share: the log, the one broker that clients see, and the groups.

use std::net::SocketAddr;
use std::sync::Arc;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use towpath_log::{Embedded, Topic, Topics};

use crate::config::Config;
use crate::group::Coordinator;
use crate::topic_ids::TopicIds;

/// The id of the one broker, which is its own controller and the leader of everything.
pub(crate) const BROKER: BrokerId = BrokerId(1);

/// What all connections share.
pub(crate) struct Node {
    pub(crate) log: Arc<Embedded>,
    pub(crate) config: Config,
    pub(crate) cluster_id: StrBytes,
    pub(crate) topic_ids: TopicIds,
    pub(crate) groups: Coordinator,
    /// What clients are told to connect to, where that is not the address they came to.
    pub(crate) advertised: Option<(StrBytes, i32)>,
}

impl Node {
    /// The address a client that came to `local` is told.
    pub(crate) fn endpoint(&self, local: SocketAddr) -> (StrBytes, i32) {
        let came_to = || (StrBytes::from_string(local.ip().to_string()), i32::from(local.port()));
        self.advertised.clone().unwrap_or_else(came_to)
    }

    /// A topic by id, or by name where the id is none.
    pub(crate) fn topic_by(&self, id: uuid::Uuid, name: &str) -> Option<Topic> {
        if id.is_nil() {
            return self.log.topic(name);
        }
        // Between a look at the ids and one at the topic it may have been deleted and created anew.
        self.topic_ids.name(&self.log, id).and_then(|name| self.log.topic(&name)).filter(|topic| topic.id == id)
    }

    /// What is wrong with the epoch that a client takes for the leader's; a negative one is none.
    pub(crate) fn wrong_epoch(&self, claimed: i32) -> Option<Code> {
        match claimed.cmp(&self.log.leader_epoch()) {
            _ if claimed < 0 => None,
            std::cmp::Ordering::Less => Some(Code::FencedLeaderEpoch),
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => Some(Code::UnknownLeaderEpoch),
        }
    }

    /// Whether clients may not write a topic or change it: its records are the runtime's own state.
    pub(crate) fn is_protected(&self, topic: &Topic) -> bool {
        topic.internal
    }
}

/// A name as the protocol has it.
pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}
