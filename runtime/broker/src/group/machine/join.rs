//! The first half of a rebalance: who may join, until when the others are waited for, and what all are told then.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError as Code;

use super::{Action, Answer, Group, Join, Joined, Member, State, Token};

impl Group {
    pub(super) fn join(&mut self, token: Token, join: Join, now: Duration, actions: &mut Vec<Action>) {
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
    pub(super) fn prepare(&mut self, now: Duration, actions: &mut Vec<Action>) {
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
    pub(super) fn complete_join(&mut self, now: Duration, actions: &mut Vec<Action>) {
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
}

/// What becomes of who wants to join.
enum Admitted {
    /// It gets an id and is to come back with it.
    ComeBack,
    New(String),
    Known(String),
}
