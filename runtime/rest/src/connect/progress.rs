//! How far a connector has come: its tasks, the topics that it has used, its offsets.

#![allow(clippy::unused_async, reason = "axum's handlers are async also where they do not wait")]

use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use towpath_model::{ConnectorName, TaskId};

use super::{connector, entries};
use crate::body::JsonBody;
use crate::entities::{
    ActiveTopics, AlterOffsetsRequest, ConnectorOffsets, Message, TaskInfo, TaskStateInfo, TopicNames,
};
use crate::fault::Fault;
use crate::openapi::{Invalid, Named, NotFound, OfTask, Refused};
use crate::server::App;

/// Lists the tasks with their configurations.
#[utoipa::path(
    get,
    path = "/connectors/{connector}/tasks",
    operation_id = "listTasks",
    tag = "tasks",
    params(Named),
    responses((status = 200, description = "The tasks in order", body = Vec<TaskInfo>), NotFound, Refused),
)]
pub(crate) async fn tasks(App(served): App, name: Path<Named>) -> Result<Json<Vec<TaskInfo>>, Fault> {
    let tasks = served.worker.task_configs(&connector(name))?;
    let described = tasks.into_iter().map(|(id, mut config)| {
        let class = config.get("connector.class").unwrap_or_default().to_owned();
        config.0.entry("task.class".to_owned()).or_insert(class);
        TaskInfo { id: (&id).into(), config: config.0 }
    });
    Ok(Json(described.collect()))
}

/// Shows the state of a task.
#[utoipa::path(
    get,
    path = "/connectors/{connector}/tasks/{task}/status",
    operation_id = "getTaskStatus",
    tag = "tasks",
    params(OfTask),
    responses((status = 200, description = "Its state", body = TaskStateInfo), NotFound, Refused),
)]
pub(crate) async fn task_status(App(served): App, ids: Path<OfTask>) -> Result<Json<TaskStateInfo>, Fault> {
    Ok(Json(served.worker.task_status(&task(ids)?)?.into()))
}

/// Restarts a task.
#[utoipa::path(
    post,
    path = "/connectors/{connector}/tasks/{task}/restart",
    operation_id = "restartTask",
    tag = "tasks",
    params(OfTask),
    responses((status = 204, description = "It starts anew"), NotFound, Refused),
)]
pub(crate) async fn restart_task(App(served): App, ids: Path<OfTask>) -> Result<StatusCode, Fault> {
    served.worker.restart_task(task(ids)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the topics that a connector has used. An unknown one has used none, as Connect answers.
#[utoipa::path(
    get,
    path = "/connectors/{connector}/topics",
    operation_id = "getConnectorActiveTopics",
    tag = "connectors",
    params(Named),
    responses(
        (status = 200, description = "The topics under the name of the connector", body = BTreeMap<String, TopicNames>),
        Refused,
    ),
)]
pub(crate) async fn topics(App(served): App, Path(Named { connector: name }): Path<Named>) -> Json<ActiveTopics> {
    let topics = served.worker.topics(&ConnectorName::new(name.as_str()));
    let topics = topics.iter().map(ToString::to_string).collect();
    Json(ActiveTopics::from_iter([(name, TopicNames { topics })]))
}

/// Forgets the topics that a connector has used. Of an unknown one there is nothing to forget, as Connect answers.
#[utoipa::path(
    put,
    path = "/connectors/{connector}/topics/reset",
    operation_id = "resetConnectorActiveTopics",
    tag = "connectors",
    params(Named),
    responses((status = 202, description = "They are forgotten"), Refused),
)]
pub(crate) async fn reset_topics(App(served): App, name: Path<Named>) -> Result<StatusCode, Fault> {
    served.worker.reset_topics(connector(name)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Shows how far a connector has come.
#[utoipa::path(
    get,
    path = "/connectors/{connector}/offsets",
    operation_id = "getOffsets",
    tag = "offsets",
    params(Named),
    responses((status = 200, description = "Its positions", body = ConnectorOffsets), NotFound, Refused),
)]
pub(crate) async fn offsets(App(served): App, name: Path<Named>) -> Result<Json<ConnectorOffsets>, Fault> {
    Ok(Json(served.worker.offsets(&connector(name))?.into()))
}

/// Alters positions of a stopped connector. A null as offset takes one away.
#[utoipa::path(
    patch,
    path = "/connectors/{connector}/offsets",
    operation_id = "alterConnectorOffsets",
    tag = "offsets",
    params(Named),
    request_body = AlterOffsetsRequest,
    responses((status = 200, description = "They are altered", body = Message), Invalid, NotFound, Refused),
)]
pub(crate) async fn alter_offsets(
    App(served): App,
    name: Path<Named>,
    JsonBody(request): JsonBody<AlterOffsetsRequest>,
) -> Result<Json<Message>, Fault> {
    let offsets = request.offsets.map(entries).unwrap_or_default();
    served.worker.alter_offsets(connector(name), &offsets).await?;
    Ok(Json(Message { message: "The offsets for this connector have been altered successfully" }))
}

/// Removes all positions of a stopped connector.
#[utoipa::path(
    delete,
    path = "/connectors/{connector}/offsets",
    operation_id = "resetConnectorOffsets",
    tag = "offsets",
    params(Named),
    responses((status = 200, description = "They are gone", body = Message), Invalid, NotFound, Refused),
)]
pub(crate) async fn reset_offsets(App(served): App, name: Path<Named>) -> Result<Json<Message>, Fault> {
    served.worker.reset_offsets(connector(name)).await?;
    Ok(Json(Message { message: "The offsets for this connector have been reset successfully" }))
}

fn task(Path(OfTask { connector, task }): Path<OfTask>) -> Result<TaskId, Fault> {
    let task = task.parse().map_err(|_| Fault::not_found("HTTP 404 Not Found"))?;
    Ok(TaskId { connector: ConnectorName::new(connector), task })
}
