//! Members of the classic protocol in a group of the newer one, while it changes from one to the other.
//!
//! They join, ask for their assignment and send heartbeats as ever. The broker divides, so none of them leads; a member's epoch is its
//! generation, and a heartbeat tells it to join again when there is something to give up or to take.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::ConsumerProtocolSubscription;
use towpath_model::TopicPartition;

use super::machine::{Beat, Group, Member, Partitions, Refused, Told, Topics};
use crate::group::consumer_protocol::{self, CONSUMER};
use crate::group::handover::{HandedOver, Handover};
use crate::group::machine::{Answer, Event, Identity, Join, Joined, Leaver, Sync};

/// What a member of the classic protocol joined with.
#[derive(Clone, Debug)]
pub(crate) struct Classic {
    pub(super) session: Duration,
    pub(super) protocols: Vec<(String, Bytes)>,
    /// Until when it is to join again, or to ask for its assignment.
    pub(super) answers_until: Option<Duration>,
}

impl Classic {
    fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    fn protocol(&self) -> &str {
        self.protocols.first().map_or("", |(name, _)| name)
    }
}

impl Group {
    /// A group of the classic protocol becomes one of the newer, with everyone where it is.
    ///
    /// # Errors
    /// It is none of consumers, or they divide by rules that would be lost.
    pub(crate) fn upgraded(
        session: Duration,
        handover: Handover,
        topics: &Topics,
        now: Duration,
    ) -> Result<Self, Refused> {
        if handover.protocol_type != CONSUMER {
            return Err((Code::GroupIdNotFound, "the group is none of consumers"));
        }
        let mut group = Self::at_epoch(session, handover.generation);
        for one in handover.members {
            let (id, member) = group.taken_over(one, topics, now)?;
            group.target.insert(id.clone(), member.assigned.clone());
            group.instances.extend(member.instance.clone().map(|instance| (instance, id.clone())));
            group.members.insert(id, member);
        }
        Ok(group)
    }

    fn taken_over(&self, one: HandedOver, topics: &Topics, now: Duration) -> Result<(String, Member), Refused> {
        let unreadable =
            (Code::GroupIdNotFound, "a member of the classic protocol says something that no consumer says");
        let subscription = one.protocols.first().and_then(|(_, bytes)| consumer_protocol::read_subscription(bytes));
        let subscription = subscription.ok_or(unreadable)?;
        let mut assigned = Partitions::new();
        if !one.assignment.is_empty() {
            let assignment = consumer_protocol::read_assignment(&one.assignment).ok_or(unreadable)?;
            if assignment.user_data.as_ref().is_some_and(|kept| !kept.is_empty()) {
                return Err((Code::GroupIdNotFound, "userData from a custom assignor would be lost"));
            }
            assigned = known(consumer_protocol::partitions(assignment), topics);
        }
        let mut member = Member::new(one.instance.clone(), now + one.session);
        (member.epoch, member.previous_epoch) = (self.epoch, self.epoch);
        member.assigned = assigned;
        let HandedOver { member_id, client_id, client_host, session, rebalance, protocols, .. } = one;
        let classic = Classic { session, protocols, answers_until: None };
        let beat =
            Beat { client_id, client_host, rebalance: Some(rebalance), ..subscribes(&subscription, classic, topics) };
        member.subscribe(beat)?;
        Ok((member_id, member))
    }

    /// Whether all its members speak the classic protocol.
    pub(crate) fn is_classic(&self) -> bool {
        !self.members.is_empty() && self.members.values().all(|member| member.classic.is_some())
    }

    /// Its members of the classic protocol, as a group of that protocol takes them over.
    pub(crate) fn handover(&self) -> Handover {
        let member = |(id, member): (&String, &Member)| {
            let classic = member.classic.clone()?;
            Some(HandedOver {
                member_id: id.clone(),
                instance: member.instance.clone(),
                client_id: member.client_id.clone(),
                client_host: member.client_host.clone(),
                session: classic.session,
                rebalance: member.rebalance,
                protocols: classic.protocols,
                assignment: Bytes::new(),
            })
        };
        let members = self.members.iter().filter_map(member).collect();
        Handover { generation: self.epoch, protocol_type: CONSUMER.to_owned(), members }
    }

