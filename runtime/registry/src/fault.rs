//! What a client is told when a request is not fulfilled: Confluent's error body, `{"error_code", "message"}`, with its codes and texts.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use towpath_http::Refusal;

use crate::api::Answer;

/// An answer that is not a success. Codes of five digits begin with their HTTP status.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Fault {
    pub(crate) code: u32,
    pub(crate) message: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error_code: u32,
    message: &'a str,
}

impl Fault {
    fn new(code: u32, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// A refusal by routing, worded as Confluent's server words it: `HTTP 404 Not Found`.
    pub(crate) fn http(status: StatusCode) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        Self::new(status.as_u16().into(), format!("HTTP {} {reason}", status.as_u16()))
    }

    /// The body or a parameter is not what is expected.
    pub(crate) fn unreadable(reason: impl Into<String>) -> Self {
        Self::new(422, reason)
    }

    pub(crate) fn too_large(limit: usize) -> Self {
        Self::new(413, format!("The request body is larger than the limit of {limit} bytes"))
    }

    pub(crate) fn subject_not_found(subject: &str) -> Self {
        Self::new(40401, format!("Subject '{subject}' not found."))
    }

    pub(crate) fn version_not_found(version: impl std::fmt::Display) -> Self {
        Self::new(40402, format!("Version {version} not found."))
    }

    pub(crate) fn schema_not_found() -> Self {
        Self::new(40403, "Schema not found")
    }

    pub(crate) fn id_not_found(id: i32) -> Self {
        Self::new(40403, format!("Schema {id} not found"))
    }

    pub(crate) fn subject_soft_deleted(subject: &str) -> Self {
        Self::new(40404, format!("Subject '{subject}' was soft deleted.Set permanent=true to delete permanently"))
    }

    pub(crate) fn subject_not_soft_deleted(subject: &str) -> Self {
        Self::new(40405, format!("Subject '{subject}' was not deleted first before being permanently deleted"))
    }

    pub(crate) fn version_soft_deleted(subject: &str, version: i32) -> Self {
        let what = format!("Subject '{subject}' Version {version} was soft deleted.");
        Self::new(40406, format!("{what}Set permanent=true to delete permanently"))
    }

    pub(crate) fn version_not_soft_deleted(subject: &str, version: i32) -> Self {
        let what = format!("Subject '{subject}' Version {version}");
        Self::new(40407, format!("{what} was not deleted first before being permanently deleted"))
    }

    pub(crate) fn level_not_configured(subject: &str) -> Self {
        let what = "subject-level compatibility configured";
        Self::new(40408, format!("Subject '{subject}' does not have {what}"))
    }

    pub(crate) fn mode_not_configured(subject: &str) -> Self {
        Self::new(40409, format!("Subject '{subject}' does not have subject-level mode configured"))
    }

    pub(crate) fn incompatible(subject: &str, messages: &[String]) -> Self {
        let what = "Schema being registered is incompatible with an earlier schema for subject";
        Self::new(40901, format!("{what} \"{subject}\", details: [{}]", messages.join(", ")))
    }

    pub(crate) fn invalid_schema(reason: impl Into<String>) -> Self {
        Self::new(42201, reason)
    }

    pub(crate) fn invalid_version(version: &str) -> Self {
        let allowed = "Allowed values are between [1, 2^31-1] and the string \"latest\"";
        Self::new(42202, format!("The specified version '{version}' is not a valid version id. {allowed}"))
    }

    pub(crate) fn invalid_level() -> Self {
        let levels = "none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive";
        Self::new(42203, format!("Invalid compatibility level. Valid values are {levels}"))
    }

    pub(crate) fn invalid_mode() -> Self {
        Self::new(42204, "Invalid mode. Valid values are READWRITE, READONLY, and IMPORT")
    }

    pub(crate) fn not_permitted(reason: impl Into<String>) -> Self {
        Self::new(42205, reason)
    }

    pub(crate) fn referenced(subject: &str, version: i32) -> Self {
        let key = format!("{{magic=1,keytype=SCHEMA,subject={subject},version={version}}}");
        Self::new(42206, format!("One or more references exist to the schema {key}."))
    }

    pub(crate) fn invalid_subject(subject: &str) -> Self {
        Self::new(42208, format!("The specified subject '{subject}' is not a valid."))
    }

    pub(crate) fn store(error: &towpath_log::Error) -> Self {
        Self::new(50001, format!("Error while writing to the log: {error}"))
    }

    fn status(&self) -> StatusCode {
        let status = if self.code >= 1000 { self.code / 100 } else { self.code };
        u16::try_from(status).ok().and_then(|status| StatusCode::from_u16(status).ok()).unwrap_or_default()
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::new(refusal.status().as_u16().into(), refusal.to_string())
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        // Clients know an incompatible schema by the bare status.
        let error_code = if self.code == 40901 { 409 } else { self.code };
        let body = Body { error_code, message: &self.message };
        (self.status(), Answer(body)).into_response()
    }
}
