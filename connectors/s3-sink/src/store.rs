//! The way out: an object store as the sink needs it. The component fulfils it with the host's capability, tests with a fake.

use towpath_model::ConnectorError;
pub use towpath_sdk::object_store::StoreError;

/// A store of objects. An object appears whole or not at all, and replaces the one that had its path.
pub trait Store {
    /// An object on its way.
    type Upload: Upload;

    /// Writes a whole object.
    ///
    /// # Errors
    /// When it is not known to be there; it may be.
    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), StoreError>;
    /// Begins an object whose parts are sent in the background.
    ///
    /// # Errors
    /// When it cannot be begun.
    fn upload(&mut self, path: &str) -> Result<Self::Upload, StoreError>;
    /// Paths that begin with `prefix` and sort after `after`, sorted, the first `max` of them.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn list(&mut self, prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<String>, StoreError>;
    /// Removes an object; one that is not there counts as removed.
    ///
    /// # Errors
    /// When it is not known to be gone.
    fn delete(&mut self, path: &str) -> Result<(), StoreError>;
}

/// An object on its way. It is not visible before it is complete; dropping it gives it up.
pub trait Upload {
    /// Takes the bytes; waits only while too many parts are under way.
    ///
    /// # Errors
    /// When this or an earlier part failed: the upload is broken.
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError>;
    /// The object appears when this returns.
    ///
    /// # Errors
    /// When it is not known to be there; it may be.
    fn complete(self) -> Result<(), StoreError>;
}

/// Whether other objects would meet the same fate now.
pub(crate) fn concerns_all(error: &StoreError) -> bool {
    !matches!(error, StoreError::Other(_))
}

/// What the worker is told of it.
pub(crate) fn told(error: StoreError) -> ConnectorError {
    match error {
        StoreError::Denied(reason) => ConnectorError::config("store.url", reason),
        StoreError::NotFound(reason) => ConnectorError::config("s3.bucket.name", format!("not found: {reason}")),
        StoreError::Unauthorized(reason) => {
            ConnectorError::config("aws.access.key.id", format!("the store refuses the credentials: {reason}"))
        }
        StoreError::Unavailable(reason) => ConnectorError::retriable(format!("store is unavailable: {reason}")),
        StoreError::Other(reason) => ConnectorError::retriable(format!("store failed: {reason}")),
    }
}
