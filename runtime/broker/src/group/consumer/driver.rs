//! All groups of the newer protocol: keeps them, hands heartbeats in with the topics that there are, and watches the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use tokio::sync::{Notify, watch};
use towpath_log::{Embedded, Topics as _};
use towpath_model::Clock;

use super::machine::{Beat, Described, Group, LEAVES, LEAVES_FOR_A_WHILE, Refused, Told, Topics};
use crate::config::Config;
use crate::server::stopped;

/// Groups that are kept at a time; those without members go first.
const GROUPS_MAX: usize = 10_000;

/// All groups.
pub(crate) struct Consumers {
    clock: Arc<dyn Clock>,
    members_max: usize,
    session: Duration,
    groups: Mutex<BTreeMap<String, Group>>,
    topics: Mutex<Known>,
    changed: Notify,
}

/// The topics that there are, kept until they change.
struct Known {
    changes: watch::Receiver<u64>,
    topics: Arc<Topics>,
}

impl Consumers {
    pub(crate) fn new(clock: Arc<dyn Clock>, config: &Config, log: &Embedded) -> Self {
        let mut changes = log.topic_changes();
        changes.mark_changed();
        let topics = Mutex::new(Known { changes, topics: Arc::default() });
        let (members_max, session) = (config.limits.group_members, config.consumer_session);
        Self { clock, members_max, session, groups: Mutex::default(), topics, changed: Notify::new() }
    }

    /// Takes a heartbeat in.
    ///
    /// # Errors
    /// Why the member is refused.
    pub(crate) fn beat(&self, group: &str, beat: Beat, log: &Embedded) -> Result<Told, Refused> {
        let topics = self.topics(log);
        let leaves = matches!(beat.epoch, LEAVES | LEAVES_FOR_A_WHILE);
        let told = {
            let mut groups = self.lock();
            if !groups.contains_key(group) {
                if beat.epoch != 0 {
                    return Err((Code::UnknownMemberId, "there is no such member"));
                }
                if groups.len() >= GROUPS_MAX {
                    groups.retain(|_, group| group.members() > 0);
                }
                if groups.len() >= GROUPS_MAX {
                    return Err((Code::CoordinatorLoadInProgress, "there are too many groups"));
                }
            }
            let known = groups.entry(group.to_owned()).or_insert_with(|| Group::new(self.session));
            let room = known.members() < self.members_max;
            known.on(beat, &topics, room, self.clock.monotonic())
        };
        if told.is_ok() && !leaves {
            self.changed.notify_one();
        }
        told
    }

    /// A group that has members or had some since the start.
    pub(crate) fn describe(&self, group: &str) -> Option<Described> {
        self.lock().get(group).map(Group::describe)
    }

    /// All groups that have members or had some since the start.
    pub(crate) fn all(&self) -> Vec<(String, Described)> {
        self.lock().iter().map(|(name, group)| (name.clone(), group.describe())).collect()
    }

    /// How many members a group has.
    pub(crate) fn members(&self, group: &str) -> usize {
        self.lock().get(group).map_or(0, Group::members)
    }

    /// Whether someone may commit offsets for a group; none where the group is not of this protocol.
    pub(crate) fn may_commit(&self, group: &str, member_id: &str, epoch: i32) -> Option<Result<(), Code>> {
        let groups = self.lock();
        groups.get(group).filter(|group| group.members() > 0).map(|group| group.may_commit(member_id, epoch))
    }

    /// Forgets a group that has no members. Says whether it is known.
    pub(crate) fn forget(&self, group: &str) -> bool {
        let mut groups = self.lock();
        groups.get(group).is_some_and(|found| found.members() == 0) && groups.remove(group).is_some()
    }

    /// Lets members go that have said nothing for too long, until the broker ends.
    pub(crate) async fn keep_time(&self, mut shutdown: watch::Receiver<bool>) {
        loop {
            let now = self.clock.monotonic();
            let next = {
                let mut groups = self.lock();
                groups.values_mut().for_each(|group| group.expire(now));
                groups.values().filter_map(Group::next_tick).min()
            };
            let wait = next.map_or(Duration::from_secs(3600), |next| next.saturating_sub(now));
            tokio::select! {
                () = stopped(&mut shutdown) => return,
                // A heartbeat only puts an end off, but for the first one.
                () = self.changed.notified(), if next.is_none() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    fn topics(&self, log: &Embedded) -> Arc<Topics> {
        let mut known = self.topics.lock().unwrap_or_else(PoisonError::into_inner);
        if known.changes.has_changed().unwrap_or(false) {
            // Marked as seen before the look, so that a change during it is looked at again.
            known.changes.mark_unchanged();
            let all = log.topics().into_iter().map(|topic| (topic.name, (topic.id, topic.partitions)));
            known.topics = Arc::new(all.collect());
        }
        Arc::clone(&known.topics)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
