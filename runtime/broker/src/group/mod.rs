//! Consumer groups of the classic protocol: who is a member, which generation it is, and what the leader assigned.
//!
//! `machine` decides (events in, actions out, no clock, no channel), `coordinator` drives it: it keeps the answers that members
//! wait for, and the time. What members say to each other is passed on unread, so groups of any protocol type work: consumers,
//! Connect workers, schema registries. Membership is not kept over a restart: members find out by their next heartbeat and join
//! again. Committed offsets lie in the log.

mod coordinator;
mod machine;
#[cfg(test)]
mod tests;

pub(crate) use coordinator::Coordinator;
pub(crate) use machine::{Answer, DescribedMember, Event, Identity, Join, Joined, Leaver, Sync};
