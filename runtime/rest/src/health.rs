//! Who the worker is and whether it lives: `/`, `/health`, `/livez`, `/readyz`.
//!
//! One bad connector makes no worker unready: its health is under `/v1/status`.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::entities::{ServerInfo, WorkerStatus};
use crate::server::{App, Stage};

/// The version of Connect's API that is spoken; clients choose their features by it.
const CONNECT_VERSION: &str = "4.3.1";

/// `GET /`.
pub(crate) async fn server_info(App(served): App) -> Response {
    let commit = concat!("towpath-", env!("CARGO_PKG_VERSION"));
    Json(ServerInfo { version: CONNECT_VERSION, commit, kafka_cluster_id: &served.cluster_id }).into_response()
}

/// `GET /health`.
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

/// `GET /livez`.
pub(crate) async fn livez() -> &'static str {
    "ok\n"
}

/// `GET /readyz`.
pub(crate) async fn readyz(State(stage): State<Stage>) -> Response {
    match stage.served() {
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
        Some(served) => match served.log.failure() {
            Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
            None => "ok\n".into_response(),
        },
    }
}
