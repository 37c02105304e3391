//! One group of the newer protocol.
//!
//! Three epochs fence: the group's grows with every change of members, subscriptions or topics; the target's says for which of these
//! there is an assignment; a member's says for which it has taken its part. A partition has one owner at a time: a member that is to get
//! it waits until the one that had it says that it has it no more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use regex::Regex;
use uuid::Uuid;

use super::assignor::Assignor;
use super::classic::Classic;
use crate::pattern::whole_match;

/// The epoch by which a member leaves, and that by which a static one says that it will be back.
pub(crate) const LEAVES: i32 = -1;
pub(crate) const LEAVES_FOR_A_WHILE: i32 = -2;
pub(crate) const JOINS: i32 = 0;

/// Partitions by the ids of their topics.
pub(crate) type Partitions = BTreeSet<(Uuid, i32)>;
/// The topics that there are, by name, with their ids and numbers of partitions.
pub(crate) type Topics = BTreeMap<std::sync::Arc<str>, (Uuid, i32)>;

/// A group.
#[derive(Debug)]
pub(crate) struct Group {
    /// Who says nothing for this long is out.
    session: Duration,
    pub(super) epoch: i32,
    target_epoch: i32,
    pub(super) members: BTreeMap<String, Member>,
    pub(super) target: BTreeMap<String, Partitions>,
    /// What the target was made of.
    wants: BTreeMap<String, BTreeMap<Uuid, i32>>,
    assignor: Option<Assignor>,
    /// Ids of static members by their instance.
    pub(super) instances: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) epoch: i32,
    pub(super) previous_epoch: i32,
    pub(super) instance: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    rack: Option<String>,
    names: BTreeSet<String>,
    regex: Option<(String, Regex)>,
    assignor: Option<Assignor>,
    pub(super) rebalance: Duration,
    /// What it may read.
    pub(super) assigned: Partitions,
    /// What it is to give up, and until when.
    pub(super) revoking: Partitions,
    revoke_until: Option<Duration>,
    pub(super) expires: Duration,
    /// Where it speaks the classic protocol.
    pub(super) classic: Option<Classic>,
}

/// What a member says. What is none has not changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Beat {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance: Option<Duration>,
    pub(crate) names: Option<BTreeSet<String>>,
    /// Empty takes back the one that was given.
    pub(crate) regex: Option<String>,
    pub(crate) assignor: Option<String>,
    pub(crate) owned: Option<Partitions>,
    /// Where it says so in the classic protocol.
    pub(crate) classic: Option<Classic>,
}

/// What a member is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) member_id: String,
    pub(crate) epoch: i32,
    /// What it may read, where it does not know that.
    pub(crate) assigned: Option<Partitions>,
}

/// A group as it is described to tools.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    pub(crate) state: &'static str,
    pub(crate) epoch: i32,
    pub(crate) target_epoch: i32,
    pub(crate) assignor: &'static str,
    pub(crate) members: Vec<DescribedMember>,
}

/// A member as it is described to tools.
#[derive(Clone, Debug)]
pub(crate) struct DescribedMember {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) rack: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) epoch: i32,
    pub(crate) names: Vec<String>,
    pub(crate) regex: Option<String>,
    pub(crate) assigned: Partitions,
    pub(crate) target: Partitions,
    /// Whether it speaks the classic protocol.
    pub(crate) classic: bool,
}

