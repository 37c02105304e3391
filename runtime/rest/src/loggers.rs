//! Connect's `/admin/loggers`: what is logged, looked at and changed while the worker runs. `cli`, which owns the logs, answers.

#![allow(clippy::unused_async, reason = "axum's handlers are async also where they do not wait")]

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::body::JsonBody;
use crate::connect::Parameters;
use crate::fault::Fault;
use crate::openapi::{Invalid, NotFound, Refused, shapes};
use crate::server::App;

/// How much a logger says, in log4j's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// Nothing.
    Off,
    /// What we log as errors: there is nothing above.
    Fatal,
    /// Errors.
    Error,
    /// And warnings.
    Warn,
    /// And what operators want to know.
    Info,
    /// And what developers want to know.
    Debug,
    /// And every step.
    Trace,
    /// Everything.
    All,
}

impl Level {
    /// The level of this name, in any case.
    pub fn find(name: &str) -> Option<Self> {
        let all = [Self::Off, Self::Fatal, Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace, Self::All];
        all.into_iter().find(|level| format!("{level:?}").eq_ignore_ascii_case(name))
    }
}

/// A logger's level and, where it was changed, when: milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct LoggerLevel {
    /// The level.
    pub level: Level,
    /// When it was changed.
    pub last_modified: Option<i64>,
}

/// What is logged. A logger is `root`, a part of the program such as `towpath_worker`, or `connector.NAME`.
pub trait Loggers: Send + Sync {
    /// All loggers that are known, by name.
    fn all(&self) -> IndexMap<String, LoggerLevel>;
    /// Sets the level of a logger and of those below it; answers with the names of those that had another, sorted.
    fn set(&self, logger: &str, level: Level, now_ms: i64) -> Vec<String>;
}

/// Lists the loggers.
#[utoipa::path(
    get,
    path = "/admin/loggers",
    operation_id = "listLoggers",
    tag = "loggers",
    responses((status = 200, description = "Levels by name", body = BTreeMap<String, LoggerLevel>), Refused),
)]
pub(crate) async fn list(App(served): App) -> Json<IndexMap<String, LoggerLevel>> {
    Json(served.loggers.all())
}

/// Shows the level of a logger.
#[utoipa::path(
    get,
    path = "/admin/loggers/{logger}",
    operation_id = "getLogger",
    tag = "loggers",
    params(
        (
            "logger" = String,
            Path,
            description = "`root`, a part of the program such as `towpath_worker`, or `connector.NAME`",
        ),
    ),
    responses((status = 200, description = "Its level", body = LoggerLevel), NotFound, Refused),
)]
pub(crate) async fn level(App(served): App, Path(name): Path<String>) -> Result<Json<LoggerLevel>, Fault> {
    let found = served.loggers.all().get(&name).copied();
    found.map(Json).ok_or_else(|| Fault::not_found(format!("Logger {name} not found.")))
}

/// Sets the level of a logger and of those below it. Of one worker, the cluster is the same, and only the answer differs.
#[utoipa::path(
    put,
    path = "/admin/loggers/{logger}",
    operation_id = "setLevel",
    tag = "loggers",
    params(
        (
            "logger" = String,
            Path,
            description = "`root`, a part of the program such as `towpath_worker`, or `connector.NAME`",
        ),
        ("scope" = Option<String>, Query, description = "`cluster` or `worker`; of one worker both do the same"),
    ),
    request_body = shapes::SetLevel,
    responses(
        (status = 200, description = "The loggers that had another level", body = Vec<String>),
        (status = 204, description = "With the scope `cluster`"),
        Invalid,
        NotFound,
        Refused,
    ),
)]
pub(crate) async fn set(
    App(served): App,
    Path(name): Path<String>,
    query: Parameters,
    JsonBody(body): JsonBody<Value>,
) -> Result<Response, Fault> {
    let wanted = match body.get("level") {
        Some(Value::String(level)) => level,
        _ => return Err(Fault::bad_request("Desired 'level' parameter was not specified in request.")),
    };
    let level = Level::find(wanted).ok_or_else(|| Fault::not_found(format!("invalid log level '{wanted}'.")))?;
    let changed = served.loggers.set(&name, level, served.clock.now_ms());
    let of_cluster = query.iter().any(|(key, scope)| key == "scope" && scope.eq_ignore_ascii_case("cluster"));
    Ok(if of_cluster { StatusCode::NO_CONTENT.into_response() } else { Json(changed).into_response() })
}
