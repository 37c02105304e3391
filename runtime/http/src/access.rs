//! Who asks, and whether he may: by a bearer token, or by name and password.

use std::sync::Arc;

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use base64::Engine as _;
use towpath_model::Secret;

use crate::door::Refusal;

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Admin,
    /// Look, and change nothing.
    Viewer,
}

/// Who may ask with a name and a password. Takes its time, so that guessing does.
pub trait Users: Send + Sync {
    /// The role of a user whose password this is.
    fn role(&self, name: &str, password: &str) -> Option<Role>;
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Visit {
    /// A probe, which anybody may make.
    Probe,
    /// It changes nothing.
    Look,
    /// It may change something.
    Change,
}

/// Who may ask. Where it names nobody, everybody may do everything.
#[derive(Clone, Default)]
pub struct Access {
    /// Whoever sends this as a bearer token, or as the password of any user, may do everything.
    pub token: Option<Secret>,
    /// Whoever sends this may look.
    pub read_token: Option<Secret>,
    /// Who may log in by name and password.
    pub users: Option<Arc<dyn Users>>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access").field("asks", &self.asks()).finish_non_exhaustive()
    }
}

impl Access {
    /// Whether anybody is asked who he is.
    pub fn asks(&self) -> bool {
        self.token.is_some() || self.read_token.is_some() || self.users.is_some()
    }

    pub(crate) async fn check(&self, headers: &HeaderMap, visit: Visit) -> Result<(), Refusal> {
        if !self.asks() || visit == Visit::Probe {
            return Ok(());
        }
        match (self.role(headers).await, visit) {
            (Some(Role::Admin), _) | (Some(Role::Viewer), Visit::Look) => Ok(()),
            (Some(Role::Viewer), _) => Err(Refusal::Viewer),
            (None, _) if self.users.is_some() => Err(Refusal::User),
            (None, _) => Err(Refusal::Token),
        }
    }

    async fn role(&self, headers: &HeaderMap) -> Option<Role> {
        let (scheme, credentials) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        let credentials = credentials.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.role_of_token(credentials);
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(credentials).ok()?;
        let (name, password) = String::from_utf8(decoded).ok()?.split_once(':').map(own)?;
        // Clients that know no bearer tokens send theirs as a password.
        if let Some(role) = self.role_of_token(&password) {
            return Some(role);
        }
        let users = self.users.clone()?;
        tokio::task::spawn_blocking(move || users.role(&name, &password)).await.ok().flatten()
    }

    fn role_of_token(&self, given: &str) -> Option<Role> {
        let is =
            |token: &Option<Secret>| token.as_ref().is_some_and(|token| equal_in_constant_time(given, token.reveal()));
        // Both are compared whatever the first says.
        let (admin, viewer) = (is(&self.token), is(&self.read_token));
        if admin { Some(Role::Admin) } else { viewer.then_some(Role::Viewer) }
    }
}

fn own((name, password): (&str, &str)) -> (String, String) {
    (name.to_owned(), password.to_owned())
}

/// Compares without telling by its duration how much is right.
fn equal_in_constant_time(left: &str, right: &str) -> bool {
    let difference = left.bytes().zip(right.bytes()).fold(0, |sum, (left, right)| sum | (left ^ right));
    left.len() == right.len() && difference == 0
}
