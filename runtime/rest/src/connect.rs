//! Connect's `/connectors`: configurations, states, verbs, tasks, topics, offsets. Thin: the worker decides and words its refusals.

#![allow(clippy::unused_async, reason = "axum's handlers are async also where they do not wait")]

use axum::extract::{Path, Query};
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use indexmap::IndexMap;
use serde_json::Value;
use towpath_model::{Config, ConnectorName, TargetState};
use towpath_worker::{Initial, OffsetEntry};

use crate::body::{JsonBody, config_map, config_without_nulls};
use crate::entities::{Connector, ConnectorOffset, ConnectorStateInfo, CreateConnectorRequest};
use crate::fault::Fault;
use crate::openapi::{Conflict, Invalid, Named, NotFound, Refused, shapes};
use crate::server::{App, Scheme};

pub(crate) mod progress;

pub(crate) type Parameters = Query<Vec<(String, String)>>;

/// Lists the connectors.
#[utoipa::path(
    get,
    path = "/connectors",
    operation_id = "listConnectors",
    tag = "connectors",
    params(
        (
            "expand" = Option<Vec<String>>,
            Query,
            description = "`info` and `status`: what is known of each connector, by name, instead of the names",
        ),
    ),
    responses((status = 200, description = "The names; with `expand` an object", body = shapes::Listed), Refused),
)]
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

/// Creates a connector.
#[utoipa::path(
    post,
    path = "/connectors",
    operation_id = "createConnector",
    tag = "connectors",
    request_body = CreateConnectorRequest,
    responses((status = 201, description = "It is kept and starts", body = Connector), Invalid, Conflict, Refused),
)]
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

/// Shows a connector with its configuration and its tasks.
#[utoipa::path(
    get,
    path = "/connectors/{connector}",
    operation_id = "getConnector",
    tag = "connectors",
    params(Named),
    responses((status = 200, description = "Its configuration and tasks", body = Connector), NotFound, Refused),
)]
pub(crate) async fn info(App(served): App, name: Path<Named>) -> Result<Json<Connector>, Fault> {
    Ok(Json(served.worker.connector(&connector(name))?.into()))
}

/// Deletes a connector. Its offsets stay.
#[utoipa::path(
    delete,
    path = "/connectors/{connector}",
    operation_id = "deleteConnector",
    tag = "connectors",
    params(Named),
    responses((status = 204, description = "It ends"), NotFound, Refused),
)]
pub(crate) async fn delete(App(served): App, name: Path<Named>) -> Result<StatusCode, Fault> {
    served.worker.delete(connector(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows the configuration. Secrets are hidden.
#[utoipa::path(
    get,
    path = "/connectors/{connector}/config",
    operation_id = "getConnectorConfig",
    tag = "connectors",
    params(Named),
    responses((status = 200, description = "Keys and values", body = BTreeMap<String, String>), NotFound, Refused),
)]
pub(crate) async fn config(App(served): App, name: Path<Named>) -> Result<Json<Config>, Fault> {
    Ok(Json(served.worker.connector(&connector(name))?.config))
}

/// Sets the whole configuration, or creates the connector.
#[utoipa::path(
    put,
    path = "/connectors/{connector}/config",
    operation_id = "putConnectorConfig",
    tag = "connectors",
    params(Named),
    request_body(content = shapes::Settings, description = "Keys and values"),
    responses(
        (status = 200, description = "It goes on with the new configuration", body = Connector),
        (status = 201, description = "It is new", body = Connector),
        Invalid,
        Refused,
    ),
)]
pub(crate) async fn put_config(
    App(served): App,
    Extension(scheme): Extension<Scheme>,
    headers: HeaderMap,
    Path(Named { connector: name }): Path<Named>,
    JsonBody(config): JsonBody<Value>,
) -> Result<Response, Fault> {
    let config = named(Config(config_without_nulls(config)?), &name);
    refuse_paths(&config)?;
    let put = served.worker.put_config(ConnectorName::new(name.as_str()), config).await?;
    let connector = Connector::from(put.connector);
    Ok(if put.created { created(scheme, &headers, &name, connector) } else { Json(connector).into_response() })
}

