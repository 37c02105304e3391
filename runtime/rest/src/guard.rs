//! What every request passes before it is routed: who asks, what is asked for (path, media types), how long it may take.
//!
//! Who asks is looked at by the [`Door`] of every HTTP listener; what is asked for, and in which media type, is looked at here.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, ALLOW, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use towpath_http::{Door, Refusal, Visit};

use crate::fault::Fault;
use crate::kafka;
use crate::server::{BodyLimit, Scheme};

/// What the guard needs to know of the server.
pub(crate) struct Guard {
    pub(crate) door: Door,
    pub(crate) scheme: &'static str,
    pub(crate) body_bytes_max: usize,
    pub(crate) request_timeout: Duration,
}

/// What those hear who may only look.
const TAP_REFUSED: &str =
    "This client may look, and not at records on their way: they may hold what transforms take away";

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

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status(), refusal.to_string())
    }
}

impl Guard {
    async fn admit(&self, request: &mut Request) -> Result<(), Fault> {
        let path = request.uri().path();
        let admitted = self.door.admit(request.headers(), visit(request.method(), path)).await;
        admitted.map_err(|refusal| match refusal {
            Refusal::Viewer if is_tap(path) => Fault::new(refusal.status(), TAP_REFUSED),
            refusal => refusal.into(),
        })?;
        strip_trailing_slash(request);
        if is_connects(request.uri().path()) {
            check_accept(request.headers())?;
        }
        check_content_type(request.uri().path(), request.headers())?;
        request.extensions_mut().insert(BodyLimit(self.body_bytes_max));
        request.extensions_mut().insert(Scheme(self.scheme));
        Ok(())
    }
}

/// What a request is about. Asking the broker may change something: its requests are bytes here. A tap changes nothing, but shows records
/// before transforms have masked anything, which nobody sees who may read topics alone.
fn visit(method: &Method, path: &str) -> Visit {
    let checks =
        path == "/v1/validate" || path.starts_with("/connector-plugins/") && path.ends_with("/config/validate");
    match path {
        "/livez" | "/readyz" => Visit::Probe,
        kafka::PATH => Visit::Change,
        _ if is_tap(path) => Visit::Change,
        _ if checks || matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) => Visit::Look,
        _ => Visit::Change,
    }
}

/// Whether the path is that of a tap.
fn is_tap(path: &str) -> bool {
    let connector =
        path.strip_prefix("/v1/connectors/").and_then(|rest| rest.trim_end_matches('/').strip_suffix("/tap"));
    connector.is_some_and(|connector| !connector.contains('/'))
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
