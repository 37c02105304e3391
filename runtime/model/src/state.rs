//! What the user wants, and what is: two different types. The reported states are Kafka Connect's closed set.

use serde::{Deserialize, Serialize};

/// What the user wants of a connector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TargetState {
    /// Tasks run.
    #[default]
    Started,
    /// Tasks keep their resources and move nothing.
    Paused,
    /// No tasks.
    Stopped,
}

/// The reported state of a connector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ConnectorState {
    /// Not started yet.
    Unassigned,
    /// Started.
    Running,
    /// Paused by the user.
    Paused,
    /// Stopped by the user.
    Stopped,
    /// It could not be planned or started.
    Failed,
    /// Between an end and a new start.
    Restarting,
}

/// The reported state of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TaskState {
    /// Not started yet.
    Unassigned,
    /// Started.
    Running,
    /// Paused by the user.
    Paused,
    /// Ended by an error.
    Failed,
    /// Between an end and a new start.
    Restarting,
}

/// Whether data moves, derived from progress and not from the mere existence of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthLevel {
    /// Data moves, or there is none to move.
    Ok,
    /// Data moves with retries, refused records or a rejected change of configuration.
    Degraded,
    /// There is data and it does not move.
    Stalled,
    /// A task or the connector has failed.
    Failed,
}

/// Health with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// How well it is.
    pub level: HealthLevel,
    /// Why, in a sentence; empty when all is well.
    pub reason: String,
    /// Since when, in milliseconds since the epoch.
    pub since_ms: i64,
}