/// Changes single keys of the configuration.
#[utoipa::path(
    patch,
    path = "/connectors/{connector}/config",
    operation_id = "patchConnectorConfig",
    tag = "connectors",
    params(Named),
    request_body(content = shapes::Settings, description = "Keys to set; null takes a key away"),
    responses(
        (status = 200, description = "It goes on with the new configuration", body = Connector),
        Invalid,
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn patch_config(
    App(served): App,
    name: Path<Named>,
    JsonBody(patch): JsonBody<Value>,
) -> Result<Json<Connector>, Fault> {
    let patch = config_map(patch)?;
    let set = patch.iter().filter_map(|(key, value)| Some((key.as_str(), value.as_deref()?)));
    refuse_paths(&set.collect())?;
    let patched = served.worker.patch_config(connector(name), patch).await?;
    Ok(Json(patched.into()))
}

/// Shows the states of a connector and of its tasks.
#[utoipa::path(
    get,
    path = "/connectors/{connector}/status",
    operation_id = "getConnectorStatus",
    tag = "connectors",
    params(Named),
    responses((status = 200, description = "States", body = ConnectorStateInfo), NotFound, Refused),
)]
pub(crate) async fn status(App(served): App, name: Path<Named>) -> Result<Json<ConnectorStateInfo>, Fault> {
    Ok(Json(served.worker.status(&connector(name))?.into()))
}

/// Restarts a connector, and its tasks where asked to.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/restart",
    operation_id = "restartConnector",
    tag = "connectors",
    params(
        Named,
        ("includeTasks" = Option<bool>, Query, description = "Its tasks too; false unless given"),
        ("onlyFailed" = Option<bool>, Query, description = "Only what has failed; false unless given"),
    ),
    responses(
        (status = 202, description = "With either parameter: what is restarted", body = ConnectorStateInfo),
        (status = 204, description = "The connector alone is restarted"),
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn restart(App(served): App, name: Path<Named>, query: Parameters) -> Result<Response, Fault> {
    let include_tasks = flag(&query, "includeTasks", false);
    let only_failed = flag(&query, "onlyFailed", false);
    let planned = served.worker.restart(connector(name), include_tasks, only_failed).await?;
    if include_tasks || only_failed {
        Ok((StatusCode::ACCEPTED, Json(ConnectorStateInfo::from(planned))).into_response())
    } else {
        Ok(StatusCode::NO_CONTENT.into_response())
    }
}

/// Pauses a connector: its tasks keep what they hold and move nothing.
#[utoipa::path(
    put,
    path = "/connectors/{connector}/pause",
    operation_id = "pauseConnector",
    tag = "connectors",
    params(Named),
    responses((status = 202, description = "It pauses"), NotFound, Refused),
)]
pub(crate) async fn pause(App(served): App, name: Path<Named>) -> Result<StatusCode, Fault> {
    served.worker.pause(connector(name)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Resumes a connector that is paused or stopped.
#[utoipa::path(
    put,
    path = "/connectors/{connector}/resume",
    operation_id = "resumeConnector",
    tag = "connectors",
    params(Named),
    responses((status = 202, description = "It goes on"), NotFound, Refused),
)]
pub(crate) async fn resume(App(served): App, name: Path<Named>) -> Result<StatusCode, Fault> {
    served.worker.resume(connector(name)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Stops a connector: its tasks end, and its offsets can be changed.
#[utoipa::path(
    put,
    path = "/connectors/{connector}/stop",
    operation_id = "stopConnector",
    tag = "connectors",
    params(Named),
    responses((status = 204, description = "It stops"), NotFound, Refused),
)]
pub(crate) async fn stop(App(served): App, name: Path<Named>) -> Result<StatusCode, Fault> {
    served.worker.stop(connector(name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn entries(offsets: Vec<ConnectorOffset>) -> Vec<OffsetEntry> {
    offsets.into_iter().map(OffsetEntry::from).collect()
}

/// The value of a query parameter as a boolean: `true` in any case, or else false.
pub(crate) fn flag(query: &Parameters, key: &str, default: bool) -> bool {
    query.iter().rfind(|(name, _)| name == key).map_or(default, |(_, value)| value.eq_ignore_ascii_case("true"))
}

fn connector(Path(Named { connector }): Path<Named>) -> ConnectorName {
    ConnectorName::new(connector)
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
