//! Records of a sink that wait to be put again: `/v1/connectors/{c}/retries…`, and dead letters that are to: `…/dead-letters/replay`.

use axum::Json;
use axum::extract::{Path, Query};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_model::ConnectorName;
use towpath_worker::{DeferredRecord, RecordId, Replayed};
use utoipa::{IntoParams, ToSchema};

use crate::body::JsonBody;
use crate::connect::Parameters;
use crate::fault::Fault;
use crate::openapi::{Invalid, Named, NotFound, Refused, shapes};
use crate::records::write_record;
use crate::server::App;

/// How many are listed unless `max` says otherwise.
const LISTED: usize = 1_000;

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deferred {
    /// The worker's time, in milliseconds since the epoch.
    pub now_ms: i64,
    /// How many wait.
    pub total: usize,
    /// The first of them.
    #[schema(value_type = Vec<shapes::DeferredRecord>)]
    pub records: Vec<DeferredRecord>,
}

/// For how many records something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// How many.
    pub records: usize,
}

/// Which record, in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct At {
    /// The connector's name.
    connector: String,
    /// Where the record stands in the log: its topic.
    topic: String,
    /// Its partition.
    partition: i32,
    /// Its offset.
    offset: i64,
}

impl At {
    fn parts(self) -> (ConnectorName, RecordId) {
        let id = RecordId { topic: self.topic.into(), partition: self.partition, offset: self.offset };
        (ConnectorName::new(self.connector), id)
    }
}

/// Lists the records of a sink that wait to be put again.
#[utoipa::path(
    get,
    path = "/v1/connectors/{connector}/retries",
    operation_id = "listRetries",
    tag = "retries",
    params(Named, ("max" = Option<usize>, Query, description = "At most so many records; 1000 unless given")),
    responses(
        (status = 200, description = "Those that wait, in their order", body = Deferred),
        Invalid,
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn list(
    App(served): App,
    Path(Named { connector }): Path<Named>,
    Query(query): Parameters,
) -> Result<Json<Deferred>, Fault> {
    let max = query.iter().find(|(name, _)| name == "max").map_or(Ok(LISTED), |(_, max)| max.parse());
    let max = max.map_err(|_| Fault::bad_request("max must be a number of records"))?;
    let mut records = served.worker.deferred(&ConnectorName::new(connector)).await?;
    let total = records.len();
    records.truncate(max);
    Ok(Json(Deferred { now_ms: served.clock.now_ms(), total, records }))
}

/// Shows a record that waits, as the records of a topic are shown.
#[utoipa::path(
    get,
    path = "/v1/connectors/{connector}/retries/{topic}/{partition}/{offset}",
    operation_id = "getRetry",
    tag = "retries",
    params(At),
    responses((status = 200, description = "The record", body = shapes::LogRecord), NotFound, Refused),
)]
pub(crate) async fn show(App(served): App, Path(at): Path<At>) -> Result<Response, Fault> {
    let (name, id) = at.parts();
    let batch = served.worker.deferred_record(&name, &id).await?;
    let mut line = Vec::new();
    batch.records().for_each(|record| write_record(&mut line, &record));
    Ok(([(CONTENT_TYPE, "application/json")], line).into_response())
}

/// The new value of a record: a text, null, or bytes as `{"base64": "…"}`.
#[derive(Deserialize, ToSchema)]
pub(crate) struct Edit {
    #[schema(value_type = Option<shapes::Payload>, required)]
    value: Value,
}

/// Changes the value of a record that waits.
#[utoipa::path(
    patch,
    path = "/v1/connectors/{connector}/retries/{topic}/{partition}/{offset}",
    operation_id = "editRetry",
    tag = "retries",
    params(At),
    request_body = Edit,
    responses((status = 200, description = "It is changed", body = Done), Invalid, NotFound, Refused),
)]
pub(crate) async fn edit(
    App(served): App,
    Path(at): Path<At>,
    JsonBody(edit): JsonBody<Edit>,
) -> Result<Json<Done>, Fault> {
    let (name, id) = at.parts();
    let value = match &edit.value {
        Value::Null => None,
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(bytes) if bytes.len() == 1 => {
            let text = bytes.get("base64").and_then(Value::as_str);
            Some(text.and_then(|text| STANDARD.decode(text).ok()).ok_or_else(no_value)?)
        }
        _ => return Err(no_value()),
    };
    served.worker.edit_deferred(&name, &id, value.as_deref()).await?;
    Ok(Json(Done { records: 1 }))
}

fn no_value() -> Fault {
    Fault::bad_request("value must be a text, null, or bytes as {\"base64\": \"…\"}")
}

/// Tries all records that wait, now.
#[utoipa::path(
    post,
    path = "/v1/connectors/{connector}/retries/retry",
    operation_id = "retryAll",
    tag = "retries",
    params(Named),
    responses((status = 200, description = "So many are tried", body = Done), NotFound, Refused),
)]
pub(crate) async fn retry_all(App(served): App, Path(Named { connector }): Path<Named>) -> Result<Json<Done>, Fault> {
    let records = served.worker.retry_deferred(&ConnectorName::new(connector), None).await?;
    Ok(Json(Done { records }))
}

/// Tries a record that waits, now.
#[utoipa::path(
    post,
    path = "/v1/connectors/{connector}/retries/{topic}/{partition}/{offset}/retry",
    operation_id = "retryOne",
    tag = "retries",
    params(At),
    responses((status = 200, description = "It is tried", body = Done), NotFound, Refused),
)]
pub(crate) async fn retry_one(App(served): App, Path(at): Path<At>) -> Result<Json<Done>, Fault> {
    let (name, id) = at.parts();
    let records = served.worker.retry_deferred(&name, Some(&id)).await?;
    Ok(Json(Done { records }))
}

/// Delivers the dead letters of a sink again.
#[utoipa::path(
    post,
    path = "/v1/connectors/{connector}/dead-letters/replay",
    operation_id = "replayDeadLetters",
    tag = "retries",
    params(Named),
    responses((status = 200, description = "What was found", body = shapes::Replayed), Invalid, NotFound, Refused),
)]
pub(crate) async fn replay_dead_letters(
    App(served): App,
    Path(Named { connector }): Path<Named>,
) -> Result<Json<Replayed>, Fault> {
    Ok(Json(served.worker.replay_dead_letters(&ConnectorName::new(connector)).await?))
}

/// Drops all records that wait.
#[utoipa::path(
    delete,
    path = "/v1/connectors/{connector}/retries",
    operation_id = "dropRetries",
    tag = "retries",
    params(Named),
    responses((status = 200, description = "So many are dropped", body = Done), NotFound, Refused),
)]
pub(crate) async fn drop_all(App(served): App, Path(Named { connector }): Path<Named>) -> Result<Json<Done>, Fault> {
    let records = served.worker.drop_deferred(&ConnectorName::new(connector), None).await?;
    Ok(Json(Done { records }))
}

/// Drops a record that waits.
#[utoipa::path(
    delete,
    path = "/v1/connectors/{connector}/retries/{topic}/{partition}/{offset}",
    operation_id = "dropRetry",
    tag = "retries",
    params(At),
    responses((status = 200, description = "It is dropped", body = Done), NotFound, Refused),
)]
pub(crate) async fn drop_one(App(served): App, Path(at): Path<At>) -> Result<Json<Done>, Fault> {
    let (name, id) = at.parts();
    let records = served.worker.drop_deferred(&name, Some(&id)).await?;
    Ok(Json(Done { records }))
}
