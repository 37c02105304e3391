//! What becomes of records that cannot go on: one table of rules, and the dead letter queue.

mod dead_letter;
mod policy;

pub(crate) use dead_letter::{Context, DeadLetters, Origin, read_told, revived};
pub(crate) use policy::{Action, Stage, on_failed_call, on_refused_record};