    /// Takes in what a member of the classic protocol says.
    pub(crate) fn on_classic(&mut self, event: Event, topics: &Topics, room: bool, now: Duration) -> Answer {
        self.expire(now);
        match event {
            Event::Join(_, join) => {
                let given = join.member_id.clone();
                match self.join_classic(join, topics, room, now) {
                    Ok(joined) => Answer::Joined(joined),
                    Err((code, fresh_id)) => Answer::JoinRefused(code, fresh_id.unwrap_or(given)),
                }
            }
            Event::Sync(_, sync) => self.sync_classic(&sync, topics, now).unwrap_or_else(Answer::SyncRefused),
            Event::Heartbeat(_, who) => Answer::Done(self.heartbeat_classic(&who, topics, now)),
            Event::Commit(_, who) => Answer::Done(self.may_commit(&who.member_id, who.generation)),
            Event::Leave(_, leavers) => Answer::Left(leavers.iter().map(|one| self.leave_classic(one)).collect()),
            Event::Tick => Answer::Done(Ok(())),
        }
    }

    /// The error comes with the id to join with, where one is given.
    fn join_classic(
        &mut self,
        join: Join,
        topics: &Topics,
        room: bool,
        now: Duration,
    ) -> Result<Joined, (Code, Option<String>)> {
        let plain = |code: Code| (code, None);
        let unknown = join.member_id.is_empty();
        let id = if unknown { join.fresh_id.clone() } else { join.member_id.clone() };
        let subscription = join.protocols.first().and_then(|(_, bytes)| consumer_protocol::read_subscription(bytes));
        let Some(subscription) = subscription.filter(|_| join.protocol_type == CONSUMER && self.agrees(&id, &join))
        else {
            return Err(plain(Code::InconsistentGroupProtocol));
        };
        match join.instance.as_ref().map(|instance| self.instances.get(instance)) {
            None if unknown && join.id_required => return Err((Code::MemberIdRequired, Some(id))),
            Some(None) if !unknown => return Err(plain(Code::UnknownMemberId)),
            Some(Some(known)) if !unknown && *known != id => return Err(plain(Code::FencedInstanceId)),
            _ => {}
        }
        let (session, protocols) = (join.session, join.protocols);
        let classic = Classic { session, protocols, answers_until: Some(now + join.rebalance) };
        let beat = Beat {
            member_id: id,
            instance: join.instance,
            client_id: join.client_id,
            client_host: join.client_host,
            rebalance: Some(join.rebalance),
            ..subscribes(&subscription, classic, topics)
        };
        let told = self.enter(beat, topics, room, now).map_err(|(code, _)| plain(code))?;
        Ok(self.joined(told))
    }

    fn joined(&self, told: Told) -> Joined {
        let classic = self.members.get(&told.member_id).and_then(|member| member.classic.as_ref());
        Joined {
            generation: told.epoch,
            protocol_type: CONSUMER.to_owned(),
            protocol: classic.map_or_else(String::new, |classic| classic.protocol().to_owned()),
            leader: String::new(),
            member_id: told.member_id,
            members: Vec::new(),
            skip_assignment: false,
        }
    }

    /// Whether all others of the classic protocol understand one of the protocols of who joins.
    fn agrees(&self, id: &str, join: &Join) -> bool {
        let others = self
            .members
            .iter()
            .filter(|(other, member)| *other != id && (member.instance.is_none() || member.instance != join.instance));
        let others: Vec<&Classic> = others.filter_map(|(_, member)| member.classic.as_ref()).collect();
        join.protocols.iter().any(|(name, _)| others.iter().all(|other| other.supports(name)))
    }

    fn sync_classic(&mut self, sync: &Sync, topics: &Topics, now: Duration) -> Result<Answer, Code> {
        let epoch = self.epoch;
        let Speaker { classic, assigned, revokes, rebalance, expires, epoch: known } =
            self.identify_classic(&sync.who)?;
        let differs = |said: &Option<String>, is: &str| said.as_ref().is_some_and(|said| said != is);
        if differs(&sync.protocol_type, CONSUMER) || differs(&sync.protocol, classic.protocol()) {
            return Err(Code::InconsistentGroupProtocol);
        }
        // Who has something to give up does that first.
        if known < epoch && !revokes {
            classic.answers_until.get_or_insert(now + rebalance);
            return Err(Code::RebalanceInProgress);
        }
        classic.answers_until = None;
        *expires = now + classic.session;
        Ok(Answer::Synced {
            protocol_type: CONSUMER.to_owned(),
            protocol: classic.protocol().to_owned(),
            assignment: consumer_protocol::assignment(&named(assigned, topics)),
        })
    }

