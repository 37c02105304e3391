//! The REST interface: its flags.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use towpath_model::Clock;
use towpath_rest::{Config, Error, Server};

use crate::failure::{Failure, Result};
use crate::login::{self, Login, Tls};

/// The flags.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// Where the REST interface listens; port 0 lets the system choose.
    #[arg(long, env = "TOWPATH_REST", value_name = "ADDR", default_value = "127.0.0.1:8083")]
    rest: String,
    /// The token that REST clients must send as a bearer token. Off loopback, a token or --rest-basic-auth is needed.
    #[arg(long, env = "TOWPATH_REST_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    rest_token: Option<String>,
    /// A second token, with which clients may look and change nothing.
    #[arg(long, env = "TOWPATH_REST_READ_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    rest_read_token: Option<String>,
    /// REST clients may log in as users made by `towpath users add NAME --rest read|write`.
    #[arg(long, env = "TOWPATH_REST_BASIC_AUTH")]
    rest_basic_auth: bool,
    /// The certificate of the REST interface, in PEM: clients must speak TLS. Read again when it changes.
    #[arg(long, env = "TOWPATH_REST_TLS_CERT", value_name = "FILE", requires = "rest_tls_key")]
    rest_tls_cert: Option<PathBuf>,
    /// The private key of that certificate, in PEM.
    #[arg(long, env = "TOWPATH_REST_TLS_KEY", value_name = "FILE", requires = "rest_tls_cert")]
    rest_tls_key: Option<PathBuf>,
}

impl Options {
    /// Listens.
    pub(crate) async fn bind(&self, data_dir: &Path, clock: &Arc<dyn Clock>) -> Result<Server> {
        let (token, read_token) = (self.rest_token.as_ref(), self.rest_read_token.as_ref());
        let access = Login { token, read_token, basic_auth: self.rest_basic_auth }.access(data_dir)?;
        let (certificate, key) = (self.rest_tls_cert.as_ref(), self.rest_tls_key.as_ref());
        let tls = Tls { certificate, key, flags: "--rest-tls-cert or --rest-tls-key" }.acceptors(clock)?;
        let config = Config { listen: self.rest.clone(), access, tls, ..Config::default() };
        Server::bind(config).await.map_err(|error| match error {
            Error::TokenMissing { .. } => Failure::input_error(error),
            _ => Failure::environment(error),
        })
    }

    /// Whether clients must speak TLS.
    pub(crate) fn speaks_tls(&self) -> bool {
        self.rest_tls_cert.is_some()
    }

    /// The URL of a server that listens there.
    pub(crate) fn url(&self, address: &str) -> String {
        login::url(self.speaks_tls(), address)
    }
}
