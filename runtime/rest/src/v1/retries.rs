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

use crate::body::JsonBody;
use crate::connect::Parameters;
use crate::fault::Fault;
use crate::records::write_record;
use crate::server::App;

/// How many are listed unless `max` says otherwise.
const LISTED: usize = 1_000;

/// What waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deferred {
    /// The worker's time, in milliseconds since the epoch.
    pub now_ms: i64,
    /// How many wait.
    pub total: usize,
    /// The first of them.
    pub records: Vec<DeferredRecord>,
}

/// For how many records something was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// How many.
    pub records: usize,
}

/// Which record, in a path.
#[derive(Deserialize)]
pub(crate) struct At {
    connector: String,
    topic: String,
    partition: i32,
    offset: i64,
}

impl At {
    fn parts(self) -> (ConnectorName, RecordId) {
        let id = RecordId { topic: self.topic.into(), partition: self.partition, offset: self.offset };
        (ConnectorName::new(self.connector), id)
    }
}

/// `GET …/retries?max=`.
pub(crate) async fn list(
    App(served): App,
    Path(name): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Deferred>, Fault> {
    let max = query.iter().find(|(name, _)| name == "max").map_or(Ok(LISTED), |(_, max)| max.parse());
    let max = max.map_err(|_| Fault::bad_request("max must be a number of records"))?;
    let mut records = served.worker.deferred(&ConnectorName::new(name)).await?;
    let total = records.len();
    records.truncate(max);
    Ok(Json(Deferred { now_ms: served.clock.now_ms(), total, records }))
}

/// `GET …/retries/{topic}/{partition}/{offset}`: the record as `/v1/topics/{t}/records` shows records.
pub(crate) async fn show(App(served): App, Path(at): Path<At>) -> Result<Response, Fault> {
    let (name, id) = at.parts();
    let batch = served.worker.deferred_record(&name, &id).await?;
    let mut line = Vec::new();
    batch.records().for_each(|record| write_record(&mut line, &record));
    Ok(([(CONTENT_TYPE, "application/json")], line).into_response())
}

/// The new value of a record: a text, null, or bytes as `{"base64": "…"}`.
#[derive(Deserialize)]
pub(crate) struct Edit {
    value: Value,
}

/// `PATCH …/retries/{topic}/{partition}/{offset}`.
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

/// `POST …/retries/retry`.
pub(crate) async fn retry_all(App(served): App, Path(name): Path<String>) -> Result<Json<Done>, Fault> {
    let records = served.worker.retry_deferred(&ConnectorName::new(name), None).await?;
    Ok(Json(Done { records }))
}

/// `POST …/retries/{topic}/{partition}/{offset}/retry`.
pub(crate) async fn retry_one(App(served): App, Path(at): Path<At>) -> Result<Json<Done>, Fault> {
    let (name, id) = at.parts();
    let records = served.worker.retry_deferred(&name, Some(&id)).await?;
    Ok(Json(Done { records }))
}

/// `POST /v1/connectors/{c}/dead-letters/replay`.
pub(crate) async fn replay_dead_letters(App(served): App, Path(name): Path<String>) -> Result<Json<Replayed>, Fault> {
    Ok(Json(served.worker.replay_dead_letters(&ConnectorName::new(name)).await?))
}

/// `DELETE …/retries`.
pub(crate) async fn drop_all(App(served): App, Path(name): Path<String>) -> Result<Json<Done>, Fault> {
    let records = served.worker.drop_deferred(&ConnectorName::new(name), None).await?;
    Ok(Json(Done { records }))
}

/// `DELETE …/retries/{topic}/{partition}/{offset}`.
pub(crate) async fn drop_one(App(served): App, Path(at): Path<At>) -> Result<Json<Done>, Fault> {
    let (name, id) = at.parts();
    let records = served.worker.drop_deferred(&name, Some(&id)).await?;
    Ok(Json(Done { records }))
}
