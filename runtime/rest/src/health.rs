//! Who the worker is and whether it lives: `/`, `/health`, `/livez`, `/readyz`.
//!
//! One bad connector makes no worker unready: its health is under `/v1/status`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::entities::{ServerInfo, WorkerStatus};
use crate::openapi::Refused;
use crate::server::{App, Stage};

/// The version of Connect's API that is spoken; clients choose their features by it.
const CONNECT_VERSION: &str = "4.3.1";

/// Says which version of Connect the worker speaks, and of which cluster it is.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "serverInfo",
    tag = "worker",
    responses((status = 200, description = "Who it is", body = ServerInfo), Refused),
)]
pub(crate) async fn server_info(App(served): App) -> Response {
    let commit = concat!("towpath-", env!("CARGO_PKG_VERSION"));
    Json(ServerInfo { version: CONNECT_VERSION, commit, kafka_cluster_id: &served.cluster_id }).into_response()
}

/// Says how the worker is, in the words of Connect.
#[utoipa::path(
    get,
    path = "/health",
    operation_id = "healthCheck",
    tag = "worker",
    responses(
        (status = 200, description = "It is healthy", body = WorkerStatus),
        (status = 500, description = "It is not", body = WorkerStatus),
        (status = 503, description = "It is starting", body = WorkerStatus),
        Refused,
    ),
)]
pub(crate) async fn health(State(stage): State<Stage>) -> Response {
    let (status, word, message) = match stage.served() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting", "Worker is still starting up.".to_owned()),
        Some(served) => match served.log.failure() {
            Some(reason) => (StatusCode::INTERNAL_SERVER_ERROR, "unhealthy", format!("The log has failed: {reason}")),
            None => {
                let message = "Worker has completed startup and is ready to handle requests.";
                (StatusCode::OK, "healthy", message.to_owned())
            }
        },
    };
    (status, Json(WorkerStatus { status: word, message })).into_response()
}

/// Answers while the process lives. Needs no login.
#[utoipa::path(
    get,
    path = "/livez",
    operation_id = "livez",
    tag = "worker",
    responses((status = 200, description = "It lives", body = String, content_type = "text/plain"), Refused),
)]
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// Answers whether the worker has read its state and its log takes records. Needs no login.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = "worker",
    responses(
        (status = 200, description = "It is ready", body = String, content_type = "text/plain"),
        (status = 503, description = "It is not, and why", body = String, content_type = "text/plain"),
        Refused,
    ),
)]
pub(crate) async fn readyz(State(stage): State<Stage>) -> Response {
    match stage.served() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Some(served) => match served.log.failure() {
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
            None => "ok\n".into_response(),
        },
    }
}
