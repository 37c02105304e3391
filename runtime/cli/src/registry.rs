//! The schema registry: its flags, its start and its end.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use towpath_log::Embedded;
use towpath_model::Clock;
use towpath_registry::{Config, Error, Registry, Server, TOPIC};

use crate::failure::{Failure, Result};
use crate::login::{self, Login, Tls};

/// Opens no listener.
const NONE: &str = "none";

/// The flags.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Where clients of the schema registry connect; port 0 lets the system choose, `none` leaves the registry out.
    #[arg(long, env = "TOWPATH_REGISTRY", value_name = "ADDR", default_value = "127.0.0.1:8081")]
    registry: String,
    /// The token that clients of the registry must send, as a bearer token or as the password of any user. Off loopback, a token or
    /// --registry-basic-auth is needed.
    #[arg(long, env = "TOWPATH_REGISTRY_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    registry_token: Option<String>,
    /// A second token, with which clients may read schemas and change nothing.
    #[arg(long, env = "TOWPATH_REGISTRY_READ_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    registry_read_token: Option<String>,
    /// Clients of the registry may log in as users made by `towpath users add NAME --rest read|write`.
    #[arg(long, env = "TOWPATH_REGISTRY_BASIC_AUTH")]
    registry_basic_auth: bool,
    /// The certificate of the registry, in PEM: clients must speak TLS. Read again when it changes.
    #[arg(long, env = "TOWPATH_REGISTRY_TLS_CERT", value_name = "FILE", requires = "registry_tls_key")]
    registry_tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(long, env = "TOWPATH_REGISTRY_TLS_KEY", value_name = "FILE", requires = "registry_tls_cert")]
    registry_tls_key: Option<PathBuf>,
}

/// A registry that serves.
pub(crate) struct Listener {
    registry: Registry,
    address: String,
    url: String,
    stop: watch::Sender<bool>,
    serving: JoinHandle<Result<(), Error>>,
}

impl Options {
    /// The topic that nobody else may write, where there is to be a registry.
    pub(crate) fn topics(&self) -> &'static [&'static str] {
        if self.registry == NONE { &[] } else { &[TOPIC] }
    }

    /// Reads the schemas, listens and serves, where that is wanted.
    pub(crate) async fn start(
        &self,
        data_dir: &Path,
        log: &Arc<Embedded>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Listener>> {
        if self.registry == NONE {
            return Ok(None);
        }
        let (token, read_token) = (self.registry_token.as_ref(), self.registry_read_token.as_ref());
        let access = Login { token, read_token, basic_auth: self.registry_basic_auth }.access(data_dir)?;
        let (certificate, key) = (self.registry_tls_cert.as_ref(), self.registry_tls_key.as_ref());
        let tls = Tls { certificate, key, flags: "--registry-tls-cert or --registry-tls-key" }.acceptors(clock)?;
        let config = Config { listen: self.registry.clone(), access, tls, ..Config::default() };
        let server = Server::bind(config).await.map_err(refused)?;
        let registry = Registry::open(Arc::clone(log) as _).await.map_err(Failure::by_code)?;
        let address = server.address().to_string();
        let url = login::url(self.registry_tls_cert.is_some(), &address);
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(server.run(registry.clone(), stopping));
        Ok(Some(Listener { registry, address, url, stop, serving }))
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

    /// What clients are given.
    pub(crate) fn url(&self) -> &str {
        &self.url
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
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let log = storage::open(dir.path(), Arc::clone(&clock), &[]).await.unwrap();
        let start = async |flags: &[&str]| {
            let flags = Flags::try_parse_from([&["towpath"], flags].concat()).expect("flags");
            flags.registry.start(dir.path(), &log, &clock).await
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
