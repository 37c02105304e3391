//! What a client is told when a request is not fulfilled: Connect's error body, `{"error_code", "message"}`.
//!
//! The message texts that clients and runbooks match on are made here or in the worker, nowhere else. Where Kafka answers 500
//! although the client is at fault, the answer is 400 and says where the fault is.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// An answer that is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    status: StatusCode,
    message: String,
    /// Refusals by routing name no media type, as Connect's server has it.
    is_routing: bool,
}

/// Why a request is not fulfilled.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorMessage<'a> {
    /// The status.
    error_code: u16,
    /// What is wrong, and where.
    message: &'a str,
}

impl Fault {
    /// A fault with any status.
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), is_routing: false }
    }

    /// The client asked for something wrong.
    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    /// What was asked for does not exist.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    /// A refusal by routing, worded as Connect's server words it: `HTTP 404 Not Found`.
    pub(crate) fn http(status: StatusCode) -> Self {
        let message = format!("HTTP {} {}", status.as_u16(), status.canonical_reason().unwrap_or_default());
        Self { status, message, is_routing: true }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let body = ErrorMessage { error_code: self.status.as_u16(), message: &self.message };
        let mut response = (self.status, Json(body)).into_response();
        if self.is_routing {
            response.headers_mut().remove(CONTENT_TYPE);
        }
        response
    }
}

impl From<towpath_worker::Error> for Fault {
    fn from(error: towpath_worker::Error) -> Self {
        let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, error.to_string())
    }
}
