//! All groups of the newer protocol: keeps them, hands heartbeats in with the topics that there are, and watches the time. It also decides
//! to which protocol a group belongs, and lets it change: whoever speaks to a group speaks to it through here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use tokio::sync::{Notify, watch};
use towpath_log::{Embedded, Topics as _};
use towpath_model::Clock;

use super::super::coordinator::Coordinator;
use super::super::handover::MigrationPolicy;
use super::super::machine::{Answer, Event, Token};
use super::machine::{Beat, Described, Group, JOINS, Refused, Told, Topics};
use crate::config::Config;
use crate::server::stopped;

/// Groups that are kept at a time; those without members go first.
const GROUPS_MAX: usize = 10_000;

/// All groups.
pub(crate) struct Consumers {
    clock: Arc<dyn Clock>,
    members_max: usize,
    session: Duration,
    policy: MigrationPolicy,
    /// Groups of the classic protocol. Their lock is taken under that of the groups here, never the other way round.
    classic: Arc<Coordinator>,
    groups: Mutex<Groups>,
    topics: Mutex<Known>,
    /// Something must happen earlier than before.
    sooner: Notify,
}

#[derive(Default)]
struct Groups {
    all: BTreeMap<String, Group>,
    /// When a group wants to be told of the time next, as far as is known.
    next_tick: Option<Duration>,
}

/// The topics that there are, kept until they change.
struct Known {
    changes: watch::Receiver<u64>,
    topics: Arc<Topics>,
}

impl Consumers {
    pub(crate) fn new(clock: Arc<dyn Clock>, config: &Config, log: &Embedded, classic: Arc<Coordinator>) -> Self {
        let mut changes = log.topic_changes();
        changes.mark_changed();
        let topics = Mutex::new(Known { changes, topics: Arc::default() });
        let (members_max, session) = (config.limits.group_members, config.consumer_session);
        let policy = config.consumer_migration;
        let (groups, sooner) = (Mutex::default(), Notify::new());
        Self { clock, members_max, session, policy, classic, groups, topics, sooner }
    }

    /// Tells a group of either protocol what a member of the classic one says, and waits for the answer.
    ///
    /// # Errors
    /// Too many groups have members already.
    pub(crate) async fn ask(
        &self,
        name: &str,
        event: impl FnOnce(Token) -> Event,
        log: &Embedded,
    ) -> Result<Answer, Code> {
        let answer = {
            let mut groups = self.lock();
            let now = self.clock.monotonic();
            if let Some(group) = groups.all.get_mut(name) {
                group.expire(now);
                self.downgrade(&mut groups, name);
            }
            if let Some(group) = groups.all.get_mut(name).filter(|group| group.members() > 0) {
                let room = group.members() < self.members_max;
                let answer = group.on_classic(event(0), &self.topics(log), room, now);
                self.settle(&mut groups, name);
                return Ok(answer);
            }
            let mut joins = false;
            let answer = self.classic.tell(name, |token| {
                let event = event(token);
                joins = matches!(event, Event::Join(..));
                event
            })?;
            if joins {
                // One without members belongs to who comes first.
                groups.all.remove(name);
            }
            answer
        };
        answer.await.map_err(|_| Code::CoordinatorNotAvailable)
    }

