//! What all connections share: the log, the one broker that clients see, and the groups.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{BrokerId, TopicName};
use kafka_protocol::protocol::StrBytes;
use rand::Rng;
use tokio::sync::{RwLock, Semaphore};
use towpath_log::{Embedded, Topic, Topics};
use towpath_model::Clock;

use crate::config::Config;
use crate::fetch_sessions::Sessions;
use crate::group::consumer::Consumers;
use crate::group::{Coordinator, Described, ResidentGroup, may_change};
use crate::metrics::Metrics;
use crate::sasl::{Random, Users};
use crate::topic_ids::TopicIds;

/// The id of the one broker, which is its own controller and the leader of everything.
pub(crate) const BROKER: BrokerId = BrokerId(1);

/// What all connections share.
pub(crate) struct Node {
    pub(crate) log: Arc<Embedded>,
    pub(crate) config: Config,
    pub(crate) cluster_id: StrBytes,
    pub(crate) topic_ids: TopicIds,
    pub(crate) groups: Arc<Coordinator>,
    /// Groups of the newer protocol.
    pub(crate) consumers: Consumers,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) sessions: Mutex<Sessions>,
    /// Who may log in, where that is asked for anywhere.
    pub(crate) users: Option<Arc<Users>>,
    /// Logins that are computed at a time.
    pub(crate) logins: Semaphore,
    pub(crate) random: Mutex<Random>,
    /// Held shared by whoever commits offsets of groups, alone by whoever looks whether they have expired or deletes a topic with its.
    pub(crate) commits: RwLock<()>,
}

impl Node {
    /// The fetch sessions of all clients.
    pub(crate) fn fetch_sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is random here.
    pub(crate) fn random(&self) -> MutexGuard<'_, Random> {
        self.random.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An id for a member of a group: what it calls itself, and something that nobody else has.
    pub(crate) fn fresh_id(&self, called: &str) -> String {
        let mut random = [0; 16];
        self.random().fill_bytes(&mut random);
        format!("{called}-{}", uuid::Builder::from_random_bytes(random).into_uuid())
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

    /// Whether a client may change a group: join it, move its offsets, delete it.
    pub(crate) fn may_change_group(&self, group: &str, refusal: Code) -> Result<(), Code> {
        may_change(self.config.residents.as_deref(), group, refusal)
    }

    /// A group that has members or had some since the start, wherever they live.
    pub(crate) fn describe_group(&self, group: &str) -> Option<Described> {
        let residents = self.config.residents.iter().flat_map(|residents| residents.groups());
        let resident = residents.into_iter().find(|resident| resident.group == group);
        resident.map(ResidentGroup::described).or_else(|| self.groups.describe(group))
    }

    /// All such groups.
    pub(crate) fn describe_groups(&self) -> Vec<(String, Described)> {
        let mut all = self.groups.all();
        let residents = self.config.residents.iter().flat_map(|residents| residents.groups());
        all.extend(residents.map(|resident| (resident.group.clone(), resident.described())));
        all
    }

    /// Whether a group has members, of whichever protocol.
    pub(crate) fn has_members(&self, group: &str) -> bool {
        self.consumers.members(group) > 0 || self.describe_group(group).is_some_and(|found| !found.members.is_empty())
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
