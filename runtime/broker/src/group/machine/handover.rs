//! Members go over to the newer protocol, and come back from it.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;

use super::super::handover::{HandedOver, Handover};
use super::{Action, Answer, Group, GroupLimits, Member, State};

impl Group {
    /// Its members, as another protocol takes them over.
    pub(crate) fn handover(&self) -> Handover {
        let member = |(id, member): (&String, &Member)| HandedOver {
            member_id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            session: member.session,
            rebalance: member.rebalance,
            protocols: member.protocols.clone(),
            assignment: member.assignment.clone(),
        };
        Handover {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            members: self.members.iter().map(member).collect(),
        }
    }

    /// Tells whoever waits to join again: its members have gone over.
    pub(crate) fn release(mut self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (id, member) in &mut self.members {
            if let Some(token) = member.joining.take() {
                actions.push(Action(token, Answer::JoinRefused(Code::RebalanceInProgress, id.clone())));
            }
            if let Some(token) = member.syncing.take() {
                actions.push(Action(token, Answer::SyncRefused(Code::RebalanceInProgress)));
            }
        }
        actions
    }

    /// A group of members that come from another protocol. They are to join anew, and so to divide what they read among themselves.
    pub(crate) fn taken_over(limits: GroupLimits, handover: Handover, now: Duration) -> Self {
        let mut group =
            Self { generation: handover.generation, protocol_type: handover.protocol_type, ..Self::new(limits) };
        for one in handover.members {
            if let Some(instance) = &one.instance {
                group.instances.insert(instance.clone(), one.member_id.clone());
            }
            group.joins += 1;
            let member = Member {
                instance: one.instance,
                client_id: one.client_id,
                client_host: one.client_host,
                session: one.session,
                rebalance: one.rebalance,
                protocols: one.protocols,
                assignment: one.assignment,
                expires: now + one.session,
                joining: None,
                syncing: None,
                order: group.joins,
            };
            group.members.insert(one.member_id, member);
        }
        group.state = State::Stable;
        // Nobody waits for an answer yet.
        group.prepare(now, &mut Vec::new());
        group
    }
}
