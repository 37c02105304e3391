//! Why a task ended although it was not told to, and whether starting it again by itself could help.

use towpath_model::{Coded, ConnectorError, Kind, Redactor};

use crate::errors::Stage;

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: String,
    /// A sentence.
    pub(crate) message: String,
    /// A backtrace or other detail.
    pub(crate) detail: Option<String>,
    /// Whether the supervisor starts the task again. Poison records, fatal errors and faulty configurations stay as they
    /// are until a person has done something about them.
    pub(crate) restart: bool,
}

impl Failure {
    /// The configuration is at fault.
    pub(crate) fn config(key: &str, reason: &str) -> Self {
        Self { code: "worker.invalid_config".into(), message: format!("{key}: {reason}"), detail: None, restart: false }
    }

    /// A converter or transform cannot be made.
    pub(crate) fn conversion(error: &towpath_convert::Error) -> Self {
        Self { code: error.code.to_owned(), message: error.to_string(), detail: None, restart: false }
    }

    /// A call into the connector failed for good.
    pub(crate) fn call(doing: &str, error: &ConnectorError, redactor: &Redactor) -> Self {
        let detail = match error {
            ConnectorError::Fatal { trace: Some(trace), .. } => Some(redactor.redact(trace).into_owned()),
            _ => None,
        };
        Self {
            code: error.code().to_owned(),
            message: format!("{doing} failed: {}", redactor.redact(&error.to_string())),
            detail,
            // Retries that are used up may well succeed some other time.
            restart: error.kind() == Kind::Retry,
        }
    }

    /// The connector wants what no connector may.
    pub(crate) fn forbidden(code: &str, message: String) -> Self {
        Self { code: code.to_owned(), message, detail: None, restart: false }
    }

    /// The log refused.
    pub(crate) fn log(doing: &str, error: &towpath_log::Error) -> Self {
        let restart =
            matches!(error.kind(), Kind::Retry | Kind::Fail) || matches!(error, towpath_log::Error::UnknownTopic(_));
        Self { code: error.code().to_owned(), message: format!("{doing} failed: {error}"), detail: None, restart }
    }

    /// A record was refused and the rules say that this ends the task.
    pub(crate) fn poison(refusal: &Refusal<'_>, redactor: &Redactor) -> Self {
        let message = format!(
            "{} was refused by {} ({}): {}",
            refusal.place,
            refusal.class,
            refusal.stage.name(),
            redactor.redact(refusal.reason)
        );
        Self { code: refusal.code.to_owned(), message, detail: None, restart: false }
    }

    /// A fault of the worker itself.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self { code: "worker.internal".into(), message: message.into(), detail: None, restart: true }
    }

    /// What status shows: a sentence, then detail.
    pub(crate) fn trace(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} [{}]\n{detail}", self.message, self.code),
            None => format!("{} [{}]", self.message, self.code),
        }
    }
}

/// One record that was refused.
#[derive(Clone, Debug)]
pub(crate) struct Refusal<'a> {
    pub(crate) stage: Stage,
    /// The record: `record at topic t, partition 0, offset 5`.
    pub(crate) place: String,
    pub(crate) class: &'a str,
    pub(crate) code: &'a str,
    pub(crate) reason: &'a str,
}
