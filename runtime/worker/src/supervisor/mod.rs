//! The supervisor: one machine for each connector decides, one driver does.

mod commands;
mod connector;
mod driver;
mod folder;
mod machine;
mod start;

pub(crate) use driver::{Given, Supervisor};
