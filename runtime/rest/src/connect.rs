//! Connect's `/connectors`: configurations, states, verbs, tasks, topics, offsets. Thin: the worker decides and words its refusals.

#![allow(clippy::unused_async, reason = "axum's handlers are async also where they do not wait")]

use std::sync::Arc;

use axum::extract::{Path, Query};
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use indexmap::IndexMap;
use serde_json::Value;
use towpath_model::{Config, ConnectorName, TargetState, TaskId};
use towpath_worker::{Initial, OffsetEntry};

use crate::body::{JsonBody, config_map, config_without_nulls};
use crate::entities::{
    ActiveTopics, AlterOffsetsRequest, Connector, ConnectorOffset, ConnectorOffsets, ConnectorStateInfo,
    CreateConnectorRequest, Message, TaskInfo, TaskStateInfo, TopicNames,
};
use crate::fault::Fault;
use crate::server::{App, Scheme, Served};

pub(crate) type Parameters = Query<Vec<(String, String)>>;

/// `GET /connectors`.
pub(crate) async fn list(App(served): App, Query(query): Parameters) -> Response {
    let expand: Vec<&str> = query.iter().filter(|(key, _)| key == "expand").map(|(_, value)| value.as_str()).collect();
    if expand.is_empty() {
        return Json(served.worker.connectors()).into_response();
    }
    let mut expanded = IndexMap::new();
    for name in served.worker.connectors() {
        let mut entry = serde_json::Map::new();
        // A connector deleted meanwhile simply has nothing to show.
        if expand.contains(&"info")
            && let Ok(info) = served.worker.connector(&name)
        {
            entry.insert("info".to_owned(), as_value(Connector::from(info)));
        }
        if expand.contains(&"status")
            && let Ok(status) = served.worker.status(&name)
        {
            entry.insert("status".to_owned(), as_value(ConnectorStateInfo::from(status)));
        }
        expanded.insert(name, entry);
    }
    Json(expanded).into_response()
}

/// `POST /connectors`.
pub(crate) async fn create(
    App(served): App,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<CreateConnectorRequest>,
) -> Result<Response, Fault> {
    let name = request.name.unwrap_or_default().trim().to_owned();
    let initial = initial_state(request.initial_state.as_deref())?;
    let config = request.config.filter(|config| !config.is_null());
    let config =
        config.ok_or_else(|| Fault::bad_request("The request body lacks the field config: a map of settings"))?;
    let config = named(Config(config_without_nulls(config)?), &name);
    refuse_paths(&config)?;
    let initial = Initial { state: initial, offsets: request.initial_offsets.map(entries).unwrap_or_default() };
    let connector = served.worker.create(ConnectorName::new(name.as_str()), config, initial).await?;
    Ok(created(scheme, &headers, &name, Connector::from(connector)))
}

/// `GET /connectors/{c}`.
pub(crate) async fn info(App(served): App, name: Path<String>) -> Result<Json<Connector>, Fault> {
    Ok(Json(served.worker.connector(&connector(name))?.into()))
}

