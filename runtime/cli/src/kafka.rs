//! The listener for Kafka clients: its flags, its start and its end, the same for `run` and `log`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use towpath_broker::{Broker, Config, Error, Handle, ListenerConfig, Mechanism, MigrationPolicy, TlsFiles};
use towpath_log::Embedded;
use towpath_model::Clock;

use crate::failure::{Failure, Result};
use crate::kafka_view::Sinks;
use crate::storage;

/// Opens no listener.
const NONE: &str = "none";

/// The flags.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Where Kafka clients connect: ADDR, or several NAME://ADDR whose names are PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL or mapped by --kafka-protocols. Port 0 lets the system choose, `none` opens no listener.
    #[arg(
        long = "kafka",
        env = "TOWPATH_KAFKA",
        value_name = "[NAME://]ADDR,…",
        value_delimiter = ',',
        default_value = "127.0.0.1:9092"
    )]
    listen: Vec<String>,
    /// What Kafka clients are told to connect to, where that is not the address they came to; with several listeners NAME://HOST:PORT.
    #[arg(
        long = "kafka-advertised",
        env = "TOWPATH_KAFKA_ADVERTISED",
        value_name = "[NAME://]HOST:PORT,…",
        value_delimiter = ','
    )]
    advertised: Vec<String>,
    /// What listeners speak whose names do not say it, such as INTERNAL:PLAINTEXT.
    #[arg(
        long = "kafka-protocols",
        env = "TOWPATH_KAFKA_PROTOCOLS",
        value_name = "NAME:PROTOCOL,…",
        value_delimiter = ','
    )]
    protocols: Vec<String>,
    /// The certificate of listeners that speak TLS, in PEM, with those between it and its authority. Read again when it changes.
    #[arg(long = "kafka-tls-cert", env = "TOWPATH_KAFKA_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(long = "kafka-tls-key", env = "TOWPATH_KAFKA_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Clients must show a certificate that one of these authorities has signed.
    #[arg(
        long = "kafka-tls-client-ca",
        env = "TOWPATH_KAFKA_TLS_CLIENT_CA",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_client_ca: Option<PathBuf>,
    /// The SASL mechanisms that are offered: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 [default: all; without TLS off loopback not PLAIN].
    #[arg(
        long = "kafka-sasl-mechanisms",
        env = "TOWPATH_KAFKA_SASL_MECHANISMS",
        value_name = "NAME,…",
        value_delimiter = ','
    )]
    mechanisms: Vec<String>,
    /// After so many seconds clients must log in again; 0 never.
    #[arg(
        long = "kafka-max-reauth-seconds",
        env = "TOWPATH_KAFKA_MAX_REAUTH_SECONDS",
        value_name = "SECONDS",
        default_value_t = 0
    )]
    max_reauth_seconds: u64,
    /// Connections of Kafka clients at a time.
    #[arg(long = "kafka-max-connections", env = "TOWPATH_KAFKA_MAX_CONNECTIONS", value_name = "N")]
    max_connections: Option<usize>,
    /// Listen for Kafka clients off loopback, although anyone who reaches the port may read and write everything.
    #[arg(long = "kafka-allow-remote", env = "TOWPATH_KAFKA_ALLOW_REMOTE")]
    allow_remote: bool,
    /// Offsets of groups without members go after so many minutes without a commit; 0 keeps them.
    #[arg(
        long = "kafka-offsets-retention-minutes",
        env = "TOWPATH_KAFKA_OFFSETS_RETENTION_MINUTES",
        value_name = "MINUTES",
        default_value_t = 10_080
    )]
    offsets_retention_minutes: u64,
    /// How often members of groups of the newer protocol (KIP-848) are to say something.
    #[arg(
        long = "kafka-group-consumer-heartbeat-interval-ms",
        env = "TOWPATH_KAFKA_GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS",
        value_name = "MS",
        default_value_t = 3_000,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    consumer_heartbeat_ms: u32,
    /// Members of such groups that say nothing for so long are out.
    #[arg(
        long = "kafka-group-consumer-session-timeout-ms",
        env = "TOWPATH_KAFKA_GROUP_CONSUMER_SESSION_TIMEOUT_MS",
        value_name = "MS",
        default_value_t = 45_000
    )]
    consumer_session_ms: u32,
    /// Which groups may change between the classic and the newer protocol while they have members.
    #[arg(
        long = "kafka-group-consumer-migration-policy",
        env = "TOWPATH_KAFKA_GROUP_CONSUMER_MIGRATION_POLICY",
        value_name = "POLICY",
        default_value = "bidirectional"
    )]
    consumer_migration: Migration,
    /// Create topics only when a client asks for that in so many words.
    #[arg(long = "kafka-no-auto-create", env = "TOWPATH_KAFKA_NO_AUTO_CREATE")]
    no_auto_create: bool,
    /// Partitions of topics that Kafka clients create without a number.
    #[arg(
        long = "kafka-num-partitions",
        env = "TOWPATH_KAFKA_NUM_PARTITIONS",
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(i32).range(1..=10_000)
    )]
    num_partitions: i32,
    /// What becomes of a topic that is to have more than one replica: `clamp` gives it one with a warning, `strict` refuses it.
    #[arg(
        long = "kafka-replication-factor-policy",
        env = "TOWPATH_KAFKA_REPLICATION_FACTOR_POLICY",
        value_name = "POLICY",
        default_value = "clamp"
    )]
    replication: Replication,
}