/// Why a member is refused, with words.
pub(crate) type Refused = (Code, &'static str);

impl Group {
    /// A group without members.
    pub(crate) fn new(session: Duration) -> Self {
        Self::at_epoch(session, 0)
    }

    pub(super) fn at_epoch(session: Duration, epoch: i32) -> Self {
        Self {
            session,
            epoch,
            target_epoch: epoch,
            members: BTreeMap::new(),
            target: BTreeMap::new(),
            wants: BTreeMap::new(),
            assignor: None,
            instances: BTreeMap::new(),
        }
    }

    /// Takes a heartbeat in, at a time that never goes back. `room` says whether another member may come.
    pub(crate) fn on(&mut self, beat: Beat, topics: &Topics, room: bool, now: Duration) -> Result<Told, Refused> {
        self.expire(now);
        match beat.epoch {
            LEAVES | LEAVES_FOR_A_WHILE => self.leave(&beat),
            JOINS => self.enter(beat, topics, room, now),
            _ => {
                self.identify(&beat)?;
                self.go_on(beat, topics, false, now)
            }
        }
    }

    /// Removes members that have said nothing for too long, or have not given up what they were to.
    pub(crate) fn expire(&mut self, now: Duration) {
        let late = |member: &Member| member.deadlines().any(|until| until <= now);
        let gone = |(_, member): &(&String, &Member)| member.expires <= now || late(member);
        let gone: Vec<String> = self.members.iter().filter(gone).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.remove(id));
    }

    /// When it wants to be told that time has passed.
    pub(crate) fn next_tick(&self) -> Option<Duration> {
        self.members.values().flat_map(|member| member.deadlines().chain([member.expires])).min()
    }

    pub(crate) fn members(&self) -> usize {
        self.members.len()
    }

    /// Whether someone may commit offsets, as a member or, where there are none, as anyone.
    pub(crate) fn may_commit(&self, member_id: &str, epoch: i32) -> Result<(), Code> {
        match self.members.get(member_id) {
            None if epoch < 0 && member_id.is_empty() && self.members.is_empty() => Ok(()),
            None => Err(Code::UnknownMemberId),
            Some(member) if member.epoch == epoch => Ok(()),
            Some(member) if member.classic.is_some() => Err(Code::IllegalGeneration),
            Some(_) => Err(Code::StaleMemberEpoch),
        }
    }

    pub(crate) fn describe(&self) -> Described {
        let settled = |member: &Member| member.epoch == self.epoch && member.revoking.is_empty();
        let there = |(id, one): (&String, &Member)| settled(one) && self.target.get(id) == Some(&one.assigned);
        let state = if self.members.is_empty() {
            "Empty"
        } else if self.target_epoch < self.epoch {
            "Assigning"
        } else if self.members.iter().all(there) {
            "Stable"
        } else {
            "Reconciling"
        };
        let member = |(id, member): (&String, &Member)| DescribedMember {
            member_id: id.clone(),
            instance: member.instance.clone(),
            rack: member.rack.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            epoch: member.epoch,
            names: member.names.iter().cloned().collect(),
            regex: member.regex.as_ref().map(|(text, _)| text.clone()),
            assigned: member.assigned.union(&member.revoking).copied().collect(),
            target: self.target.get(id).cloned().unwrap_or_default(),
            classic: member.classic.is_some(),
        };
        let members = self.members.iter().map(member).collect();
        let assignor = self.assignor.unwrap_or(Assignor::Uniform).name();
        Described { state, epoch: self.epoch, target_epoch: self.target_epoch, assignor, members }
    }

    /// Takes a member in, or tells one that begins anew everything.
    pub(super) fn enter(&mut self, beat: Beat, topics: &Topics, room: bool, now: Duration) -> Result<Told, Refused> {
        self.join(&beat, room, now)?;
        self.go_on(beat, topics, true, now)
    }

    fn join(&mut self, beat: &Beat, room: bool, now: Duration) -> Result<(), Refused> {
        let nothing = beat.classic.is_none()
            && beat.names.as_ref().is_none_or(BTreeSet::is_empty)
            && beat.regex.as_ref().is_none_or(String::is_empty);
        if beat.rebalance.is_none() || nothing && !self.members.contains_key(&beat.member_id) {
            return Err((Code::InvalidRequest, "who joins says what it reads and how long a rebalance may take"));
        }
        if self.members.contains_key(&beat.member_id) {
            // Its last answer was lost, or it begins anew: it is told everything.
            return Ok(());
        }
        let former = beat.instance.as_ref().and_then(|instance| self.instances.get(instance).cloned());
        if let Some(former) = former {
            return self.take_the_place_of(&former, beat);
        }
        if !room {
            return Err((Code::GroupMaxSizeReached, "the group has as many members as it may have"));
        }
        if let Some(instance) = &beat.instance {
            self.instances.insert(instance.clone(), beat.member_id.clone());
        }
        self.members.insert(beat.member_id.clone(), Member::new(beat.instance.clone(), now + self.session));
        self.epoch += 1;
        Ok(())
    }

    /// A static member that is back gets what it had, under its new id. Those of the classic protocol do not say that they will be.
    fn take_the_place_of(&mut self, former: &str, beat: &Beat) -> Result<(), Refused> {
        let Some(mut member) = self.members.remove(former) else { return Ok(()) };
        let away = member.epoch == LEAVES_FOR_A_WHILE;
        if !away && member.classic.is_none() && beat.classic.is_none() {
            self.members.insert(former.to_owned(), member);
            return Err((Code::UnreleasedInstanceId, "another member has this instance id and has not left"));
        }
        if away {
            member.epoch = member.previous_epoch;
        }
        member.revoking.clear();
        member.revoke_until = None;
        let id = beat.member_id.clone();
        if let Some(target) = self.target.remove(former) {
            self.target.insert(id.clone(), target);
        }
        if let Some(wants) = self.wants.remove(former) {
            self.wants.insert(id.clone(), wants);
        }
        self.instances.extend(beat.instance.clone().map(|instance| (instance, id.clone())));
        self.members.insert(id, member);
        Ok(())
    }

    fn identify(&self, beat: &Beat) -> Result<(), Refused> {
        if let Some(known) = beat.instance.as_ref().and_then(|instance| self.instances.get(instance))
            && *known != beat.member_id
        {
            return Err((Code::FencedInstanceId, "another member has taken over this instance id"));
        }
        let member = self.members.get(&beat.member_id).ok_or((Code::UnknownMemberId, "there is no such member"))?;
        // An answer that was lost is asked for again, with what was known before it.
        let lost = beat.epoch == member.previous_epoch
            && beat.owned.as_ref().is_some_and(|owned| owned.is_subset(&member.assigned));
        if beat.epoch == member.epoch || lost {
            Ok(())
        } else {
            Err((Code::FencedMemberEpoch, "the member has another epoch"))
        }
    }

    fn leave(&mut self, beat: &Beat) -> Result<Told, Refused> {
        let told = Told { member_id: beat.member_id.clone(), epoch: beat.epoch, assigned: None };
        let member = self.members.get_mut(&beat.member_id).ok_or((Code::UnknownMemberId, "there is no such member"))?;
        if beat.epoch == LEAVES_FOR_A_WHILE && member.instance.is_some() {
            member.previous_epoch = member.epoch;
            member.epoch = LEAVES_FOR_A_WHILE;
            // What it was to give up it has given up by ending.
            member.revoking.clear();
            member.revoke_until = None;
        } else {
            self.remove(&beat.member_id);
        }
        Ok(told)
    }

    pub(super) fn remove(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else { return };
        if let Some(instance) = &member.instance {
            self.instances.remove(instance);
        }
        self.target.remove(id);
        self.wants.remove(id);
        self.epoch += 1;
    }

    fn go_on(&mut self, beat: Beat, topics: &Topics, joins: bool, now: Duration) -> Result<Told, Refused> {
        let whole = joins || beat.names.is_some() && beat.owned.is_some();
        let (id, owned) = (beat.member_id.clone(), beat.owned.clone());
        if let Some(member) = self.members.get_mut(&id) {
            member.subscribe(beat)?;
            member.expires = now + member.classic.as_ref().map_or(self.session, |classic| classic.session);
        }
        self.look_for_changes(topics);
        self.make_target();
        let before = self.members.get(&id).map(|member| member.assigned.clone());
        self.reconcile(&id, owned.as_ref(), now);
        let member = self.members.get(&id).ok_or((Code::UnknownMemberId, "there is no such member"))?;
        let news = whole || before.as_ref() != Some(&member.assigned);
        Ok(Told { member_id: id, epoch: member.epoch, assigned: news.then(|| member.assigned.clone()) })
    }

    /// Whether anyone reads something else than before, because it says so or because topics have changed.
    pub(super) fn look_for_changes(&mut self, topics: &Topics) {
        let wanted = |member: &Member| -> BTreeMap<Uuid, i32> {
            let by_name = member.names.iter().filter_map(|name| topics.get(name.as_str()));
            let fits = |name: &str| member.regex.as_ref().is_some_and(|(_, regex)| regex.is_match(name));
            let by_regex =
                topics.iter().filter(|(name, _)| member.regex.is_some() && fits(name)).map(|(_, topic)| topic);
            by_name.chain(by_regex).copied().collect()
        };
        let wants: BTreeMap<String, _> = self.members.iter().map(|(id, member)| (id.clone(), wanted(member))).collect();
        if wants != self.wants {
            self.wants = wants;
            self.epoch = self.epoch.max(self.target_epoch + 1);
        }
    }

    fn make_target(&mut self) {
        if self.target_epoch >= self.epoch {
            return;
        }
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        for assignor in self.members.values().filter_map(|member| member.assignor) {
            *votes.entry(assignor).or_default() += 1;
        }
        // Among as many, the first of Kafka's own order.
        let best = votes.iter().max_by_key(|(assignor, count)| (**count, std::cmp::Reverse(**assignor)));
        let assignor = best.map_or(Assignor::Uniform, |(assignor, _)| *assignor);
        self.target = assignor.assign(&self.wants, &self.target);
        self.assignor = Some(assignor);
        self.target_epoch = self.epoch;
    }

    /// What others have than a member.
    pub(super) fn taken_from(&self, id: &str) -> Partitions {
        let of = |(_, member): (_, &Member)| member.assigned.union(&member.revoking).copied().collect::<Vec<_>>();
        self.members.iter().filter(|(other, _)| *other != id).flat_map(of).collect()
    }

    /// Brings what a member has nearer to what it is to have.
    fn reconcile(&mut self, id: &str, owned: Option<&Partitions>, now: Duration) {
        let target = self.target.get(id).cloned().unwrap_or_default();
        let target_epoch = self.target_epoch;
        let taken = self.taken_from(id);
        let Some(member) = self.members.get_mut(id) else { return };
        if !member.revoking.is_empty() {
            if owned.is_none_or(|owned| !owned.is_disjoint(&member.revoking)) {
                return;
            }
            member.revoking.clear();
            member.revoke_until = None;
        }
        if member.epoch == target_epoch && member.assigned == target {
            return;
        }
        let given_up: Partitions = member.assigned.difference(&target).copied().collect();
        if !given_up.is_empty() {
            member.assigned.retain(|partition| target.contains(partition));
            // It has them no more where it says so, and as a beginner it never had them.
            if member.epoch != JOINS && owned.is_none_or(|owned| !owned.is_disjoint(&given_up)) {
                member.revoking = given_up;
                member.revoke_until = Some(now + member.rebalance);
                return;
            }
        }
        member.assigned.extend(target.difference(&taken));
        if member.epoch != target_epoch {
            member.previous_epoch = member.epoch;
            member.epoch = target_epoch;
        }
    }
}

