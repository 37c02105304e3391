//! Records on their way: `GET /v1/connectors/{c}/tap`, some of a connector's records as each step of its path leaves them.
//!
//! One [`Tapped`] a line, for as long as the client listens. The types stand here for both sides, as all of `/v1`.

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_model::ConnectorName;
use towpath_worker::{Content, Outcome, Passage, Seen, Station, Stop, TapOptions};
use utoipa::ToSchema;

use super::HEARTBEAT;
use crate::connect::Parameters;
use crate::fault::Fault;
use crate::openapi::{Invalid, Named, NotFound, Refused, shapes};
use crate::server::{App, Stage};

/// Records a second unless `rate` says otherwise.
const RATE: u32 = 10;
/// The most records a second.
const RATE_MAX: u32 = 1_000;

/// A record that was watched on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tapped {
    /// Whose record it is.
    pub connector: String,
    /// Which task's.
    pub task: u32,
    /// When, in milliseconds since the epoch.
    pub at_ms: i64,
    /// How many records before it this client has missed, because it did not take them in time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missed: u64,
    /// How its way ended.
    pub outcome: TappedOutcome,
    /// Where the batch as a whole could not go on: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TappedError>,
    /// What it was at first, and what each step made of it. The last is what goes into the log, or to the sink.
    pub steps: Vec<TappedStep>,
}

/// How a record's way ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TappedOutcome {
    /// It goes on, into the log or to the sink.
    Passed,
    /// The last step dropped it by a stated rule.
    Filtered,
    /// A step could not do its work on it.
    Failed,
    /// Its batch could not go on; it is tried again, or fails the task.
    Held,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TappedKind {
    /// What the source gave.
    Source,
    /// What the log holds.
    Log,
    /// A transform.
    Transform,
    /// The converters.
    Converter,
    /// What the sink is given, where that is another form than transforms leave.
    Sink,
}

/// A record after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TappedStep {
    /// What the step is.
    pub step: TappedKind,
    /// The transform's name in `transforms`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The transform's type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// Whether the transform's predicate let it work on the record.
    pub applied: bool,
    /// What the record is now; several where it was multiplied, none where it ended here.
    pub records: Vec<TappedRecord>,
    /// How many more it was multiplied into.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u64,
    /// Why it, or something made of it, failed here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TappedError>,
}

/// Why a record or a batch did not go on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TappedError {
    /// The stage, as in the headers of a dead letter queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// A stable code.
    pub code: String,
    /// What is wrong.
    pub reason: String,
}

/// A record; keys, values and headers as in `/v1/topics/{t}/records`. Data under a schema are shown as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TappedRecord {
    /// Its topic.
    pub topic: String,
    /// Its partition, where it has one already.
    #[schema(required)]
    pub partition: Option<i32>,
    /// Its offset in the log, where it has one.
    #[schema(required)]
    pub offset: Option<i64>,
    /// Milliseconds since the epoch.
    #[schema(required)]
    pub timestamp: Option<i64>,
    /// Its key.
    #[schema(value_type = Option<shapes::Payload>, required)]
    pub key: Value,
    /// The name or type of the key's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_schema: Option<String>,
    /// Its value.
    #[schema(value_type = Option<shapes::Payload>, required)]
    pub value: Value,
    /// The name or type of the value's schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_schema: Option<String>,
    /// Its headers, in order.
    pub headers: Vec<TappedHeader>,
}

/// A header.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TappedHeader {
    /// Its name.
    pub key: String,
    /// Its value.
    #[schema(value_type = Option<shapes::Payload>, required)]
    pub value: Value,
}

