//! What may be set about the broker. Everything that a client could make grow has a limit here.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::group::{MigrationPolicy, Residents};
use crate::listener::ListenerConfig;
use crate::sasl::Mechanism;

/// The settings of a broker.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where clients connect, each place with a name and a security protocol of its own.
    pub listeners: Vec<ListenerConfig>,
    /// The certificate of the listeners that speak TLS.
    pub tls: Option<TlsFiles>,
    /// The users that SASL knows: see [`Users`](crate::Users).
    pub users: Option<PathBuf>,
    /// The SASL mechanisms that are offered; none offers SCRAM everywhere, and PLAIN where nobody can listen in.
    pub mechanisms: Option<Vec<Mechanism>>,
    /// After this long a client that logged in must do so again (KIP-368); zero never.
    pub session_lifetime: Duration,
    /// Listens off loopback although anyone who reaches the port may read and write everything.
    pub allow_remote: bool,
    /// Whether asking for a topic that does not exist creates it, where the client wants that.
    pub auto_create_topics: bool,
    /// Partitions of topics that clients create without a number (`num.partitions`).
    pub num_partitions: i32,
    /// Refuses topics of more than one replica, as opposed to giving them one with a warning (`replication.factor.policy=strict`).
    pub strict_replication: bool,
    /// Offsets of groups without members go after this long without a commit; none keeps them.
    pub offsets_retention: Option<Duration>,
    /// How often members of groups of the newer protocol are to say something (`group.consumer.heartbeat.interval.ms`).
    pub consumer_heartbeat: Duration,
    /// Who of them says nothing for this long is out (`group.consumer.session.timeout.ms`).
    pub consumer_session: Duration,
    /// Which groups may change their protocol while they have members (`group.consumer.migration.policy`).
    pub consumer_migration: MigrationPolicy,
    /// Groups whose members live in this process.
    pub residents: Option<Arc<dyn Residents>>,
    /// Limits.
    pub limits: Limits,
    /// How long the first members of a group wait for others, so that they are not rebalanced one by one.
    pub initial_rebalance_delay: Duration,
    /// Feeds the ids of members of groups; every run has its own.
    pub seed: u64,
}

/// The files of a certificate, in PEM. They are looked at again while the broker runs.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The certificate, and those between it and its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the certificates that clients must show; none asks for none.
    pub client_authority: Option<PathBuf>,
}

/// Limits.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at a time; further ones are closed at once.
    pub connections: usize,
    /// Of these, connections that have not finished TLS and SASL yet.
    pub strangers: usize,
    /// How long TLS and SASL may take together.
    pub login: Duration,
    /// Bytes of a request before the client has logged in.
    pub login_bytes: usize,
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
            strangers: 1_000,
            login: Duration::from_secs(15),
            login_bytes: 64 << 10,
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
    /// The defaults, listening with these listeners.
    pub fn new(listeners: Vec<ListenerConfig>, seed: u64) -> Self {
        Self {
            listeners,
            tls: None,
            users: None,
            mechanisms: None,
            session_lifetime: Duration::ZERO,
            allow_remote: false,
            auto_create_topics: true,
            num_partitions: 1,
            strict_replication: false,
            offsets_retention: Some(Duration::from_secs(7 * 24 * 3600)),
            consumer_heartbeat: Duration::from_secs(3),
            consumer_session: Duration::from_secs(45),
            consumer_migration: MigrationPolicy::default(),
            residents: None,
            limits: Limits::default(),
            initial_rebalance_delay: Duration::from_millis(100),
            seed,
        }
    }
}
