//! Who may use a listener that speaks HTTP, and over TLS or not: what REST and the schema registry have in common.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use towpath_broker::{Certificate, RestAccess, TlsFiles, Users};
use towpath_http::{Acceptors, Access, Role};
use towpath_model::{Clock, Secret};

use crate::failure::{Failure, Result};
use crate::storage;

/// What a listener's flags say of logins.
pub(crate) struct Login<'a> {
    pub(crate) token: Option<&'a String>,
    pub(crate) read_token: Option<&'a String>,
    /// Users of the data directory may log in.
    pub(crate) basic_auth: bool,
}

impl Login<'_> {
    /// Who may ask.
    pub(crate) fn access(&self, data_dir: &Path) -> Result<Access> {
        let users = || Users::open(storage::kafka_users_file(data_dir), storage::seed()).map_err(Failure::input_error);
        let users = self.basic_auth.then(users).transpose()?;
        Ok(Access {
            token: self.token.map(Secret::new),
            read_token: self.read_token.map(Secret::new),
            users: users.map(|users| Arc::new(HttpUsers(users)) as Arc<dyn towpath_http::Users>),
        })
    }
}

/// The files of a listener's certificate.
pub(crate) struct Tls<'a> {
    pub(crate) certificate: Option<&'a PathBuf>,
    pub(crate) key: Option<&'a PathBuf>,
    /// The flags that name them.
    pub(crate) flags: &'static str,
}

impl Tls<'_> {
    /// What takes connections over TLS in; none where clients speak without.
    pub(crate) fn acceptors(&self, clock: &Arc<dyn Clock>) -> Result<Option<Acceptors>> {
        let (Some(certificate), Some(key)) = (self.certificate, self.key) else { return Ok(None) };
        let files = TlsFiles { certificate: certificate.clone(), key: key.clone(), client_authority: None };
        let hint = format!("It stands in {}", self.flags);
        let certificate = Certificate::load(&files).map_err(|error| Failure::input_error(error).context(hint))?;
        let clock = Arc::clone(clock);
        Ok(Some(Arc::new(move || certificate.acceptor(clock.monotonic()))))
    }
}

/// The URL of a listener.
pub(crate) fn url(tls: bool, address: &str) -> String {
    format!("{}://{address}", if tls { "https" } else { "http" })
}

/// The users of the data directory, as HTTP listeners know them.
struct HttpUsers(Users);

impl towpath_http::Users for HttpUsers {
    fn role(&self, name: &str, password: &str) -> Option<Role> {
        self.0.rest_access(name, password).map(|access| match access {
            RestAccess::Read => Role::Viewer,
            RestAccess::Write => Role::Admin,
        })
    }
}
