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
use crate::records::{Progress, Tail, TailOptions, write_record};
use crate::server::{App, Stage};

mod overview;
pub(crate) mod retries;

pub use overview::{ConnectorOverview, ErrorOverview, Overview, PartitionOverview, Snapshot, TaskOverview};
pub use retries::{Deferred, Done};

/// After so long without a record, an empty line shows that the stream lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// `GET /v1/status`.
pub(crate) async fn status(App(served): App) -> Json<Overview> {
    Json(served.overview())
}

/// `GET /v1/connectors/{c}`: the same for one connector, and its last errors.
pub(crate) async fn connector(App(served): App, Path(name): Path<String>) -> Result<Json<ConnectorOverview>, Fault> {
    let name = ConnectorName::new(name.as_str());
    let status = served.worker.status(&name)?;
    let mut overview = ConnectorOverview::of(status);
    overview.errors = served.worker.errors(&name)?.into_iter().map(ErrorOverview::from).collect();
    Ok(Json(overview))
}

/// `PUT /v1/validate`: everything that is wrong with a configuration, as `towpath check` says it of a file.
pub(crate) async fn validate(App(served): App, JsonBody(config): JsonBody<Value>) -> Result<Response, Fault> {
    let config = Config(config_without_nulls(config)?);
    refuse_paths(&config)?;
    Ok(Json(served.worker.check(config).await).into_response())
}

/// `GET /v1/topics`.
pub(crate) async fn topics(App(served): App) -> Json<Vec<TopicDescription>> {
    Json(served.log.topics())
}

/// `GET /v1/topics/{t}`.
pub(crate) async fn topic(App(served): App, Path(name): Path<String>) -> Result<Json<TopicDescription>, Fault> {
    let found = served.log.topics().into_iter().find(|topic| topic.name == name);
    found.map(Json).ok_or_else(|| LogFault::UnknownTopic(name).into())
}

/// `GET /v1/topics/{t}/records?from=&max=&exit=`: one object a line, for as long as the client listens.
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
