//! A private PostgreSQL, the machine's sockets behind the connector's own trait, and a log in memory that takes records and
//! positions together or not at all, as the worker does.

pub(crate) mod crowd;
pub(crate) mod dice;
pub(crate) mod log;
pub(crate) mod native;
pub(crate) mod server;
