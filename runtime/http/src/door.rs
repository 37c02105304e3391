//! Who may ask: the machine that a request means, the page that it comes from, and then [`Access`].
//!
//! A web page must not reach a listener on loopback, neither by a form nor by a name that resolves to 127.0.0.1: hence the checks of
//! Origin and Host. Off loopback it counts who asks.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{HOST, ORIGIN};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode};

use crate::access::{Access, Visit};

/// What a listener lets in.
#[derive(Clone, Debug)]
pub struct Door {
    loopback: bool,
    listen_ip: IpAddr,
    access: Access,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs)]
pub enum Refusal {
    #[error("The Host header names another machine than this worker")]
    Host,
    #[error("Requests from pages of another origin are refused")]
    Origin,
    #[error("The request needs the header Authorization: Bearer with the worker's token")]
    Token,
    #[error("The request needs the header Authorization: Basic with a user and password of the worker")]
    User,
    #[error("This client may look, and change nothing")]
    Viewer,
}

impl Refusal {
    /// The status that says so.
    pub fn status(self) -> StatusCode {
        match self {
            Self::Host | Self::Origin | Self::Viewer => StatusCode::FORBIDDEN,
            Self::Token | Self::User => StatusCode::UNAUTHORIZED,
        }
    }
}

impl Door {
    /// The door of a listener at this address.
    pub fn new(address: SocketAddr, access: Access) -> Self {
        Self { loopback: address.ip().is_loopback(), listen_ip: address.ip(), access }
    }

    /// Lets a request in by its headers.
    ///
    /// # Errors
    /// Why not.
    pub async fn admit(&self, headers: &HeaderMap, visit: Visit) -> Result<(), Refusal> {
        self.check_host(headers)?;
        check_origin(headers)?;
        self.access.check(headers, visit).await
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.loopback {
            return Ok(());
        }
        let Some(value) = headers.get(HOST) else { return Ok(()) };
        let host = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok());
        let known = host.as_ref().is_some_and(|authority| {
            let name = authority.host().trim_start_matches('[').trim_end_matches(']');
            name.eq_ignore_ascii_case("localhost")
                || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip == self.listen_ip)
        });
        if known { Ok(()) } else { Err(Refusal::Host) }
    }
}

/// A page of another origin may not ask, whatever it asks for.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, authority)| authority);
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    match (origin, host) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Refusal::Origin),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use towpath_model::Secret;

    use super::*;

    fn headers(given: &[(&'static str, &str)]) -> HeaderMap {
        given.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    #[tokio::test]
    async fn the_token_comes_as_bearer_or_as_password() {
        let access = Access { token: Some(Secret::new("s3cret")), read_token: Some(Secret::new("look")), users: None };
        let door = Door::new("0.0.0.0:1".parse().expect("an address"), access);
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        for (given, expected) in [
            ("Bearer s3cret".to_owned(), Ok(())),
            ("bearer  s3cret".to_owned(), Ok(())),
            ("Bearer s3cre".to_owned(), Err(Refusal::Token)),
            ("Bearer look".to_owned(), Err(Refusal::Viewer)),
            (basic("anyone:s3cret"), Ok(())),
            (basic("s3cret"), Err(Refusal::Token)),
            (basic("s3cret:x"), Err(Refusal::Token)),
            ("Basic ???".to_owned(), Err(Refusal::Token)),
        ] {
            let admitted = door.admit(&headers(&[("authorization", &given)]), Visit::Change).await;
            assert_eq!(admitted, expected, "{given}");
        }
        assert_eq!(door.admit(&headers(&[]), Visit::Look).await, Err(Refusal::Token));
        assert_eq!(door.admit(&headers(&[]), Visit::Probe).await, Ok(()));
    }

    #[tokio::test]
    async fn pages_and_foreign_names_are_kept_out_on_loopback() {
        let door = Door::new("127.0.0.1:8081".parse().expect("an address"), Access::default());
        for (given, expected) in [
            (vec![("host", "localhost:8081")], Ok(())),
            (vec![("host", "[::1]:8081")], Ok(())),
            (vec![("host", "evil.example:8081")], Err(Refusal::Host)),
            (vec![("host", "localhost:8081"), ("origin", "http://localhost:8081")], Ok(())),
            (vec![("host", "localhost:8081"), ("origin", "http://evil.example")], Err(Refusal::Origin)),
        ] {
            assert_eq!(door.admit(&headers(&given), Visit::Change).await, expected, "{given:?}");
        }
    }
}
