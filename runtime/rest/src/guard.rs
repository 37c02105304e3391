//! What every request passes before it is routed: who asks (Host, Origin, then [`access`](crate::access)), what is asked for (path, media types), how long it may take.
//!
//! A web page must not reach a worker on loopback, neither by a form nor by a name that resolves to 127.0.0.1: hence the checks of
//! Origin and Host. Off loopback it counts who asks.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, TRANSFER_ENCODING};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::access::Access;
use crate::fault::Fault;
use crate::kafka;
use crate::server::{BodyLimit, Scheme};

/// What the guard needs to know of the server.
pub(crate) struct Guard {
    pub(crate) loopback: bool,
    pub(crate) listen_ip: IpAddr,
    pub(crate) access: Access,
    pub(crate) scheme: &'static str,
    pub(crate) body_bytes_max: usize,
    pub(crate) request_timeout: Duration,
}

/// Lets a request pass, or answers in its stead.
pub(crate) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    if let Err(fault) = guard.admit(&mut request).await {
        return fault.into_response();
    }
    let asks_for_options = request.method() == Method::OPTIONS;
    match tokio::time::timeout(guard.request_timeout, next.run(request)).await {
        Ok(refusal) if asks_for_options && refusal.status() == StatusCode::METHOD_NOT_ALLOWED => options(&refusal),
        Ok(response) => response,
        Err(_) => Fault::new(StatusCode::INTERNAL_SERVER_ERROR, "Request timed out.").into_response(),
    }
}

/// Turns the router's refusal, which names the methods that there are, into the answer that names them.
fn options(refusal: &Response) -> Response {
    let allowed = refusal.headers().get(ALLOW).and_then(|allowed| allowed.to_str().ok()).unwrap_or_default();
    let allowed = format!("{allowed},OPTIONS");
    let body = allowed.replace(',', ", ");
    ([(ALLOW, allowed), (CONTENT_TYPE, "text/plain".to_owned())], body).into_response()
}

impl Guard {
    async fn admit(&self, request: &mut Request) -> Result<(), Fault> {
        self.check_host(request.headers())?;
        check_origin(request.headers())?;
        self.access.check(request.method(), request.uri().path(), request.headers()).await?;
        strip_trailing_slash(request);
        if is_connects(request.uri().path()) {
            check_accept(request.headers())?;
        }
        check_content_type(request.uri().path(), request.headers())?;
        request.extensions_mut().insert(BodyLimit(self.body_bytes_max));
        request.extensions_mut().insert(Scheme(self.scheme));
        Ok(())
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Fault> {
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
        if known { Ok(()) } else { Err(Fault::forbidden("The Host header names another machine than this worker")) }
    }
}

/// A page of another origin may not ask, whatever it asks for.
fn check_origin(headers: &HeaderMap) -> Result<(), Fault> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|text| text.split_once("://")).map(|(_, authority)| authority);
    let host = headers.get(HOST).and_then(|value| value.to_str().ok());
    match (origin, host) {
        (Some(origin), Some(host)) if origin.eq_ignore_ascii_case(host) => Ok(()),
        _ => Err(Fault::forbidden("Requests from pages of another origin are refused")),
    }
}

/// Media types as Connect negotiates them: JSON or anything.
fn check_accept(headers: &HeaderMap) -> Result<(), Fault> {
    let mut accepts = headers.get_all(ACCEPT).iter().peekable();
    if accepts.peek().is_none() {
        return Ok(());
    }
    let mut ranges = accepts.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let fits = ranges.any(|range| {
        let media = range.split(';').next().unwrap_or_default().trim();
        media.is_empty()
            || ["*/*", "application/*", "application/json"].iter().any(|fit| media.eq_ignore_ascii_case(fit))
    });
    if fits { Ok(()) } else { Err(Fault::http(StatusCode::NOT_ACCEPTABLE)) }
}

/// A body must say that it is JSON, or the bytes that one path takes; no body needs to say nothing.
fn check_content_type(path: &str, headers: &HeaderMap) -> Result<(), Fault> {
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.unwrap_or(0) == 0 && !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(());
    }
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = given.split(';').next().unwrap_or_default().trim();
    let wanted = if path == kafka::PATH { kafka::MEDIA_TYPE } else { "application/json" };
    if media.eq_ignore_ascii_case(wanted) { Ok(()) } else { Err(Fault::http(StatusCode::UNSUPPORTED_MEDIA_TYPE)) }
}

/// Whether the path is one of Connect's, where JSON is all that is served.
fn is_connects(path: &str) -> bool {
    path == "/" || path.starts_with("/connector") || path.starts_with("/admin")
}

fn strip_trailing_slash(request: &mut Request) {
    let path = request.uri().path();
    if path.len() < 2 || !path.ends_with('/') {
        return;
    }
    let path = path.trim_end_matches('/');
    let path = if path.is_empty() { "/" } else { path };
    let target = match request.uri().query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    if let Ok(uri) = target.parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}
