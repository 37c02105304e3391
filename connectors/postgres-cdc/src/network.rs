//! What the connector needs of the place it runs in: byte streams, a wait, scratch files, log lines and metrics.
//!
//! `component.rs` fulfils it with the host's capabilities, the tests with the machine's own sockets. Nothing here knows
//! PostgreSQL, and nothing outside this file and its two implementations knows where the bytes come from.

use std::fmt;
use std::time::Duration;

use towpath_model::Reading;

use crate::scratch::{ScratchError, ScratchFile};

/// The most bytes taken from a stream in one read.
pub const READ_BYTES_MAX: usize = 256 << 10;

/// Why a stream could not be opened, read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// The endpoint is not permitted; the text says which key would permit it.
    #[error("{0}")]
    Denied(String),
    /// The server cannot be reached or broke off.
    #[error("{0}")]
    Connection(String),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    Tls(String),
    /// Nothing happened for too long.
    #[error("{0}")]
    Timeout(String),
}

/// The outcome of a read, which never waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Bytes were appended.
    Some,
    /// Nothing has arrived.
    Pending,
    /// The other side has closed.
    Closed,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// There is something to read.
    Ready,
    /// The time is over.
    Timeout,
    /// Somebody has other business with the task: return soon, with state kept.
    Interrupted,
}

/// How a server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Not at all: encrypt only.
    None,
    /// It must come from a known authority.
    Authority,
    /// It must also be for this host.
    Full,
}

/// How TLS is done. The files stand under configuration keys, which whoever does the handshake reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tls {
    /// How the certificate is checked.
    pub verify: Verify,
    /// The key of the authorities' file, if it is set.
    pub roots_key: Option<&'static str>,
    /// The key of the client certificate's file, if it is set.
    pub certificate_key: Option<&'static str>,
    /// The key of the client's private key file, if it is set.
    pub private_key_key: Option<&'static str>,
}

/// A connection to the server.
pub trait Stream {
    /// Goes on in TLS on the same connection.
    ///
    /// # Errors
    /// When the handshake fails.
    fn start_tls(&mut self, tls: &Tls) -> Result<(), NetworkError>;
    /// Appends what has arrived, at most [`READ_BYTES_MAX`]. Never waits.
    ///
    /// # Errors
    /// When the connection broke.
    fn read(&mut self, into: &mut Vec<u8>) -> Result<Read, NetworkError>;
    /// Writes all of it.
    ///
    /// # Errors
    /// When the connection broke or the server takes nothing for too long.
    fn write(&mut self, bytes: &[u8]) -> Result<(), NetworkError>;
    /// Waits until there is something to read, at most `max`.
    fn wait(&mut self, max: Duration) -> Waited;
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Level {
    Debug,
    Info,
    Warn,
}

/// The place the connector runs in.
pub trait Host {
    /// Dials the server.
    ///
    /// # Errors
    /// When it cannot be reached or the endpoint is not permitted.
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> Result<Box<dyn Stream>, NetworkError>;
    /// A new, empty scratch file.
    ///
    /// # Errors
    /// When it cannot be made.
    fn scratch(&self) -> Result<Box<dyn ScratchFile>, ScratchError>;
    /// Pauses, at most `max`.
    fn pause(&self, max: Duration) -> Waited;
    /// Writes a line to the log. Never with contents of records in it.
    fn log(&self, level: Level, text: fmt::Arguments<'_>);
    /// Reports numbers.
    fn record(&self, readings: &[(&'static str, Reading)]);
}
