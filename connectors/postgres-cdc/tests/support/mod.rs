//! A private PostgreSQL, the machine's sockets behind the connector's own trait, and a log in memory that takes records and
//! positions together or not at all, as the worker does.

#![allow(dead_code, reason = "each test uses its part")]

pub mod log;
pub mod native;
pub mod server;
