//! Requests to the endpoints of the task's own configuration. The host pools connections, does TLS and adds credentials.

use std::time::Duration;

use crate::bindings::imports::towpath::connect::http as wit;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method, in capitals.
    pub method: String,
    /// The whole URL. Scheme, host and port must be those of a key marked as endpoint.
    pub url: String,
    /// Headers in order.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// How long the answer may take.
    pub timeout: Duration,
    /// A credential of the spec, by name, for the host to add.
    pub credential: Option<String>,
    /// Requests of one lane are sent one after another; the first that is not answered with 2xx ends the lane.
    pub lane: u64,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// At most 64 KiB of the body.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of this name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HttpError {
    /// The endpoint is not in the task's configuration; the text says which key would permit it.
    Denied(String),
    /// No answer in time.
    Timeout(String),
    /// No connection, a broken one, or an answer that is not HTTP.
    Connection(String),
    /// An earlier request of the lane failed, so this one was not sent.
    NotSent,
    /// The request itself cannot be sent.
    Invalid(String),
}

/// Sends all requests, at most `max_in_flight` at a time, and answers in their order.
pub fn send_all(requests: Vec<Request>, max_in_flight: u32) -> Vec<Result<Response, HttpError>> {
    let requests: Vec<_> = requests
        .into_iter()
        .map(|request| wit::Request {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: request.body,
            timeout_ms: u32::try_from(request.timeout.as_millis()).unwrap_or(u32::MAX),
            credential: request.credential,
            lane: request.lane,
        })
        .collect();
    wit::send_all(&requests, max_in_flight).into_iter().map(|answer| answer.map(response).map_err(error)).collect()
}

fn response(response: wit::Response) -> Response {
    Response { status: response.status, headers: response.headers, body: response.body }
}

fn error(error: wit::HttpError) -> HttpError {
    match error {
        wit::HttpError::Denied(reason) => HttpError::Denied(reason),
        wit::HttpError::Timeout(reason) => HttpError::Timeout(reason),
        wit::HttpError::Connection(reason) => HttpError::Connection(reason),
        wit::HttpError::NotSent => HttpError::NotSent,
        wit::HttpError::Invalid(reason) => HttpError::Invalid(reason),
    }
}