/// Streams some of a connector's records before and after each step, for as long as the client listens.
#[utoipa::path(
    get,
    path = "/v1/connectors/{connector}/tap",
    operation_id = "tapConnector",
    tag = "connectors",
    params(
        Named,
        ("rate" = Option<u32>, Query, description = "How many records a second at most, up to 1000; 10 unless given"),
        ("max" = Option<u64>, Query, description = "Ends after so many records"),
        ("task" = Option<u32>, Query, description = "Only the records of this task"),
    ),
    responses(
        (
            status = 200,
            description = "One record a line; an empty line where none has come for a while. Ends with the connector. Clients that may \
                           only look are refused: a record may hold here what transforms take away",
            body = Tapped,
            content_type = "application/x-ndjson",
        ),
        Invalid,
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn tap(
    App(served): App,
    State(stage): State<Stage>,
    Path(Named { connector }): Path<Named>,
    query: Parameters,
) -> Result<Response, Fault> {
    let rate = number(&query, "rate")?.unwrap_or(RATE);
    if rate == 0 || rate > RATE_MAX {
        return Err(Fault::bad_request(format!("rate must be from 1 to {RATE_MAX} records a second, but is {rate}")));
    }
    let options = TapOptions { rate, task: number(&query, "task")? };
    let max: u64 = number(&query, "max")?.unwrap_or(u64::MAX);
    let tap = served.worker.tap(&ConnectorName::new(connector), options)?;
    let lines = futures::stream::unfold((tap, stage.closing(), max), |(mut tap, mut closing, left)| async move {
        if left == 0 {
            return None;
        }
        let next = tokio::select! {
            // A sender that is gone never closes: then the stream goes on.
            Ok(_) = closing.wait_for(|closing| *closing) => return None,
            next = tokio::time::timeout(HEARTBEAT, tap.next()) => next,
        };
        let (line, left) = match next {
            Err(_) => (Bytes::from_static(b"\n"), left),
            Ok(next) => (line(&next?), left - 1),
        };
        Some((Ok::<_, std::convert::Infallible>(line), (tap, closing, left)))
    });
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response())
}

fn number<N: std::str::FromStr>(Query(pairs): &Parameters, key: &str) -> Result<Option<N>, Fault> {
    let Some((_, text)) = pairs.iter().find(|(name, _)| name == key) else { return Ok(None) };
    text.parse().map(Some).map_err(|_| Fault::bad_request(format!("{key} must be a number, but is {text:?}")))
}

fn line((missed, tapped): &(u64, std::sync::Arc<towpath_worker::Tapped>)) -> Bytes {
    let mut line = serde_json::to_vec(&Tapped::of(*missed, tapped)).expect("texts and numbers are JSON");
    line.push(b'\n');
    line.into()
}

impl Tapped {
    fn of(missed: u64, tapped: &towpath_worker::Tapped) -> Self {
        let error = tapped.held.as_ref().map(|held| TappedError {
            stage: None,
            code: held.code.clone(),
            reason: held.reason.clone(),
        });
        Self {
            connector: tapped.task.connector.to_string(),
            task: tapped.task.task,
            at_ms: tapped.at_ms,
            missed,
            outcome: outcome(&tapped.passage, error.is_some()),
            error,
            steps: tapped.passage.stops.iter().map(TappedStep::of).collect(),
        }
    }
}

fn outcome(passage: &Passage, held: bool) -> TappedOutcome {
    match passage.outcome() {
        Outcome::Passed if held => TappedOutcome::Held,
        Outcome::Passed => TappedOutcome::Passed,
        Outcome::Filtered => TappedOutcome::Filtered,
        Outcome::Failed => TappedOutcome::Failed,
    }
}

impl TappedStep {
    fn of(stop: &Stop) -> Self {
        let (step, named) = match &stop.station {
            Station::Source => (TappedKind::Source, None),
            Station::Log => (TappedKind::Log, None),
            Station::Transform { name, class } => (TappedKind::Transform, Some((name.to_string(), class.to_string()))),
            Station::Converter => (TappedKind::Converter, None),
            Station::Sink => (TappedKind::Sink, None),
        };
        let (name, class) = named.unzip();
        let error = stop.failure.as_ref().map(|failure| TappedError {
            stage: Some(failure.stage.name().to_owned()),
            code: failure.code.clone(),
            reason: failure.reason.clone(),
        });
        let records = stop.records.iter().map(TappedRecord::of).collect();
        Self { step, name, class, applied: stop.applied, records, more: stop.more as u64, error }
    }
}

impl TappedRecord {
    fn of(seen: &Seen) -> Self {
        let header = |(key, content): &(std::sync::Arc<str>, Content)| TappedHeader {
            key: key.to_string(),
            value: content.shown(),
        };
        Self {
            topic: seen.topic.to_string(),
            partition: seen.partition,
            offset: seen.offset,
            timestamp: seen.timestamp,
            key: seen.key.shown(),
            key_schema: seen.key.schema_name(),
            value: seen.value.shown(),
            value_schema: seen.value.schema_name(),
            headers: seen.headers.iter().map(header).collect(),
        }
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