/// The choices of `group.consumer.migration.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Migration {
    Bidirectional,
    Upgrade,
    Downgrade,
    Disabled,
}

impl From<Migration> for MigrationPolicy {
    fn from(chosen: Migration) -> Self {
        match chosen {
            Migration::Bidirectional => Self::Bidirectional,
            Migration::Upgrade => Self::Upgrade,
            Migration::Downgrade => Self::Downgrade,
            Migration::Disabled => Self::Disabled,
        }
    }
}

/// The choices of `replication.factor.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Replication {
    Clamp,
    Strict,
}

/// A listener that serves.
pub(crate) struct Listener {
    handle: Handle,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), Error>>,
}

impl Options {
    /// Whether there is to be a listener.
    pub(crate) fn wanted(&self) -> bool {
        self.listen != [NONE]
    }

    /// Listens and serves; the groups of a worker's sinks are shown where there are any.
    pub(crate) async fn start(
        &self,
        data_dir: &Path,
        log: &Arc<Embedded>,
        clock: &Arc<dyn Clock>,
        sinks: Option<Sinks>,
    ) -> Result<Listener> {
        let config = self.config(data_dir, sinks)?;
        let broker = Broker::bind(config, Arc::clone(log), Arc::clone(clock)).await.map_err(refused)?;
        let handle = broker.handle();
        let (stop, stopping) = watch::channel(false);
        Ok(Listener { handle, stop, serving: tokio::spawn(broker.run(stopping)) })
    }

    fn config(&self, data_dir: &Path, sinks: Option<Sinks>) -> Result<Config> {
        let listeners = match self.wanted() {
            true => ListenerConfig::parse_all(&self.listen, &self.advertised, &self.protocols).map_err(refused)?,
            false => Vec::new(),
        };
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        let client_authority = self.tls_client_ca.clone();
        let mechanism = |name: &String| {
            Mechanism::find(&name.to_uppercase()).ok_or_else(|| {
                let all = Mechanism::ALL.map(Mechanism::name).join(", ");
                Failure::input(format!("--kafka-sasl-mechanisms: {name} is none of {all}"))
            })
        };
        let mechanisms = self.mechanisms.iter().map(mechanism).collect::<Result<Vec<_>>>()?;
        let minutes = self.offsets_retention_minutes;
        let (heartbeat_ms, session_ms) = (self.consumer_heartbeat_ms, self.consumer_session_ms);
        if heartbeat_ms >= session_ms {
            return Err(Failure::input(format!(
                "--kafka-group-consumer-session-timeout-ms {session_ms} lets members go before their next heartbeat is due: it must be more than --kafka-group-consumer-heartbeat-interval-ms, {heartbeat_ms}"
            )));
        }
        let mut config = Config {
            tls: tls.map(|(certificate, key)| TlsFiles { certificate, key, client_authority }),
            users: Some(storage::kafka_users_file(data_dir)),
            mechanisms: Some(mechanisms).filter(|mechanisms| !mechanisms.is_empty()),
            session_lifetime: Duration::from_secs(self.max_reauth_seconds),
            allow_remote: self.allow_remote,
            auto_create_topics: !self.no_auto_create,
            num_partitions: self.num_partitions,
            strict_replication: self.replication == Replication::Strict,
            offsets_retention: (minutes > 0).then(|| Duration::from_secs(minutes.saturating_mul(60))),
            consumer_heartbeat: Duration::from_millis(heartbeat_ms.into()),
            consumer_session: Duration::from_millis(session_ms.into()),
            consumer_migration: self.consumer_migration.into(),
            residents: sinks.map(|sinks| Arc::new(sinks) as _),
            ..Config::new(listeners, storage::seed())
        };
        if let Some(connections) = self.max_connections {
            config.limits.connections = connections;
        }
        Ok(config)
    }
}

impl Listener {
    /// What others may ask of it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Where it listens: the first address, which is the one that `addresses.json` names.
    pub(crate) fn address(&self) -> Option<String> {
        self.handle.address().map(|address| address.to_string())
    }

