//! Drives the machines of all groups: hands events in, hands answers out, and watches the time.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use tokio::sync::{Notify, oneshot, watch};
use towpath_model::Clock;

use crate::config::Config;
use crate::server::stopped;

use super::handover::Handover;
use super::machine::{Action, Answer, Described, Event, Group, GroupLimits, Token};

/// Groups that are kept at a time; those without members go first.
const GROUPS_MAX: usize = 10_000;

/// All groups.
pub(crate) struct Coordinator {
    clock: Arc<dyn Clock>,
    limits: GroupLimits,
    groups: Mutex<Groups>,
    /// Something must happen earlier than before.
    sooner: Notify,
}

#[derive(Default)]
struct Groups {
    groups: BTreeMap<String, Group>,
    waiting: HashMap<Token, oneshot::Sender<Answer>>,
    next_token: Token,
    /// When a group wants to be told of the time next, as far as is known.
    next_tick: Option<Duration>,
}

impl Coordinator {
    pub(crate) fn new(clock: Arc<dyn Clock>, config: &Config) -> Self {
        let limits =
            GroupLimits { members: config.limits.group_members, initial_delay: config.initial_rebalance_delay };
        Self { clock, limits, groups: Mutex::default(), sooner: Notify::new() }
    }

    /// Tells a group what happens; what it says to that comes at once or later.
    ///
    /// # Errors
    /// Too many groups have members already.
    pub(crate) fn tell(
        &self,
        group: &str,
        event: impl FnOnce(Token) -> Event,
    ) -> Result<oneshot::Receiver<Answer>, Code> {
        let (answer, sooner) = {
            let mut groups = self.lock();
            let token = groups.next_token;
            groups.next_token += 1;
            let event = event(token);
            if !groups.groups.contains_key(group) {
                groups.make_room()?;
                groups.groups.insert(group.to_owned(), Group::new(self.limits));
            }
            let (sender, answer) = oneshot::channel();
            groups.waiting.insert(token, sender);
            groups.tell(group, event, self.clock.monotonic());
            (answer, groups.is_sooner(group))
        };
        if sooner {
            self.sooner.notify_one();
        }
        Ok(answer)
    }

    /// The members of a group, as another protocol takes them over; none where it has none.
    pub(crate) fn handover(&self, group: &str) -> Option<Handover> {
        self.lock().groups.get(group).filter(|group| !group.has_no_members()).map(Group::handover)
    }

    /// Forgets a group whose members have gone over.
    pub(crate) fn release(&self, group: &str) {
        let mut groups = self.lock();
        let actions = groups.groups.remove(group).map(Group::release);
        groups.answer(actions.unwrap_or_default());
    }

    /// Takes a group over.
    pub(crate) fn take_over(&self, group: &str, handover: Handover) {
        let taken = Group::taken_over(self.limits, handover, self.clock.monotonic());
        self.lock().groups.insert(group.to_owned(), taken);
        self.sooner.notify_one();
    }

    /// A group that has members or had some since the start.
    pub(crate) fn describe(&self, group: &str) -> Option<Described> {
        self.lock().groups.get(group).map(Group::describe)
    }

    /// All groups that have members or had some since the start.
    pub(crate) fn all(&self) -> Vec<(String, Described)> {
        self.lock().groups.iter().map(|(name, group)| (name.clone(), group.describe())).collect()
    }

    /// Forgets a group. Says whether it is known.
    ///
    /// # Errors
    /// It has members.
    pub(crate) fn delete(&self, group: &str) -> Result<bool, Code> {
        let mut groups = self.lock();
        match groups.groups.get(group) {
            Some(known) if !known.is_empty() => Err(Code::NonEmptyGroup),
            known => {
                let known = known.is_some();
                groups.groups.remove(group);
                Ok(known)
            }
        }
    }

    /// Tells groups when time has passed, until the broker ends.
    pub(crate) async fn keep_time(&self, mut shutdown: watch::Receiver<bool>) {
        loop {
            let next = self.tick();
            let wait = next.map_or(Duration::from_secs(3600), |next| next.saturating_sub(self.clock.monotonic()));
            tokio::select! {
                () = stopped(&mut shutdown) => break,
                () = self.sooner.notified() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
        // Whoever still waits is told that there is no coordinator any more.
        self.lock().waiting.clear();
    }

    /// Tells all groups whose time has come; when the next one's comes.
    fn tick(&self) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut groups = self.lock();
        let due = |(_, group): &(&String, &Group)| group.next_tick().is_some_and(|next| next <= now);
        let due: Vec<String> = groups.groups.iter().filter(due).map(|(name, _)| name.clone()).collect();
        for name in due {
            groups.tell(&name, Event::Tick, now);
        }
        groups.next_tick = groups.groups.values().filter_map(Group::next_tick).min();
        groups.next_tick
    }

    fn lock(&self) -> MutexGuard<'_, Groups> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Groups {
    fn tell(&mut self, group: &str, event: Event, now: Duration) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let actions = group.on(event, now);
        self.answer(actions);
    }

    fn answer(&mut self, actions: Vec<Action>) {
        for Action(token, answer) in actions {
            // Whoever no longer waits has closed its connection; its session tells the group in time.
            if let Some(waiting) = self.waiting.remove(&token) {
                let _ = waiting.send(answer);
            }
        }
    }

    /// Whether a group must be told of the time before any other; a heartbeat, which only puts that off, wakes nobody.
    fn is_sooner(&mut self, group: &str) -> bool {
        let Some(wanted) = self.groups.get(group).and_then(Group::next_tick) else { return false };
        let sooner = self.next_tick.is_none_or(|next| wanted < next);
        if sooner {
            self.next_tick = Some(wanted);
        }
        sooner
    }

    fn make_room(&mut self) -> Result<(), Code> {
        if self.groups.len() >= GROUPS_MAX {
            self.groups.retain(|_, group| !group.is_empty());
        }
        if self.groups.len() < GROUPS_MAX { Ok(()) } else { Err(Code::CoordinatorLoadInProgress) }
    }
}
