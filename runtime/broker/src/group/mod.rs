//! Consumer groups: who is a member, and who reads what. Here those of the classic protocol, in `consumer` those of the newer one.
//!
//! `machine` decides (events in, actions out, no clock, no channel), `coordinator` drives it: it keeps the answers that members
//! wait for, and the time. What members say to each other is passed on unread, so groups of any protocol type work: consumers,
//! Connect workers, schema registries. Membership is not kept over a restart: members find out by their next heartbeat and join
//! again. Committed offsets lie in the log; `retention` lets them expire. `handover` is what members carry from one protocol to the other. `resident` shows the groups of the worker's own sinks.

pub(crate) mod consumer;
pub(crate) mod consumer_protocol;
mod coordinator;
mod handover;
mod machine;
mod resident;
pub(crate) mod retention;
#[cfg(test)]
mod tests;

pub(crate) use coordinator::Coordinator;
pub use handover::MigrationPolicy;
pub(crate) use machine::{Answer, Described, DescribedMember, Event, Identity, Join, Joined, Leaver, Sync};
pub(crate) use resident::may_change;
pub use resident::{ResidentGroup, ResidentMember, Residents};
