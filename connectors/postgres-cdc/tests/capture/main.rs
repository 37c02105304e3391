//! The connector against a real server: what a user would see in the log.

mod chaos;
mod phases;
mod positions;
mod records;
mod safety;
mod support;
mod values;
