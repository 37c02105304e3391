//! The listener for Kafka clients: its flags, its start and its end, the same for `run` and `log`.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use towpath_broker::{Broker, Config, Error};
use towpath_log::Embedded;
use towpath_model::Clock;

use crate::failure::{Failure, Result};
use crate::storage;

/// Opens no listener.
const NONE: &str = "none";

/// The flags.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where Kafka clients connect; port 0 lets the system choose, `none` opens no listener.
    #[arg(long = "kafka", env = "TOWPATH_KAFKA", value_name = "ADDR", default_value = "127.0.0.1:9092")]
    listen: String,
    /// What Kafka clients are told to connect to, where that is not the address they came to.
    #[arg(long = "kafka-advertised", env = "TOWPATH_KAFKA_ADVERTISED", value_name = "HOST:PORT")]
    advertised: Option<String>,
    /// Listen for Kafka clients off loopback, although anyone who reaches the port may read and write everything.
    #[arg(long = "kafka-allow-remote", env = "TOWPATH_KAFKA_ALLOW_REMOTE")]
    allow_remote: bool,
    /// Create topics only when a client asks for that in so many words.
    #[arg(long = "kafka-no-auto-create", env = "TOWPATH_KAFKA_NO_AUTO_CREATE")]
    no_auto_create: bool,
    /// What becomes of a topic that is to have more than one replica: `clamp` gives it one with a warning, `strict` refuses it.
    #[arg(
        long = "kafka-replication-factor-policy",
        env = "TOWPATH_KAFKA_REPLICATION_FACTOR_POLICY",
        value_name = "POLICY",
        default_value = "clamp"
    )]
    replication: Replication,
}

/// The choices of `replication.factor.policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Replication {
    Clamp,
    Strict,
}

/// A listener that serves.
pub(crate) struct Listener {
    address: String,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), Error>>,
}

impl Options {
    /// Whether there is to be a listener.
    pub(crate) fn wanted(&self) -> bool {
        self.listen != NONE
    }

    /// Listens and serves, where that is wanted.
    pub(crate) async fn start(&self, log: &Arc<Embedded>, clock: &Arc<dyn Clock>) -> Result<Option<Listener>> {
        if !self.wanted() {
            return Ok(None);
        }
        let config = Config {
            advertised: self.advertised.clone(),
            allow_remote: self.allow_remote,
            auto_create_topics: !self.no_auto_create,
            strict_replication: self.replication == Replication::Strict,
            ..Config::new(&self.listen, storage::seed())
        };
        let broker = Broker::bind(config, Arc::clone(log), Arc::clone(clock)).await.map_err(refused)?;
        let address = broker.handle().address().to_string();
        let (stop, stopping) = watch::channel(false);
        Ok(Some(Listener { address, stop, serving: tokio::spawn(broker.run(stopping)) }))
    }
}

impl Listener {
    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        &self.address
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

fn refused(error: Error) -> Failure {
    match error {
        Error::Listen { .. } => Failure::environment(anyhow::anyhow!(
            "{error}: {}. Name another address with --kafka, port 0 for any, or none",
            std::error::Error::source(&error).map_or_else(String::new, ToString::to_string)
        )),
        Error::Exposed { .. } => Failure::input(format!("{error} That is --kafka-allow-remote")),
        Error::Advertised { .. } => Failure::input(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Fault;
    use towpath_model::SystemClock;

    async fn start(listen: &str, log: &Arc<Embedded>) -> Result<Option<Listener>> {
        let options = Options {
            listen: listen.to_owned(),
            advertised: None,
            allow_remote: false,
            no_auto_create: false,
            replication: Replication::Clamp,
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        options.start(log, &clock).await
    }

    #[tokio::test]
    async fn an_address_that_is_taken_or_open_to_all_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let log = storage::open(dir.path(), Arc::new(SystemClock::default())).await.unwrap();
        let first = start("127.0.0.1:0", &log).await.unwrap().expect("a listener");
        let taken = start(first.address(), &log).await.err().expect("it is taken");
        assert_eq!(taken.fault(), Fault::Environment);
        let text = taken.to_string();
        assert!(text.contains(first.address()) && text.contains("--kafka") && !text.contains('\n'), "{text}");
        let open = start("0.0.0.0:0", &log).await.err().expect("it is open to all");
        assert_eq!(open.fault(), Fault::Input);
        assert!(open.to_string().contains("--kafka-allow-remote"), "{open}");
        assert!(start("none", &log).await.unwrap().is_none());
        first.close().await.unwrap().unwrap();
    }
}