impl Member {
    pub(super) fn new(instance: Option<String>, expires: Duration) -> Self {
        Self {
            epoch: JOINS,
            previous_epoch: JOINS,
            instance,
            client_id: String::new(),
            client_host: String::new(),
            rack: None,
            names: BTreeSet::new(),
            regex: None,
            assignor: None,
            rebalance: Duration::ZERO,
            assigned: Partitions::new(),
            revoking: Partitions::new(),
            revoke_until: None,
            expires,
            classic: None,
        }
    }

    /// Until when it is to have done what it was told to.
    fn deadlines(&self) -> impl Iterator<Item = Duration> {
        let answers = self.classic.as_ref().and_then(|classic| classic.answers_until);
        self.revoke_until.into_iter().chain(answers)
    }

    pub(super) fn subscribe(&mut self, beat: Beat) -> Result<(), Refused> {
        let Beat { rack, client_id, client_host, rebalance, names, regex, assignor, classic, .. } = beat;
        if let Some(assignor) = assignor {
            let found = Assignor::find(&assignor);
            self.assignor = Some(found.ok_or((Code::UnsupportedAssignor, "the assignors are uniform and range"))?);
        }
        match regex {
            Some(text) if text.is_empty() => self.regex = None,
            Some(text) => {
                let whole = whole_match(&text).map_err(|code| (code, "the pattern of topics cannot be read"))?;
                self.regex = Some((text, whole));
            }
            None => {}
        }
        (self.client_id, self.client_host) = (client_id, client_host);
        self.classic = classic;
        self.rack = rack.or(self.rack.take());
        self.rebalance = rebalance.unwrap_or(self.rebalance);
        if let Some(names) = names {
            self.names = names;
        }
        Ok(())
    }
}
