//! What can be wrong with what the sink is given. What an endpoint answers is judged in [`answer`](crate::answer).

/// A fault found by the sink itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A setting has a value that it cannot have.
    #[error("{reason}")]
    Setting {
        /// Its key.
        key: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The value of a record cannot be sent so.
    #[error("{reason}")]
    Value {
        /// What is wrong.
        reason: String,
    },
}

impl Error {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Setting { .. } => "http.config",
            Self::Value { .. } => "http.value",
        }
    }
}
