//! Connect's `/connector-plugins`: what there is, its keys, and checking a configuration without keeping it.

#![allow(clippy::unused_async, reason = "axum's handlers are async also where they do not wait")]

use axum::Json;
use axum::extract::{Path, Query};
use serde_json::Value;
use towpath_model::Config;

use crate::body::{JsonBody, config_without_nulls};
use crate::connect::{Parameters, flag, refuse_paths};
use crate::entities::{ConfigInfos, ConfigKeyInfo, Plugin};
use crate::fault::Fault;
use crate::openapi::{Invalid, NotFound, Refused, shapes};
use crate::server::App;

/// Lists the plugins.
#[utoipa::path(
    get,
    path = "/connector-plugins",
    operation_id = "listConnectorPlugins",
    tag = "plugins",
    params(("connectorsOnly" = Option<bool>, Query, description = "Only sources and sinks; true unless given")),
    responses((status = 200, description = "The plugins", body = Vec<Plugin>), Refused),
)]
pub(crate) async fn list(App(served): App, query: Parameters) -> Json<Vec<Plugin>> {
    let connectors_only = flag(&query, "connectorsOnly", true);
    Json(served.worker.plugins(connectors_only).into_iter().map(Plugin::from).collect())
}

/// Lists the keys that a plugin knows.
#[utoipa::path(
    get,
    path = "/connector-plugins/{plugin}/config",
    operation_id = "getConnectorConfigDef",
    tag = "plugins",
    params(
        ("plugin" = String, Path, description = "Its class"),
        ("version" = Option<String>, Query, description = "One of its versions; the latest unless given"),
    ),
    responses((status = 200, description = "The keys", body = Vec<ConfigKeyInfo>), Invalid, NotFound, Refused),
)]
pub(crate) async fn keys(
    App(served): App,
    Path(plugin): Path<String>,
    Query(query): Parameters,
) -> Result<Json<Vec<ConfigKeyInfo>>, Fault> {
    refuse_file(&plugin)?;
    let version = query.iter().find(|(key, _)| key == "version").map(|(_, value)| value.as_str());
    let class = match version {
        None | Some("latest" | "") => plugin,
        Some(version) => versioned(&served.worker, &plugin, version)?,
    };
    Ok(Json(served.worker.plugin_keys(&class)?.into_iter().map(ConfigKeyInfo::from).collect()))
}

/// Checks a configuration without keeping it.
#[utoipa::path(
    put,
    path = "/connector-plugins/{plugin}/config/validate",
    operation_id = "validateConfigs",
    tag = "plugins",
    params(("plugin" = String, Path, description = "Its class")),
    request_body(content = shapes::Settings, description = "Keys and values"),
    responses(
        (status = 200, description = "Every key with its faults", body = ConfigInfos),
        Invalid,
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn validate(
    App(served): App,
    Path(plugin): Path<String>,
    JsonBody(config): JsonBody<Value>,
) -> Result<Json<ConfigInfos>, Fault> {
    let config = Config(config_without_nulls(config)?);
    refuse_paths(&config)?;
    refuse_file(&plugin)?;
    Ok(Json(served.worker.validate(&plugin, config).await?.into()))
}

/// Files of this machine are no plugins that a client could name.
fn refuse_file(plugin: &str) -> Result<(), Fault> {
    if plugin.ends_with(".wasm") { Err(Fault::not_found(format!("Unknown plugin {plugin}."))) } else { Ok(()) }
}

/// The class of exactly this version.
fn versioned(worker: &towpath_worker::Handle, plugin: &str, version: &str) -> Result<String, Fault> {
    let plain = version.trim_start_matches(['=', '[']).trim_end_matches(']');
    let is_version = !plain.is_empty() && plain.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_digit()));
    if !is_version {
        return Err(Fault::bad_request(format!("Invalid version specification: {version}")));
    }
    let of_name: Vec<String> = worker
        .plugins(true)
        .into_iter()
        .filter(|found| found.class == plugin)
        .filter_map(|found| found.version)
        .collect();
    if of_name.is_empty() {
        return Err(Fault::not_found(format!("Unknown plugin {plugin}.")));
    }
    if of_name.iter().any(|found| found == plain) {
        return Ok(format!("{plugin}@{plain}"));
    }
    Err(Fault::bad_request(format!(
        "Plugin {plugin} not found that matches the version range [{version}], available versions: [{}]",
        of_name.join(", ")
    )))
}
