//! What can be wrong with a record that the sink is given. Faults of the store are [`StoreError`](crate::StoreError).

/// Why a record is refused before it goes anywhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no value, and `behavior.on.null.values` is `fail`.
    #[error("the value is null")]
    Null,
    /// The value cannot stand in an object of this format.
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
            Self::Null => "s3.null_value",
            Self::Value { .. } => "s3.value",
        }
    }
}
