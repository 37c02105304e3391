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

    fn join(&mut self, token: Token, join: Join, now: Duration, actions: &mut Vec<Action>) {
        match self.admit(&join, now, actions) {
            Err(code) => actions.push(Action(token, Answer::JoinRefused(code, join.member_id))),
            Ok(Admitted::ComeBack) => {
                let answer = Answer::JoinRefused(Code::MemberIdRequired, join.fresh_id);
                actions.push(Action(token, answer));
            }
            Ok(Admitted::New(id)) => {
                self.enter(&id, join, now);
                self.wait_to_join(&id, token, now, actions);
            }
            Ok(Admitted::Known(id)) => self.rejoin(&id, token, join, now, actions),
        }
    }

    /// Who is to be admitted, under which id.
    fn admit(&mut self, join: &Join, now: Duration, actions: &mut Vec<Action>) -> Result<Admitted, Code> {
        if join.protocol_type.is_empty() || join.protocols.is_empty() || !self.agrees(join) {
            return Err(Code::InconsistentGroupProtocol);
        }
        let full = self.members.len() >= self.limits.members;
        if let Some(instance) = &join.instance {
            return match self.instances.get(instance).cloned() {
                // A restarted instance takes the place of its former self.
                Some(former) if join.member_id.is_empty() => {
                    self.replace(&former, &join.fresh_id, actions);
                    Ok(Admitted::Known(join.fresh_id.clone()))
                }
                Some(known) if known == join.member_id => Ok(Admitted::Known(known)),
                Some(_) => Err(Code::FencedInstanceId),
                None if !join.member_id.is_empty() => Err(Code::UnknownMemberId),
                None if full => Err(Code::GroupMaxSizeReached),
                None => Ok(Admitted::New(join.fresh_id.clone())),
            };
        }
        if join.member_id.is_empty() {
            if full || self.members.len() + self.promised.len() >= 2 * self.limits.members {
                return Err(Code::GroupMaxSizeReached);
            }
            if join.id_required {
                self.promised.insert(join.fresh_id.clone(), now + join.session);
                return Ok(Admitted::ComeBack);
            }
            return Ok(Admitted::New(join.fresh_id.clone()));
        }
        if self.promised.contains_key(&join.member_id) {
            if full {
                return Err(Code::GroupMaxSizeReached);
            }
            self.promised.remove(&join.member_id);
            return Ok(Admitted::New(join.member_id.clone()));
        }
        match self.members.get(&join.member_id) {
            Some(_) => Ok(Admitted::Known(join.member_id.clone())),
            None => Err(Code::UnknownMemberId),
        }
    }

    /// Whether all others understand one of the protocols of who joins.
    fn agrees(&self, join: &Join) -> bool {
        let mut others = self.members.iter().filter(|(id, member)| {
            **id != join.member_id && (member.instance.is_none() || member.instance != join.instance)
        });
        if others.clone().next().is_none() {
            return true;
        }
        join.protocol_type == self.protocol_type
            && join.protocols.iter().any(|(name, _)| others.all(|(_, other)| other.supports(name)))
    }

    fn enter(&mut self, id: &str, join: Join, now: Duration) {
        if self.members.is_empty() {
            self.protocol_type = join.protocol_type;
        }
        if let Some(instance) = &join.instance {
            self.instances.insert(instance.clone(), id.to_owned());
        }
        self.joins += 1;
        let member = Member {
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            session: join.session,
            rebalance: join.rebalance,
            protocols: join.protocols,
            assignment: Bytes::new(),
            expires: now + join.session,
            joining: None,
            syncing: None,
            order: self.joins,
        };
        self.members.insert(id.to_owned(), member);
    }

    fn rejoin(&mut self, id: &str, token: Token, join: Join, now: Duration, actions: &mut Vec<Action>) {
        let Some(member) = self.members.get_mut(id) else { return };
        let restarted = join.member_id.is_empty();
        let same = member.protocols == join.protocols;
        member.protocols = join.protocols;
        (member.session, member.rebalance) = (join.session, join.rebalance);
        (member.client_id, member.client_host) = (join.client_id, join.client_host);
        member.expires = now + member.session;
        let is_leader = self.leader.as_deref() == Some(id);
        match self.state {
            // Its answer was lost, or it has restarted: nothing has changed for the others.
            State::Completing if same && !restarted => actions.push(Action(token, Answer::Joined(self.joined(id)))),
            State::Stable if same && (restarted || !is_leader) => {
                let mut joined = self.joined(id);
                joined.skip_assignment = is_leader;
                actions.push(Action(token, Answer::Joined(joined)));
            }
            _ => self.wait_to_join(id, token, now, actions),
        }
    }

    /// A restarted static member gets a new id; whoever still speaks as the old one is fenced.
    fn replace(&mut self, former: &str, id: &str, actions: &mut Vec<Action>) {
        let Some(mut member) = self.members.remove(former) else { return };
        if let Some(token) = member.joining.take() {
            actions.push(Action(token, Answer::JoinRefused(Code::FencedInstanceId, former.to_owned())));
        }
        if let Some(token) = member.syncing.take() {
            actions.push(Action(token, Answer::SyncRefused(Code::FencedInstanceId)));
        }
        if self.leader.as_deref() == Some(former) {
            self.leader = Some(id.to_owned());
        }
        if let Some(instance) = &member.instance {
            self.instances.insert(instance.clone(), id.to_owned());
        }
        self.members.insert(id.to_owned(), member);
    }

    fn wait_to_join(&mut self, id: &str, token: Token, now: Duration, actions: &mut Vec<Action>) {
        if let Some(member) = self.members.get_mut(id)
            && let Some(earlier) = member.joining.replace(token)
        {
            // The same member asks again over another connection; only the last one is listened to.
            actions.push(Action(earlier, Answer::JoinRefused(Code::UnknownMemberId, id.to_owned())));
        }
        self.prepare(now, actions);
    }

    /// Begins a rebalance, unless one is being prepared.
    fn prepare(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.state == State::Preparing {
            return;
        }
        for member in self.members.values_mut() {
            if let Some(token) = member.syncing.take() {
                member.expires = now + member.session;
                actions.push(Action(token, Answer::SyncRefused(Code::RebalanceInProgress)));
            }
        }
        self.first_round = self.state == State::Empty && !self.limits.initial_delay.is_zero();
        let longest = self.members.values().map(|member| member.rebalance).max().unwrap_or_default();
        self.deadline = now + if self.first_round { self.limits.initial_delay.min(longest) } else { longest };
        self.state = State::Preparing;
    }

    /// Ends the first half of a rebalance when all have joined or time is up.
    fn complete_join(&mut self, now: Duration, actions: &mut Vec<Action>) {
        if self.state != State::Preparing {
            return;
        }
        let all = self.promised.is_empty() && self.members.values().all(|member| member.joining.is_some());
        if now < self.deadline && (!all || self.first_round) {
            return;
        }
        // A static member may be away for as long as its session; others that have not joined are out.
        self.members.retain(|_, member| member.joining.is_some() || member.instance.is_some());
        self.first_round = false;
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        if self.members.is_empty() {
            self.state = State::Empty;
            (self.leader, self.protocol) = (None, None);
            return;
        }
        let present = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if !self.leader.as_ref().is_some_and(present) {
            let joined = self.members.iter().filter(|(_, member)| member.joining.is_some());
            self.leader = joined.min_by_key(|(_, member)| member.order).map(|(id, _)| id.clone());
        }
        if self.leader.is_none() {
            // Only static members are left, and none has come back yet: they have another session to do so.
            let longest = self.members.values().map(|member| member.session).max().unwrap_or_default();
            self.deadline = now + longest;
            return;
        }
        self.protocol = self.elect();
        self.state = State::Completing;
        for id in self.members.keys().cloned().collect::<Vec<_>>() {
            let joined = self.joined(&id);
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.assignment = Bytes::new();
            if let Some(token) = member.joining.take() {
                member.expires = now + member.session;
                actions.push(Action(token, Answer::Joined(joined)));
            }
        }
    }

    /// The protocol that most members like best, among those that all understand.
    fn elect(&self) -> Option<String> {
        let common = |name: &String| self.members.values().all(|member| member.supports(name));
        let mut votes: BTreeMap<&String, (usize, u64)> = BTreeMap::new();
        for member in self.members.values() {
            if let Some((name, _)) = member.protocols.iter().find(|(name, _)| common(name)) {
                let vote = votes.entry(name).or_insert((0, member.order));
                *vote = (vote.0 + 1, vote.1.min(member.order));
            }
        }
        let best = votes.into_iter().max_by_key(|(_, (count, first))| (*count, std::cmp::Reverse(*first)));
        best.map(|(name, _)| name.clone())
    }

    fn joined(&self, id: &str) -> Joined {
        let protocol = self.protocol.clone().unwrap_or_default();
        let leader = self.leader.clone().unwrap_or_default();
        let member =
            |(id, member): (&String, &Member)| (id.clone(), member.instance.clone(), member.metadata(&protocol));
        let members = if leader == id { self.members.iter().map(member).collect() } else { Vec::new() };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol,
            leader,
            member_id: id.to_owned(),
            members,
            skip_assignment: false,
        }
    }

    fn sync(&mut self, token: Token, sync: Sync, now: Duration, actions: &mut Vec<Action>) {
        if let Err(code) = self.may_sync(&sync) {
            actions.push(Action(token, Answer::SyncRefused(code)));
            return;
        }
        let id = &sync.who.member_id;
        let is_leader = self.leader.as_ref() == Some(id);
        if let Some(member) = self.members.get_mut(id) {
            member.expires = now + member.session;
            if let Some(earlier) = member.syncing.replace(token) {
                actions.push(Action(earlier, Answer::SyncRefused(Code::UnknownMemberId)));
            }
        }
        if self.state == State::Completing && is_leader {
            for (id, assignment) in sync.assignments {
                if let Some(member) = self.members.get_mut(&id) {
                    member.assignment = assignment;
                }
            }
            self.state = State::Stable;
        }
        if self.state == State::Stable {
            let (protocol_type, protocol) = (self.protocol_type.clone(), self.protocol.clone().unwrap_or_default());
            for member in self.members.values_mut() {
                if let Some(token) = member.syncing.take() {
                    member.expires = now + member.session;
                    let (protocol_type, protocol) = (protocol_type.clone(), protocol.clone());
                    let assignment = member.assignment.clone();
                    actions.push(Action(token, Answer::Synced { protocol_type, protocol, assignment }));
                }
            }
        }
    }

    fn may_sync(&self, sync: &Sync) -> Result<(), Code> {
        self.identify(&sync.who)?;
        let differs = |said: &Option<String>, is: &str| said.as_ref().is_some_and(|said| said != is);
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, self.protocol.as_deref().unwrap_or_default())
        {
            return Err(Code::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(Code::UnknownMemberId),
            State::Preparing => Err(Code::RebalanceInProgress),
            State::Completing | State::Stable => Ok(()),
        }
    }

    /// Whether someone is who it says, and speaks for the present generation.
    fn identify(&self, who: &Identity) -> Result<(), Code> {
        if let Some(instance) = &who.instance {
            match self.instances.get(instance) {
                None => return Err(Code::UnknownMemberId),
                Some(id) if *id != who.member_id => return Err(Code::FencedInstanceId),
                Some(_) => {}
            }
        }
        if !self.members.contains_key(&who.member_id) {
            return Err(Code::UnknownMemberId);
        }
        if who.generation == self.generation { Ok(()) } else { Err(Code::IllegalGeneration) }
    }

    fn heartbeat(&mut self, who: &Identity, now: Duration) -> Result<(), Code> {
        self.identify(who)?;
        self.keep(&who.member_id, now);
        if self.state == State::Preparing { Err(Code::RebalanceInProgress) } else { Ok(()) }
    }

    fn may_commit(&mut self, who: &Identity, now: Duration) -> Result<(), Code> {
        if who.generation < 0 && who.member_id.is_empty() && who.instance.is_none() {
            // Someone who is no member, such as a tool that resets offsets, may do so while there are none.
            return if self.has_no_members() { Ok(()) } else { Err(Code::UnknownMemberId) };
        }
        self.identify(who)?;
        self.keep(&who.member_id, now);
        if self.state == State::Completing { Err(Code::RebalanceInProgress) } else { Ok(()) }
    }

    fn keep(&mut self, id: &str, now: Duration) {
        if let Some(member) = self.members.get_mut(id) {
            member.expires = now + member.session;
        }
    }

    fn leave(&mut self, leaver: &Leaver, now: Duration, actions: &mut Vec<Action>) -> Result<(), Code> {
        let id = match &leaver.instance {
            None => leaver.member_id.clone(),
            Some(instance) => {
                let known = self.instances.get(instance).cloned().ok_or(Code::UnknownMemberId)?;
                if !leaver.member_id.is_empty() && leaver.member_id != known {
                    return Err(Code::FencedInstanceId);
                }
                known
            }
        };
        if self.promised.remove(&id).is_some() {
            return Ok(());
        }
        if !self.members.contains_key(&id) {
            return Err(Code::UnknownMemberId);
        }
        self.remove(&id, now, actions);
        Ok(())
    }

    fn remove(&mut self, id: &str, now: Duration, actions: &mut Vec<Action>) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        if let Some(token) = member.joining {
            actions.push(Action(token, Answer::JoinRefused(Code::UnknownMemberId, String::new())));
        }
        if let Some(token) = member.syncing {
            actions.push(Action(token, Answer::SyncRefused(Code::UnknownMemberId)));
        }
        self.prepare(now, actions);
    }

    fn expire(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.promised.retain(|_, until| *until > now);
        let gone = |(_, member): &(&String, &Member)| !member.waits() && member.expires <= now;
        let gone: Vec<String> = self.members.iter().filter(gone).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(&id, now, actions);
        }
    }
}

/// What becomes of who wants to join.
enum Admitted {
    /// It gets an id and is to come back with it.
    ComeBack,
    New(String),
    Known(String),
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
