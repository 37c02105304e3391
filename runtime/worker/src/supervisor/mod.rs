//! The supervisor: one machine for each connector decides, one driver does.

mod connector;
mod driver;
mod machine;
mod start;

pub(crate) use driver::{Given, Supervisor};
