//! Groups of the newer protocol (KIP-848): members say what they read and what they have, the broker decides who reads what.
//!
//! `machine` is one group (heartbeats in, answers out, no clock), `classic` the members of it that speak the classic protocol, `assignor` divides
//! partitions, `driver` keeps all groups and the time.
//!
//! ```text
//! subscription or topics change ─> group epoch + 1 ─> target assignment ─┐
//! heartbeat ─> what the member has is brought nearer to its target: first it gives up, then it gets what others have given up
//! ```
//! A group changes its protocol with its members, as `group.consumer.migration.policy` allows: with the first member of the newer protocol one of
//! the classic protocol comes here, with all its members; when the last such member has gone it goes back.

mod assignor;
mod classic;
mod driver;
mod machine;
#[cfg(test)]
mod tests;

pub(crate) use driver::Consumers;
pub(crate) use machine::{Beat, DescribedMember, Partitions};
