//! Ours, where Connect has nothing: `/v1/status`, `/v1/validate`, `/v1/connectors/{c}…`, `/v1/topics…`.
//!
//! The types stand here for both sides: the server writes them, the command line reads them back. Fields are only ever added.

#![allow(clippy::unused_async, reason = "axum's handlers are async also where they do not wait")]

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;
use towpath_model::{Config, ConnectorName};

use crate::beginning::Beginning;
use crate::body::{JsonBody, config_without_nulls};
use crate::connect::{Parameters, flag, refuse_paths};
use crate::fault::Fault;
use crate::log::{LogFault, TopicDescription};
use crate::openapi::{Invalid, Named, NotFound, Refused, shapes};
use crate::records::{Progress, Tail, TailOptions, write_record};
use crate::server::{App, Stage};

mod overview;
pub(crate) mod retries;
pub(crate) mod tap;

pub use overview::{ConnectorOverview, ErrorOverview, Overview, PartitionOverview, Snapshot, TaskOverview};
pub use retries::{Deferred, Done};
pub use tap::{Tapped, TappedError, TappedHeader, TappedKind, TappedOutcome, TappedRecord, TappedStep};

/// After so long without a record, an empty line shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Shows the worker at a glance.
#[utoipa::path(
    get,
    path = "/v1/status",
    operation_id = "getStatus",
    tag = "worker",
    responses((status = 200, description = "All connectors", body = Overview), Refused),
)]
pub(crate) async fn status(App(served): App) -> Json<Overview> {
    Json(served.overview())
}

/// Shows a connector at a glance, and its last errors.
#[utoipa::path(
    get,
    path = "/v1/connectors/{connector}",
    operation_id = "getConnectorOverview",
    tag = "connectors",
    params(Named),
    responses(
        (status = 200, description = "State, health, rate, lag, retries and cause", body = ConnectorOverview),
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn connector(
    App(served): App,
    Path(Named { connector }): Path<Named>,
) -> Result<Json<ConnectorOverview>, Fault> {
    let name = ConnectorName::new(connector);
    let status = served.worker.status(&name)?;
    let mut overview = ConnectorOverview::of(status);
    overview.errors = served.worker.errors(&name)?.into_iter().map(ErrorOverview::from).collect();
    Ok(Json(overview))
}

/// Finds everything that is wrong with a configuration, as `towpath check` says it of a file.
#[utoipa::path(
    put,
    path = "/v1/validate",
    operation_id = "validate",
    tag = "plugins",
    request_body(content = shapes::Settings, description = "Keys and values"),
    responses(
        (status = 200, description = "What is wrong, each with its place", body = Vec<shapes::Finding>),
        Invalid,
        Refused,
    ),
)]
pub(crate) async fn validate(App(served): App, JsonBody(config): JsonBody<Value>) -> Result<Response, Fault> {
    let config = Config(config_without_nulls(config)?);
    refuse_paths(&config)?;
    Ok(Json(served.worker.check(config).await).into_response())
}

/// Lists the topics.
#[utoipa::path(
    get,
    path = "/v1/topics",
    operation_id = "listTopics",
    tag = "log",
    responses((status = 200, description = "The topics, by name", body = Vec<TopicDescription>), Refused),
)]
pub(crate) async fn topics(App(served): App) -> Json<Vec<TopicDescription>> {
    Json(served.log.topics())
}

/// Shows a topic with its partitions and configs.
#[utoipa::path(
    get,
    path = "/v1/topics/{topic}",
    operation_id = "getTopic",
    tag = "log",
    params(("topic" = String, Path, description = "Its name")),
    responses((status = 200, description = "The topic", body = TopicDescription), NotFound, Refused),
)]
pub(crate) async fn topic(App(served): App, Path(name): Path<String>) -> Result<Json<TopicDescription>, Fault> {
    let found = served.log.topics().into_iter().find(|topic| topic.name == name);
    found.map(Json).ok_or_else(|| LogFault::UnknownTopic(name).into())
}

/// Streams the records of a topic, for as long as the client listens.
#[utoipa::path(
    get,
    path = "/v1/topics/{topic}/records",
    operation_id = "streamRecords",
    tag = "log",
    params(
        ("topic" = String, Path, description = "Its name"),
        (
            "from" = Option<String>,
            Query,
            description = "`earliest` (unless given), `latest`, an offset, `-N` for the last N of each partition, `@` with \
                           milliseconds, a span before now such as `15m`, or a time in UTC",
        ),
        ("max" = Option<u64>, Query, description = "Ends after so many records"),
        (
            "exit" = Option<bool>,
            Query,
            description = "Ends at what is the end when the request comes; false unless given",
        ),
    ),
    responses(
        (
            status = 200,
            description = "One record a line; an empty line where none has come for a while",
            body = shapes::LogRecord,
            content_type = "application/x-ndjson",
        ),
        Invalid,
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn records(
    App(served): App,
    State(stage): State<Stage>,
    Path(topic): Path<String>,
    query: Parameters,
) -> Result<Response, Fault> {
    let options = tail_options(&query, served.clock.now_ms())?;
    let tail = Tail::start(Arc::clone(&served.log), topic, options).await?;
    let closing = stage.closing();
    let stream = futures::stream::unfold(Some((tail, closing)), |state| async move {
        let (mut tail, mut closing) = state?;
        let mut chunk = Vec::new();
        let step = tokio::select! {
            // A sender that is gone never closes: then the stream goes on.
            Ok(_) = closing.wait_for(|closing| *closing) => return None,
            step = tail.next(HEARTBEAT, |record| write_record(&mut chunk, record)) => step,
        };
        let next = match step {
            Ok(Progress::Records) => Some((tail, closing)),
            Ok(Progress::Quiet) => {
                chunk.push(b'\n');
                Some((tail, closing))
            }
            Ok(Progress::Ended) => return None,
            Err(fault) => {
                // The status line is long sent: the last line tells.
                let line = serde_json::json!({ "error_code": 500, "message": fault.to_string() });
                chunk.extend_from_slice(format!("{line}\n").as_bytes());
                None
            }
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(chunk)), next))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(stream)).into_response())
}

fn tail_options(query: &Parameters, now_ms: i64) -> Result<TailOptions, Fault> {
    let Query(pairs) = query;
    let value = |key: &str| pairs.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    let from = match value("from") {
        None => Beginning::Earliest,
        Some(text) => Beginning::parse(text, now_ms).map_err(Fault::bad_request)?,
    };
    let max = match value("max") {
        None => None,
        Some(text) => Some(
            text.parse()
                .map_err(|_| Fault::bad_request(format!("max must be a number of records, but is {text:?}")))?,
        ),
    };
    Ok(TailOptions { from, max, exit: flag(query, "exit", false) })
}

impl From<LogFault> for Fault {
    fn from(fault: LogFault) -> Self {
        match fault {
            LogFault::UnknownTopic(_) => Self::not_found(fault.to_string()),
            LogFault::Failed(reason) => Self::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, reason),
        }
    }
}