/// `DELETE /connectors/{c}`.
pub(crate) async fn delete(App(served): App, name: Path<String>) -> Result<StatusCode, Fault> {
    served.worker.delete(connector(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /connectors/{c}/config`.
pub(crate) async fn config(App(served): App, name: Path<String>) -> Result<Json<Config>, Fault> {
    Ok(Json(served.worker.connector(&connector(name))?.config))
}

/// `PUT /connectors/{c}/config`.
pub(crate) async fn put_config(
    App(served): App,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Path(name): Path<String>,
    JsonBody(config): JsonBody<Value>,
) -> Result<Response, Fault> {
    let config = named(Config(config_without_nulls(config)?), &name);
    refuse_paths(&config)?;
    let put = served.worker.put_config(ConnectorName::new(name.as_str()), config).await?;
    let connector = Connector::from(put.connector);
    Ok(if put.created { created(scheme, &headers, &name, connector) } else { Json(connector).into_response() })
}

/// `PATCH /connectors/{c}/config`.
pub(crate) async fn patch_config(
    App(served): App,
    name: Path<String>,
    JsonBody(patch): JsonBody<Value>,
) -> Result<Json<Connector>, Fault> {
    let patch = config_map(patch)?;
    let set = patch.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
    refuse_paths(&set.collect())?;
    let patched = served.worker.patch_config(connector(name), patch).await?;
    Ok(Json(patched.into()))
}

/// `GET /connectors/{c}/status`.
pub(crate) async fn status(App(served): App, name: Path<String>) -> Result<Json<ConnectorStateInfo>, Fault> {
    Ok(Json(served.worker.status(&connector(name))?.into()))
}

/// `POST /connectors/{c}/restart`.
pub(crate) async fn restart(App(served): App, name: Path<String>, query: Parameters) -> Result<Response, Fault> {
    let include_tasks = flag(&query, "includeTasks", false);
    let only_failed = flag(&query, "onlyFailed", false);
    let planned = served.worker.restart(connector(name), include_tasks, only_failed).await?;
    if include_tasks || only_failed {
        Ok((StatusCode::ACCEPTED, Json(ConnectorStateInfo::from(planned))).into_response())
    } else {
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}

/// `PUT /connectors/{c}/pause`.
pub(crate) async fn pause(App(served): App, name: Path<String>) -> Result<StatusCode, Fault> {
    served.worker.pause(connector(name)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `PUT /connectors/{c}/resume`.
pub(crate) async fn resume(App(served): App, name: Path<String>) -> Result<StatusCode, Fault> {
    served.worker.resume(connector(name)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `PUT /connectors/{c}/stop`.
pub(crate) async fn stop(App(served): App, name: Path<String>) -> Result<StatusCode, Fault> {
    served.worker.stop(connector(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /connectors/{c}/tasks`.
pub(crate) async fn tasks(App(served): App, name: Path<String>) -> Result<Json<Vec<TaskInfo>>, Fault> {
    let tasks = served.worker.task_configs(&connector(name))?;
    let described = tasks.into_iter().map(|(id, mut config)| {
        let class = config.get("connector.class").unwrap_or_default().to_owned();
        config.0.entry("task.class".to_owned()).or_insert(class);
        TaskInfo { id: (&id).into(), config: config.0 }
    });
    Ok(Json(described.collect()))
}

/// `GET /connectors/{c}/tasks/{n}/status`.
pub(crate) async fn task_status(App(served): App, ids: Path<(String, String)>) -> Result<Json<TaskStateInfo>, Fault> {
    Ok(Json(served.worker.task_status(&task(ids)?)?.into()))
}

/// `POST /connectors/{c}/tasks/{n}/restart`.
pub(crate) async fn restart_task(App(served): App, ids: Path<(String, String)>) -> Result<StatusCode, Fault> {
    served.worker.restart_task(task(ids)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /connectors/{c}/topics`: an unknown connector has used none, as Connect answers.
pub(crate) async fn topics(App(served): App, Path(name): Path<String>) -> Json<ActiveTopics> {
    let topics = served.worker.topics(&ConnectorName::new(name.as_str()));
    let topics = topics.iter().map(ToString::to_string).collect();
    Json(ActiveTopics::from_iter([(name, TopicNames { topics })]))
}

/// `PUT /connectors/{c}/topics/reset`: nothing is left to forget of an unknown connector, as Connect answers.
pub(crate) async fn reset_topics(App(served): App, name: Path<String>) -> Result<StatusCode, Fault> {
    served.worker.reset_topics(connector(name)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// `GET /connectors/{c}/offsets`.
pub(crate) async fn offsets(App(served): App, name: Path<String>) -> Result<Json<ConnectorOffsets>, Fault> {
    Ok(Json(offsets_of(&served, &connector(name))?))
}

/// `PATCH /connectors/{c}/offsets`.
pub(crate) async fn alter_offsets(
    App(served): App,
    name: Path<String>,
    JsonBody(request): JsonBody<AlterOffsetsRequest>,
) -> Result<Json<Message>, Fault> {
    let offsets = request.offsets.map(entries).unwrap_or_default();
    served.worker.alter_offsets(connector(name), &offsets).await?;
    Ok(Json(Message { message: "The offsets for this connector have been altered successfully" }))
}

/// `DELETE /connectors/{c}/offsets`.
pub(crate) async fn reset_offsets(App(served): App, name: Path<String>) -> Result<Json<Message>, Fault> {
    served.worker.reset_offsets(connector(name)).await?;
    Ok(Json(Message { message: "The offsets for this connector have been reset successfully" }))
}

fn entries(offsets: Vec<ConnectorOffset>) -> Vec<OffsetEntry> {
    offsets.into_iter().map(OffsetEntry::from).collect()
}

fn offsets_of(served: &Arc<Served>, name: &ConnectorName) -> Result<ConnectorOffsets, Fault> {
    Ok(served.worker.offsets(name)?.into())
}

/// The value of a query parameter as a boolean: `true` in any case, or else false.
pub(crate) fn flag(query: &Parameters, key: &str, default: bool) -> bool {
    query.iter().rfind(|(name, _)| name == key).map_or(default, |(_, value)| value.eq_ignore_ascii_case("true"))
}

fn connector(Path(name): Path<String>) -> ConnectorName {
    ConnectorName::new(name.as_str())
}

fn task(Path((name, task)): Path<(String, String)>) -> Result<TaskId, Fault> {
    let task = task.parse().map_err(|_| Fault::not_found("HTTP 404 Not Found"))?;
    Ok(TaskId { connector: ConnectorName::new(name.as_str()), task })
}

/// The configuration with the connector's name in it, as Connect stores it.
fn named(mut config: Config, name: &str) -> Config {
    config.0.entry("name".to_owned()).or_insert_with(|| name.to_owned());
    config
}

/// A file of this machine can be named as a class or transform in the operator's own folder, never by a client.
pub(crate) fn refuse_paths(config: &Config) -> Result<(), Fault> {
    let is_class = |key: &str| key == "connector.class" || key.starts_with("transforms.") && key.ends_with(".type");
    match config.iter().find(|(key, value)| is_class(key) && value.ends_with(".wasm")) {
        None => Ok(()),
        Some((key, value)) => Err(Fault::bad_request(format!(
            "Invalid value {value} for configuration {key}: a .wasm file can be named in files of the folder only; here name the plugin"
        ))),
    }
}

fn initial_state(word: Option<&str>) -> Result<TargetState, Fault> {
    match word.map(str::to_ascii_uppercase).as_deref() {
        None | Some("RUNNING") => Ok(TargetState::Started),
        Some("PAUSED") => Ok(TargetState::Paused),
        Some("STOPPED") => Ok(TargetState::Stopped),
        Some(_) => Err(Fault::bad_request(format!(
            "The field initial_state is {:?}, but must be one of RUNNING, PAUSED, STOPPED",
            word.unwrap_or_default()
        ))),
    }
}

/// 201 with the absolute URL of the new connector, at the host that the client used.
fn created(scheme: Scheme, headers: &HeaderMap, name: &str, connector: Connector) -> Response {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or("localhost");
    let location = format!("{}://{host}/connectors/{}", scheme.0, percent_encoded(name));
    (StatusCode::CREATED, [(LOCATION, location)], Json(connector)).into_response()
}

/// A name as a segment of a path.
pub fn percent_encoded(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

fn as_value(entity: impl serde::Serialize) -> Value {
    serde_json::to_value(entity).unwrap_or(Value::Null)
}
