//! Why an operator's request was not carried out.

use kafka_protocol::error::ResponseError as Code;

/// Why a request was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The broker refused.
    #[error("{what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// Kafka's error.
        code: Code,
        /// Why.
        reason: String,
    },
    /// What was asked for contradicts itself or what there is.
    #[error("{0}")]
    Invalid(String),
    /// The broker was not reached.
    #[error("{0}")]
    Unreachable(String),
    /// The answer is none.
    #[error("the broker's answer cannot be read: {0}")]
    Unsound(String),
}

impl AdminError {
    /// Whether whoever asked can mend it, by asking for something else.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Refused { code, .. } => !matches!(
                code,
                Code::KafkaStorageError
                    | Code::UnknownServerError
                    | Code::RequestTimedOut
                    | Code::CoordinatorLoadInProgress
            ),
            Self::Invalid(_) => true,
            Self::Unreachable(_) | Self::Unsound(_) => false,
        }
    }

    /// An error that came without words.
    pub(super) fn words(code: Code) -> String {
        match code {
            Code::UnknownTopicOrPartition => "there is no such topic or partition".to_owned(),
            Code::UnknownMemberId | Code::NonEmptyGroup => {
                "the group has members. Stop them first: a connector with `towpath stop`".to_owned()
            }
            Code::GroupIdNotFound => "there is no such group".to_owned(),
            Code::CoordinatorLoadInProgress => "the worker is starting. Try again".to_owned(),
            other => format!("{other:?}"),
        }
    }
}
