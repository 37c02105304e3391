//! Who asks, and whether he may: by a bearer token, or by name and password.

use std::sync::Arc;

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use base64::Engine as _;
use towpath_model::Secret;

use crate::config::{Role, Users};
use crate::fault::Fault;
use crate::kafka;

/// Who may ask. Where it names nobody, everybody may do everything.
#[derive(Clone, Default)]
pub(crate) struct Access {
    pub(crate) token: Option<Secret>,
    pub(crate) read_token: Option<Secret>,
    pub(crate) users: Option<Arc<dyn Users>>,
}

impl Access {
    /// Lets a request pass, or says why not. Probes are asked nothing.
    pub(crate) async fn check(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<(), Fault> {
        let asks = self.token.is_some() || self.read_token.is_some() || self.users.is_some();
        if !asks || matches!(path, "/livez" | "/readyz") {
            return Ok(());
        }
        let role = match headers.get(AUTHORIZATION) {
            Some(given) => self.role(given).await,
            None => None,
        };
        match role {
            Some(Role::Admin) => Ok(()),
            Some(Role::Viewer) if only_looks(method, path) => Ok(()),
            Some(Role::Viewer) => Err(Fault::forbidden("This client may look, and change nothing")),
            None => Err(Fault::new(StatusCode::UNAUTHORIZED, self.wanted())),
        }
    }

    async fn role(&self, given: &HeaderValue) -> Option<Role> {
        let (scheme, credentials) = given.to_str().ok()?.split_once(' ')?;
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            let is = |token: &Option<Secret>| {
                token.as_ref().is_some_and(|token| equal_in_constant_time(credentials, token.reveal()))
            };
            // Both are compared whatever the first says.
            let (admin, viewer) = (is(&self.token), is(&self.read_token));
            return if admin { Some(Role::Admin) } else { viewer.then_some(Role::Viewer) };
        }
        let users = self.users.clone().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(credentials).ok()?;
        let decoded = String::from_utf8(decoded).ok()?;
        let role = move || decoded.split_once(':').and_then(|(name, password)| users.role(name, password));
        tokio::task::spawn_blocking(role).await.ok().flatten()
    }

    fn wanted(&self) -> &'static str {
        match &self.users {
            None => "The request needs the header Authorization: Bearer with the worker's token",
            Some(_) => "The request needs the header Authorization: Basic with a user and password of the worker",
        }
    }
}

/// Whether a request changes nothing. Asking the broker may: its requests are bytes here.
fn only_looks(method: &Method, path: &str) -> bool {
    let checks =
        path == "/v1/validate" || path.ends_with("/config/validate") && path.starts_with("/connector-plugins/");
    path != kafka::PATH && (matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || checks)
}

/// Compares without telling by its duration how much is right.
fn equal_in_constant_time(left: &str, right: &str) -> bool {
    let difference = left.bytes().zip(right.bytes()).fold(0, |sum, (left, right)| sum | (left ^ right));
    left.len() == right.len() && difference == 0
}
