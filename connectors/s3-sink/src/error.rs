//! What can be wrong with what the sink is given. Faults of the store are [`StoreError`](crate::StoreError).

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
    /// The value of a record cannot stand in an object of this format.
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
            Self::Setting { .. } => "s3.config",
            Self::Value { .. } => "s3.value",
        }
    }
}
