//! Golden tests: for each request its status and its body, as Kafka Connect 4.x gives them,
//! and as the document says. `surface` needs no worker; `connect` runs one.

mod connect;
mod document;
mod fakes;
mod surface;

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use serde_json::Value;
use tower::ServiceExt as _;
use towpath_http::{Access, Door};

use crate::guard::Guard;
use crate::server::{Stage, guarded, routes};

/// A server on loopback without a token.
fn server(stage: Stage) -> Router {
    guarded(routes(stage).0, guard())
}

fn guard() -> Guard {
    Guard {
        door: Door::new(([127, 0, 0, 1], 8083).into(), Access::default()),
        scheme: "http",
        body_bytes_max: 4096,
        request_timeout: Duration::from_secs(30),
    }
}

/// An answer: status, and the body as JSON, as text where it is none, or null where it is empty.
struct Answer {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Value,
}

async fn ask(server: &Router, request: Request<Body>) -> Answer {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response: Response<Body> = server.clone().oneshot(request).await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let body = match serde_json::from_slice(&bytes) {
        Ok(body) => body,
        Err(_) if bytes.is_empty() => Value::Null,
        Err(_) => Value::String(String::from_utf8(bytes.to_vec()).unwrap()),
    };
    document::check(&method, &path, status, &body);
    Answer { status, headers, body }
}

/// `GET /path`, `PUT /path {"body": …}`, and so on.
fn request(line: &str) -> Request<Body> {
    let mut parts = line.splitn(3, ' ');
    let (method, path) = (parts.next().unwrap(), parts.next().unwrap());
    let request = Request::builder().method(method).uri(path).header("host", "localhost:8083");
    match parts.next() {
        None => request.body(Body::empty()),
        Some(body) => request
            .header("content-type", "application/json")
            .header("content-length", body.len())
            .body(Body::from(body.to_owned())),
    }
    .unwrap()
}