    /// Takes a heartbeat in.
    ///
    /// # Errors
    /// Why the member is refused.
    pub(crate) fn beat(&self, name: &str, beat: Beat, log: &Embedded) -> Result<Told, Refused> {
        let topics = self.topics(log);
        let mut groups = self.lock();
        let now = self.clock.monotonic();
        if let Some(classic) = self.classic.handover(name) {
            if beat.epoch != JOINS || !self.policy.upgrades() || classic.members.len() > self.members_max {
                return Err((Code::GroupIdNotFound, "the group has members of the classic protocol"));
            }
            let room = classic.members.len() < self.members_max;
            let mut group = Group::upgraded(self.session, classic, &topics, now)?;
            let told = group.on(beat, &topics, room, now)?;
            tracing::info!(group = name, "the group comes to the consumer protocol with its members");
            self.classic.release(name);
            groups.all.insert(name.to_owned(), group);
            self.settle(&mut groups, name);
            return Ok(told);
        }
        if !groups.all.contains_key(name) {
            if beat.epoch != JOINS {
                return Err((Code::UnknownMemberId, "there is no such member"));
            }
            if groups.all.len() >= GROUPS_MAX {
                groups.all.retain(|_, group| group.members() > 0);
            }
            if groups.all.len() >= GROUPS_MAX {
                return Err((Code::CoordinatorLoadInProgress, "there are too many groups"));
            }
        }
        let group = groups.all.entry(name.to_owned()).or_insert_with(|| Group::new(self.session));
        let room = group.members() < self.members_max;
        let told = group.on(beat, &topics, room, now);
        self.settle(&mut groups, name);
        told
    }

    /// After an event: the group may go back to the classic protocol, or want to be told of the time before any other.
    fn settle(&self, groups: &mut Groups, name: &str) {
        self.downgrade(groups, name);
        let Some(wanted) = groups.all.get(name).and_then(Group::next_tick) else { return };
        // A heartbeat, which only puts that off, wakes nobody.
        if groups.next_tick.is_none_or(|next| wanted < next) {
            groups.next_tick = Some(wanted);
            self.sooner.notify_one();
        }
    }

    /// Gives a group back to the classic protocol that has no other members any more.
    fn downgrade(&self, groups: &mut Groups, name: &str) {
        if !self.policy.downgrades() || !groups.all.get(name).is_some_and(Group::is_classic) {
            return;
        }
        if let Some(group) = groups.all.remove(name) {
            tracing::info!(group = name, "the group goes back to the classic protocol with its members");
            self.classic.take_over(name, group.handover());
        }
    }

    /// A group that has members or had some since the start.
    pub(crate) fn describe(&self, group: &str) -> Option<Described> {
        self.lock().all.get(group).map(Group::describe)
    }

    /// All groups that have members or had some since the start.
    pub(crate) fn all(&self) -> Vec<(String, Described)> {
        self.lock().all.iter().map(|(name, group)| (name.clone(), group.describe())).collect()
    }

    /// How many members a group has.
    pub(crate) fn members(&self, group: &str) -> usize {
        self.lock().all.get(group).map_or(0, Group::members)
    }

    /// Whether someone may commit offsets for a group; none where the group is not of this protocol.
    pub(crate) fn may_commit(&self, group: &str, member_id: &str, epoch: i32) -> Option<Result<(), Code>> {
        let groups = self.lock();
        groups.all.get(group).filter(|group| group.members() > 0).map(|group| group.may_commit(member_id, epoch))
    }

    /// Forgets a group that has no members. Says whether it is known.
    pub(crate) fn forget(&self, group: &str) -> bool {
        let mut groups = self.lock();
        groups.all.get(group).is_some_and(|found| found.members() == 0) && groups.all.remove(group).is_some()
    }

    /// Lets members go that have said nothing for too long, until the broker ends.
    pub(crate) async fn keep_time(&self, mut shutdown: watch::Receiver<bool>) {
        loop {
            let next = self.tick();
            let wait = next.map_or(Duration::from_secs(3600), |next| next.saturating_sub(self.clock.monotonic()));
            tokio::select! {
                () = stopped(&mut shutdown) => return,
                () = self.sooner.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Tells all groups that time has passed; when the next one wants to be told.
    fn tick(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut groups = self.lock();
        groups.all.values_mut().for_each(|group| group.expire(now));
        let classic = groups.all.iter().filter(|(_, group)| group.is_classic());
        let classic: Vec<String> = classic.map(|(name, _)| name.clone()).collect();
        classic.iter().for_each(|name| self.downgrade(&mut groups, name));
        groups.next_tick = groups.all.values().filter_map(Group::next_tick).min();
        groups.next_tick
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

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
