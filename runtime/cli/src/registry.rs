//! The schema registry: its flags, its start and its end.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use towpath_http::Access;
use towpath_log::Embedded;
use towpath_model::Secret;
use towpath_registry::{Config, Error, Registry, Server, TOPIC};

use crate::failure::{Failure, Result};

/// Opens no listener.
const NONE: &str = "none";

/// The flags.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Where clients of the schema registry connect; port 0 lets the system choose, `none` leaves the registry out.
    #[arg(long, env = "TOWPATH_REGISTRY", value_name = "ADDR", default_value = "127.0.0.1:8081")]
    registry: String,
    /// The token that clients of the registry must send, as a bearer token or as the password of any user. Needed off loopback.
    #[arg(long, env = "TOWPATH_REGISTRY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    registry_token: Option<String>,
}

/// A registry that serves.
pub(crate) struct Listener {
    registry: Registry,
    address: String,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), Error>>,
}

impl Options {
    /// The topic that nobody else may write, where there is to be a registry.
    pub(crate) fn topics(&self) -> &'static [&'static str] {
        if self.registry == NONE { &[] } else { &[TOPIC] }
    }

    /// Reads the schemas, listens and serves, where that is wanted.
    pub(crate) async fn start(&self, log: &Arc<Embedded>) -> Result<Option<Listener>> {
        if self.registry == NONE {
            return Ok(None);
        }
        let access = Access { token: self.registry_token.as_ref().map(Secret::new), ..Access::default() };
        let config = Config { listen: self.registry.clone(), access, ..Config::default() };
        let server = Server::bind(config).await.map_err(refused)?;
        let registry = Registry::open(Arc::clone(log) as _).await.map_err(Failure::by_code)?;
        let address = server.address().to_string();
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(server.run(registry.clone(), stopping));
        Ok(Some(Listener { registry, address, stop, serving }))
    }
}

impl Listener {
    /// The registry itself.
    pub(crate) fn registry(&self) -> &Registry {
        &self.registry
    }

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

/// Which flag mends it stands beside what is wrong.
fn refused(error: Error) -> Failure {
    match &error {
        Error::Bind { source, .. } => {
            let reason = source.to_string();
            let hint = "Name another address with --registry, port 0 for any, or none";
            Failure::environment(error).context(format!("{reason}. {hint}"))
        }
        _ => Failure::by_code(error),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use towpath_model::SystemClock;

    use super::*;
    use crate::failure::Fault;
    use crate::storage;

    #[derive(Debug, clap::Parser)]
    struct Flags {
        #[command(flatten)]
        registry: Options,
    }

    #[tokio::test]
    async fn an_address_that_is_taken_or_open_to_all_is_refused_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let log = storage::open(dir.path(), Arc::new(SystemClock::default()), &[]).await.unwrap();
        let start = async |flags: &[&str]| {
            let flags = Flags::try_parse_from([&["towpath"], flags].concat()).expect("flags");
            flags.registry.start(&log).await
        };
        let first = start(&["--registry", "127.0.0.1:0"]).await.unwrap().expect("a registry");
        let taken = start(&["--registry", first.address()]).await.err().expect("it is taken");
        assert_eq!(taken.fault(), Fault::Environment);
        let text = taken.to_string();
        assert!(text.contains(first.address()) && text.contains("--registry"), "{text}");
        let open = start(&["--registry", "0.0.0.0:0"]).await.err().expect("it is open to all");
        assert_eq!(open.fault(), Fault::Input);
        assert!(open.to_string().contains("--registry-token"), "{open}");
        assert!(start(&["--registry", "none"]).await.unwrap().is_none());
        first.close().await.unwrap().unwrap();
    }
}