    /// All addresses with what they speak, for people.
    pub(crate) fn told(&self) -> Option<String> {
        let one = |(name, address, protocol): (String, std::net::SocketAddr, &str)| match name.as_str() {
            "PLAINTEXT" => address.to_string(),
            name if name == protocol => format!("{name}://{address}"),
            name => format!("{name}://{address} ({protocol})"),
        };
        let all: Vec<String> = self.handle.listeners().into_iter().map(one).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// Waits until it ends. Cancel safe.
    pub(crate) async fn ended(&mut self) -> Result<Result<(), Error>, JoinError> {
        (&mut self.serving).await
    }

    /// Lets clients have the answers they are owed, and ends.
    pub(crate) async fn close(mut self) -> Result<Result<(), Error>, JoinError> {
        self.stop.send_replace(true);
        self.ended().await
    }
}

/// Which flag mends it stands beside what is wrong.
fn refused(error: Error) -> Failure {
    let hint = match &error {
        Error::Listen { source, .. } => {
            let reason = source.to_string();
            let hint = "Name another address with --kafka, port 0 for any, or none";
            return Failure::environment(error).context(format!("{reason}. {hint}"));
        }
        Error::Exposed { .. } => {
            "Listen on 127.0.0.1, as SASL_SSL://… with --kafka-tls-cert, --kafka-tls-key and `towpath users add`, or say --kafka-allow-remote"
        }
        Error::Listener { .. } => "It stands in --kafka, --kafka-advertised or --kafka-protocols",
        Error::Advertised { .. } => "It stands in --kafka-advertised",
        Error::Tls { .. } => "It stands in --kafka-tls-cert, --kafka-tls-key or --kafka-tls-client-ca",
        Error::CertificateMissing { .. } => "Name one with --kafka-tls-cert and --kafka-tls-key",
        Error::Users { .. } | Error::User(_) => "Users are made by `towpath users add NAME`",
    };
    Failure::input_error(error).context(hint)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::failure::Fault;
    use towpath_model::SystemClock;

    #[derive(Debug, clap::Parser)]
    struct Flags {
        #[command(flatten)]
        kafka: Options,
    }

    async fn start(flags: &[&str], dir: &Path, log: &Arc<Embedded>) -> Result<Listener> {
        let flags = Flags::try_parse_from([&["towpath"], flags].concat()).expect("flags");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        flags.kafka.start(dir, log, &clock, None).await
    }

    #[tokio::test]
    async fn an_address_that_is_taken_or_open_to_all_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let log = storage::open(dir.path(), Arc::new(SystemClock::default()), &[]).await.unwrap();
        let start = async |flags: &[&str]| start(flags, dir.path(), &log).await;
        let first = start(&["--kafka", "127.0.0.1:0"]).await.unwrap();
        let address = first.address().expect("a listener");
        let taken = start(&["--kafka", &address]).await.err().expect("it is taken");
        assert_eq!(taken.fault(), Fault::Environment);
        let text = taken.to_string();
        assert!(text.contains(&address) && text.contains("--kafka") && !text.contains('\n'), "{text}");
        let cases: [(&[&str], &str); 7] = [
            (&["--kafka-group-consumer-session-timeout-ms", "3000"], "--kafka-group-consumer-heartbeat-interval-ms"),
            (&["--kafka", "0.0.0.0:0"], "--kafka-allow-remote"),
            (&["--kafka", "EXTERNAL://127.0.0.1:0"], "--kafka-protocols"),
            (&["--kafka", "127.0.0.1:0", "--kafka-advertised", "0.0.0.0:1"], "--kafka-advertised"),
            (&["--kafka", "SSL://127.0.0.1:0"], "--kafka-tls-cert"),
            (
                &["--kafka", "SSL://127.0.0.1:0", "--kafka-tls-cert", "/nowhere", "--kafka-tls-key", "/nowhere"],
                "/nowhere",
            ),
            (&["--kafka", "SASL_SSL://127.0.0.1:0", "--kafka-sasl-mechanisms", "GSSAPI"], "SCRAM-SHA-512"),
        ];
        for (flags, said) in cases {
            let refused = start(flags).await.err().expect("it is refused");
            assert_eq!(refused.fault(), Fault::Input, "{flags:?}");
            assert!(refused.to_string().contains(said), "{flags:?}: {refused}");
        }
        assert_eq!(start(&["--kafka", "none"]).await.unwrap().address(), None);
        let several = "127.0.0.1:0,INSIDE://127.0.0.1:0";
        let several = start(&["--kafka", several, "--kafka-protocols", "inside:sasl_plaintext"]).await.unwrap();
        let told = several.told().expect("two listeners");
        assert!(told.contains(", INSIDE://127.0.0.1:") && told.ends_with(" (SASL_PLAINTEXT)"), "{told}");
        first.close().await.unwrap().unwrap();
    }
}
