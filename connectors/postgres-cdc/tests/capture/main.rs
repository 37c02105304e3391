//! The connector against a real server: what a user would see in the log.

mod chaos;
mod defaults;
mod large;
mod looks;
mod modes;
mod phases;
mod positions;
mod random;
mod records;
mod safety;
mod schemas;
mod shares;
mod streamed;
mod support;
mod values;
