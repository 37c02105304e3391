//! The Kafka side as the server sees it, which does not know it: `POST /v1/kafka`, by which the command line asks the broker what it asks
//! of topics and groups, and the numbers of its listeners. `cli` fulfils it.
//!
//! One request of Kafka's protocol in, its answer out, both without their lengths. Who may ask here may do so without another login: the
//! token is that of the worker.

use async_trait::async_trait;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;

use crate::body;
use crate::fault::Fault;
use crate::openapi::{Invalid, Refused};
use crate::prometheus::{Page, Type};
use crate::server::App;

/// The path, whose bodies are bytes.
pub(crate) const PATH: &str = "/v1/kafka";
/// What these bytes are called.
pub(crate) const MEDIA_TYPE: &str = "application/octet-stream";

/// A broker.
#[async_trait]
pub trait Kafka: Send + Sync {
    /// Answers a request of Kafka's protocol.
    ///
    /// # Errors
    /// Why it cannot be answered, for people.
    async fn call(&self, request: Bytes) -> Result<Bytes, String>;
    /// The numbers of listeners and groups.
    async fn numbers(&self) -> Vec<Family>;
}

/// Metrics of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// The name.
    pub name: &'static str,
    /// Whether it only grows.
    pub counter: bool,
    /// What it says.
    pub help: &'static str,
    /// Labels and values.
    pub samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

/// Answers a request of Kafka's protocol, as the command line asks.
#[utoipa::path(
    post,
    path = "/v1/kafka",
    operation_id = "callKafka",
    tag = "log",
    request_body(
        content = String,
        content_type = "application/octet-stream",
        description = "A request without its length",
    ),
    responses(
        (
            status = 200,
            description = "The answer without its length",
            body = String,
            content_type = "application/octet-stream",
        ),
        Invalid,
        Refused,
    ),
)]
pub(crate) async fn call(App(served): App, request: Request) -> Result<Response, Fault> {
    let request = body::read(request).await?;
    let answer = served.kafka.call(request).await.map_err(|reason| Fault::new(StatusCode::BAD_REQUEST, reason))?;
    Ok(([(CONTENT_TYPE, MEDIA_TYPE)], answer).into_response())
}

/// Writes the numbers into a page of metrics.
pub(crate) fn write(page: &mut Page, families: &[Family]) {
    for family in families {
        page.family(family.name, if family.counter { Type::Counter } else { Type::Gauge }, family.help);
        for (labels, value) in &family.samples {
            let labels: Vec<(&str, &str)> = labels.iter().map(|(label, value)| (*label, value.as_str())).collect();
            page.sample(family.name, &labels, *value);
        }
    }
}
