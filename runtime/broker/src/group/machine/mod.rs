//! One group of the classic protocol.
//!
//! ```text
//!            first member joins              all have joined, or time is up          leader assigns
//!   Empty ────────────────────> Preparing ──────────────────────────> Completing ──────────────────> Stable
//!     ^                            ^  │ nobody is left                    │ someone joins, leaves, expires │
//!     └────────────────────────────┼──┘ <─────────────────────────────────┴────────────────────────────────┘
//! ```
//! Every event that wants an answer carries a token; the answer comes as an action with that token, at once or later. A generation
//! is what fences: whoever speaks for an older one is told so.
//!
//! `join` is the first half of a rebalance, `sync` the second; `members` is who they are, and how they go; `handover` is how they change to
//! the newer protocol and back.

mod handover;
mod join;
mod members;
mod sync;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError as Code;

/// Names an answer that someone waits for.
pub(crate) type Token = u64;

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    limits: GroupLimits,
    state: State,
    generation: i32,
    protocol_type: String,
    protocol: Option<String>,
    leader: Option<String>,
    members: BTreeMap<String, Member>,
    /// Ids that were given to members that are yet to join with them, and until when.
    promised: BTreeMap<String, Duration>,
    /// Ids of static members by their instance.
    instances: BTreeMap<String, String>,
    /// Until when members may join the generation that is being prepared.
    deadline: Duration,
    /// Whether that time is waited out although all have joined.
    first_round: bool,
    joins: u64,
}

/// What bounds a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GroupLimits {
    pub(crate) members: usize,
    pub(crate) initial_delay: Duration,
}

/// Where a group is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Empty,
    Preparing,
    Completing,
    Stable,
}

impl State {
    /// Its name in Kafka.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

#[derive(Debug)]
struct Member {
    instance: Option<String>,
    client_id: String,
    client_host: String,
    session: Duration,
    rebalance: Duration,
    protocols: Vec<(String, Bytes)>,
    assignment: Bytes,
    /// When it counts as gone, unless it waits for an answer of ours.
    expires: Duration,
    joining: Option<Token>,
    syncing: Option<Token>,
    /// When it came, among all: the first becomes leader.
    order: u64,
}

/// Who speaks, and for which generation.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) generation: i32,
}

/// What a member wants to join with.
#[derive(Clone, Debug)]
pub(crate) struct Join {
    pub(crate) member_id: String,
    /// The id it gets where it has none.
    pub(crate) fresh_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session: Duration,
    pub(crate) rebalance: Duration,
    pub(crate) protocol_type: String,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// Whether it must come back with an id before it counts.
    pub(crate) id_required: bool,
}

/// What a member brings to the end of a rebalance.
#[derive(Clone, Debug)]
pub(crate) struct Sync {
    pub(crate) who: Identity,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) assignments: Vec<(String, Bytes)>,
}

/// Who leaves: a member by id, or a static one by its instance.
#[derive(Clone, Debug)]
pub(crate) struct Leaver {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
}

impl Leaver {
    /// Which member it is, among those that are known by their instance.
    ///
    /// # Errors
    /// Another member has the instance now, or none has.
    pub(crate) fn id_among(&self, instances: &BTreeMap<String, String>) -> Result<String, Code> {
        let Some(instance) = &self.instance else { return Ok(self.member_id.clone()) };
        let known = instances.get(instance).cloned().ok_or(Code::UnknownMemberId)?;
        if self.member_id.is_empty() || self.member_id == known { Ok(known) } else { Err(Code::FencedInstanceId) }
    }
}

/// What happens to a group.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Join(Token, Join),
    Sync(Token, Sync),
    Heartbeat(Token, Identity),
    Leave(Token, Vec<Leaver>),
    /// Someone wants to commit offsets.
    Commit(Token, Identity),
    /// Time has passed.
    Tick,
}

/// What members are told of a generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) leader: String,
    pub(crate) member_id: String,
    /// Id, instance and metadata of each member; for the leader alone.
    pub(crate) members: Vec<(String, Option<String>, Bytes)>,
    /// Whether the leader is to leave the assignment as it is.
    pub(crate) skip_assignment: bool,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Joined(Joined),
    /// A join was refused; the id is the one to come back with.
    JoinRefused(Code, String),
    Synced {
        protocol_type: String,
        protocol: String,
        assignment: Bytes,
    },
    SyncRefused(Code),
    /// Of a heartbeat or a commit.
    Done(Result<(), Code>),
    Left(Vec<Result<(), Code>>),
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Action(pub(crate) Token, pub(crate) Answer);

/// A group as it is described to tools.
#[derive(Clone, Debug)]
pub(crate) struct Described {
    pub(crate) state: State,
    pub(crate) protocol_type: String,
    pub(crate) protocol: String,
    pub(crate) members: Vec<DescribedMember>,
}

/// A member as it is described to tools.
#[derive(Clone, Debug)]
pub(crate) struct DescribedMember {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) metadata: Bytes,
    pub(crate) assignment: Bytes,
}

impl Group {
    pub(crate) fn new(limits: GroupLimits) -> Self {
        Self {
            limits,
            state: State::Empty,
            generation: 0,
            protocol_type: String::new(),
            protocol: None,
            leader: None,
            members: BTreeMap::new(),
            promised: BTreeMap::new(),
            instances: BTreeMap::new(),
            deadline: Duration::MAX,
            first_round: false,
            joins: 0,
        }
    }

    /// Takes an event in, at a time that never goes back.
    pub(crate) fn on(&mut self, event: Event, now: Duration) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Join(token, join) => self.join(token, join, now, &mut actions),
            Event::Sync(token, sync) => self.sync(token, sync, now, &mut actions),
            Event::Heartbeat(token, who) => {
                let beat = self.heartbeat(&who, now);
                actions.push(Action(token, Answer::Done(beat)));
            }
            Event::Commit(token, who) => {
                let allowed = self.may_commit(&who, now);
                actions.push(Action(token, Answer::Done(allowed)));
            }
            Event::Leave(token, leavers) => {
                let left = leavers.iter().map(|leaver| self.leave(leaver, now, &mut actions)).collect();
                actions.push(Action(token, Answer::Left(left)));
            }
            Event::Tick => self.expire(now, &mut actions),
        }
        self.complete_join(now, &mut actions);
        actions
    }

    /// When it wants to be told that time has passed.
    pub(crate) fn next_tick(&self) -> Option<Duration> {
        let members = self.members.values().filter(|member| !member.waits()).map(|member| member.expires);
        let rebalance = (self.state == State::Preparing).then_some(self.deadline);
        members.chain(self.promised.values().copied()).chain(rebalance).min()
    }

    /// Whether nobody is in it or about to be.
    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty() && self.promised.is_empty()
    }

    /// Whether it has no members.
    pub(crate) fn has_no_members(&self) -> bool {
        self.members.is_empty()
    }

    pub(crate) fn describe(&self) -> Described {
        let stable = self.state == State::Stable;
        let protocol = self.protocol.clone().filter(|_| stable).unwrap_or_default();
        let member = |(id, member): (&String, &Member)| DescribedMember {
            member_id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable { member.metadata(&protocol) } else { Bytes::new() },
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        };
        let members = self.members.iter().map(member).collect();
        Described { state: self.state, protocol_type: self.protocol_type.clone(), protocol, members }
    }
}

impl Member {
    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    fn metadata(&self, protocol: &str) -> Bytes {
        let of = self.protocols.iter().find(|(name, _)| name == protocol);
        of.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }

    /// Whether it waits for an answer of ours, and so cannot be expected to say anything.
    fn waits(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }
}
