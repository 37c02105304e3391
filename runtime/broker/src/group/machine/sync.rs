//! The second half of a rebalance: the leader hands in what it assigned, and each member gets its part.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;

use super::{Action, Answer, Group, State, Sync, Token};

impl Group {
    pub(super) fn sync(&mut self, token: Token, sync: Sync, now: Duration, actions: &mut Vec<Action>) {
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
}
