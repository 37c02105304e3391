//! Members while there is no rebalance: whether they are who they say, that they are alive, and how they go.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;

use super::{Action, Answer, Group, Identity, Leaver, Member, State};

impl Group {
    /// Whether someone is who it says, and speaks for the present generation.
    pub(super) fn identify(&self, who: &Identity) -> Result<(), Code> {
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

    pub(super) fn heartbeat(&mut self, who: &Identity, now: Duration) -> Result<(), Code> {
        self.identify(who)?;
        self.keep(&who.member_id, now);
        if self.state == State::Preparing { Err(Code::RebalanceInProgress) } else { Ok(()) }
    }

    pub(super) fn may_commit(&mut self, who: &Identity, now: Duration) -> Result<(), Code> {
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

    pub(super) fn leave(&mut self, leaver: &Leaver, now: Duration, actions: &mut Vec<Action>) -> Result<(), Code> {
        let id = leaver.id_among(&self.instances)?;
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

    pub(super) fn expire(&mut self, now: Duration, actions: &mut Vec<Action>) {
        self.promised.retain(|_, until| *until > now);
        let gone = |(_, member): &(&String, &Member)| !member.waits() && member.expires <= now;
        let gone: Vec<String> = self.members.iter().filter(gone).map(|(id, _)| id.clone()).collect();
        for id in gone {
            self.remove(&id, now, actions);
        }
    }
}
