//! What may be set about the listener. Everything that a client could make grow has a limit here.

use std::time::Duration;

/// The settings of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen, `host:port`; port 0 lets the system choose.
    pub listen: String,
    /// What clients are told to connect to, `host:port`; none tells each the address it came to.
    pub advertised: Option<String>,
    /// Listens off loopback although anyone who reaches the port may read and write everything.
    pub allow_remote: bool,
    /// Whether asking for a topic that does not exist creates it, where the client wants that.
    pub auto_create_topics: bool,
    /// Refuses topics of more than one replica, as opposed to giving them one with a warning (`replication.factor.policy=strict`).
    pub strict_replication: bool,
    /// Limits.
    pub limits: Limits,
    /// How long the first members of a group wait for others, so that they are not rebalanced one by one.
    pub initial_rebalance_delay: Duration,
    /// Feeds the ids of members of groups; every run has its own.
    pub seed: u64,
}

/// Limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// Bytes of a request that carries records.
    pub produce_bytes: usize,
    /// Bytes of any other request.
    pub request_bytes: usize,
    /// Requests of one connection that wait for the disk.
    pub pipelined: usize,
    /// Bytes of these.
    pub pipelined_bytes: usize,
    /// What one answer to a fetch carries at most, whatever the client asks for.
    pub fetch_bytes: usize,
    /// How long a fetch waits at most.
    pub fetch_wait: Duration,
    /// A connection is closed after this long without a request, or without progress of a request or an answer.
    pub idle: Duration,
    /// Members of a group.
    pub group_members: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 20_000,
            produce_bytes: 100 << 20,
            request_bytes: 4 << 20,
            pipelined: 64,
            pipelined_bytes: 32 << 20,
            fetch_bytes: 16 << 20,
            fetch_wait: Duration::from_secs(60),
            idle: Duration::from_secs(600),
            group_members: 1_000,
        }
    }
}

impl Config {
    /// The defaults, listening on `listen`.
    pub fn new(listen: impl Into<String>, seed: u64) -> Self {
        Self {
            listen: listen.into(),
            advertised: None,
            allow_remote: false,
            auto_create_topics: true,
            strict_replication: false,
            limits: Limits::default(),
            initial_rebalance_delay: Duration::from_millis(100),
            seed,
        }
    }
}