    fn heartbeat_classic(&mut self, who: &Identity, topics: &Topics, now: Duration) -> Result<(), Code> {
        self.look_for_changes(topics);
        let settled = self.is_settled(&who.member_id);
        let Speaker { classic, rebalance, expires, .. } = self.identify_classic(who)?;
        *expires = now + classic.session;
        if settled {
            return Ok(());
        }
        classic.answers_until.get_or_insert(now + rebalance);
        Err(Code::RebalanceInProgress)
    }

    /// Whether a member has nothing to give up, and nothing to take that is free.
    fn is_settled(&self, id: &str) -> bool {
        let Some(member) = self.members.get(id) else { return true };
        if member.epoch < self.epoch || !member.revoking.is_empty() {
            return false;
        }
        let target = self.target.get(id).cloned().unwrap_or_default();
        let taken = self.taken_from(id);
        // It waits for others as long as any of it is with them.
        target.is_subset(&member.assigned) || target.difference(&member.assigned).any(|one| taken.contains(one))
    }

    fn leave_classic(&mut self, leaver: &Leaver) -> Result<(), Code> {
        let id = leaver.id_among(&self.instances)?;
        if !self.members.contains_key(&id) {
            return Err(Code::UnknownMemberId);
        }
        self.remove(&id);
        Ok(())
    }

    fn identify_classic(&mut self, who: &Identity) -> Result<Speaker<'_>, Code> {
        if let Some(instance) = &who.instance {
            let known = self.instances.get(instance).ok_or(Code::UnknownMemberId)?;
            if *known != who.member_id {
                return Err(Code::FencedInstanceId);
            }
        }
        let member = self.members.get_mut(&who.member_id).ok_or(Code::UnknownMemberId)?;
        let Member { epoch, assigned, revoking, rebalance, expires, classic, .. } = member;
        let classic = classic.as_mut().ok_or(Code::UnknownMemberId)?;
        if *epoch != who.generation {
            return Err(Code::IllegalGeneration);
        }
        Ok(Speaker { epoch: *epoch, assigned, revokes: !revoking.is_empty(), rebalance: *rebalance, expires, classic })
    }
}

/// A member of the classic protocol that has said something.
struct Speaker<'a> {
    epoch: i32,
    assigned: &'a Partitions,
    /// Whether it has something to give up.
    revokes: bool,
    rebalance: Duration,
    expires: &'a mut Duration,
    classic: &'a mut Classic,
}

/// What a subscription of the classic protocol is in the newer one.
fn subscribes(subscription: &ConsumerProtocolSubscription, classic: Classic, topics: &Topics) -> Beat {
    let owned = subscription.owned_partitions.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| TopicPartition::new(topic.topic.as_str(), *partition))
    });
    Beat {
        rack: subscription.rack_id.as_ref().map(ToString::to_string),
        names: Some(subscription.topics.iter().map(ToString::to_string).collect::<BTreeSet<_>>()),
        owned: Some(known(owned, topics)),
        classic: Some(classic),
        ..Beat::default()
    }
}

/// Partitions of topics that there are.
fn known(partitions: impl Iterator<Item = TopicPartition>, topics: &Topics) -> Partitions {
    partitions.filter_map(|one| topics.get(&*one.topic).map(|(id, _)| (*id, one.partition))).collect()
}

/// Partitions by the names of their topics.
fn named(partitions: &Partitions, topics: &Topics) -> Vec<TopicPartition> {
    let of_topic = |(name, (id, _)): (&std::sync::Arc<str>, &(uuid::Uuid, i32))| {
        let (name, range) = (name.clone(), (*id, i32::MIN)..=(*id, i32::MAX));
        partitions
            .range(range)
            .map(move |(_, partition)| TopicPartition::new(name.clone(), *partition))
            .collect::<Vec<_>>()
    };
    topics.iter().flat_map(of_topic).collect()
}
