//! Byte streams to the endpoints of the task's own configuration, with TLS done by the host.
//!
//! Reads never wait; [`wait`] is the only wait there is, and the host can interrupt it.

use std::time::Duration;

use crate::bindings::imports::towpath::connect::streams as wit;

/// What went wrong with a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamError {
    /// The endpoint is not in the task's configuration; the text says which key would permit it.
    Denied(String),
    /// The other side cannot be reached or broke off.
    Connection(String),
    /// The TLS handshake failed.
    Tls(String),
    /// It took too long.
    Timeout(String),
}

impl std::fmt::Display for StreamError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Denied(text) | Self::Connection(text) | Self::Tls(text) | Self::Timeout(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for StreamError {}

/// How far the other side's certificate is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Encrypt only.
    None,
    /// The certificate must come from a known authority.
    Authority,
    /// It must also be for this host.
    #[default]
    Full,
}

/// How TLS is spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// How far the certificate is checked.
    pub verify: Verify,
    /// Key of the configuration that holds the path of a PEM file of authorities; without it, the public ones.
    pub roots_key: Option<String>,
    /// Key that holds the path of the client's certificate.
    pub certificate_key: Option<String>,
    /// Key that holds the path of the client's private key.
    pub private_key_key: Option<String>,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// Bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing has arrived.
    Pending,
    /// The other side has closed.
    Closed,
}

/// A connection; dropping it closes it.
#[derive(Debug)]
pub struct Connection(wit::Connection);

impl Connection {
    /// Dials `host:port`.
    ///
    /// # Errors
    /// When the endpoint is not permitted or cannot be reached in time.
    pub fn connect(host: &str, port: u16, timeout: Duration) -> Result<Self, StreamError> {
        wit::Connection::connect(host, port, millis(timeout)).map(Self).map_err(error)
    }

    /// Goes on in TLS on the same connection, as after an `SSLRequest`. Nothing may have arrived that was not read.
    ///
    /// # Errors
    /// When the handshake fails.
    pub fn start_tls(&self, options: &Tls) -> Result<(), StreamError> {
        let options = wit::Tls {
            verify: match options.verify {
                Verify::None => wit::Verify::None,
                Verify::Authority => wit::Verify::Authority,
                Verify::Full => wit::Verify::Full,
            },
            roots_key: options.roots_key.clone(),
            certificate_key: options.certificate_key.clone(),
            private_key_key: options.private_key_key.clone(),
        };
        self.0.start_tls(&options).map_err(error)
    }

    /// Whatever has arrived, at most `max` bytes. Never waits.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn read(&self, max: u32) -> Result<Chunk, StreamError> {
        match self.0.read(max) {
            Ok(wit::Chunk::Bytes(bytes)) => Ok(Chunk::Bytes(bytes)),
            Ok(wit::Chunk::Pending) => Ok(Chunk::Pending),
            Ok(wit::Chunk::Closed) => Ok(Chunk::Closed),
            Err(failure) => Err(error(failure)),
        }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// When the connection broke or the other side does not take it in time.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StreamError> {
        self.0.write(bytes).map_err(error)
    }
}

/// How a wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waited {
    /// Indexes of the connections that have something to read: bytes, an end or an error.
    Ready(Vec<u32>),
    /// Nothing arrived in time.
    Timeout,
    /// The host has something to deliver: return from the call soon, with state kept.
    Interrupted,
}

/// Waits until one of the connections has something to read. With no connections, a pause that the host can interrupt.
pub fn wait(connections: &[&Connection], max: Duration) -> Waited {
    let connections: Vec<_> = connections.iter().map(|connection| &connection.0).collect();
    match wit::wait(&connections, millis(max)) {
        wit::Waited::Ready(indexes) => Waited::Ready(indexes),
        wit::Waited::Timeout => Waited::Timeout,
        wit::Waited::Interrupted => Waited::Interrupted,
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

fn error(error: wit::StreamError) -> StreamError {
    match error {
        wit::StreamError::Denied(text) => StreamError::Denied(text),
        wit::StreamError::Connection(text) => StreamError::Connection(text),
        wit::StreamError::Tls(text) => StreamError::Tls(text),
        wit::StreamError::Timeout(text) => StreamError::Timeout(text),
    }
}
