//! An object store of the task's own configuration: S3 and what speaks its protocol, a local folder, or memory.

use crate::bindings::imports::towpath::connect::object_store as wit;

/// What went wrong with a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The store or path is not in the task's configuration; the text says which key would permit it.
    Denied(String),
    /// There is no such object or bucket.
    NotFound(String),
    /// The credentials are refused.
    Unauthorized(String),
    /// The store did not answer, or answered that it cannot now.
    Unavailable(String),
    /// Anything else.
    Other(String),
}

impl std::fmt::Display for StoreError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Denied(text)
        | Self::NotFound(text)
        | Self::Unauthorized(text)
        | Self::Unavailable(text)
        | Self::Other(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for StoreError {}

/// Which store, and how it is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// `file:///folder`, `http(s)://endpoint`, `memory:`; none for AWS.
    pub url: Option<String>,
    /// The bucket; on a local folder, the folder in it.
    pub bucket: String,
    /// The region.
    pub region: String,
    /// Key of the configuration that holds the access key; without it the environment decides.
    pub access_key_key: Option<String>,
    /// Key of the configuration that holds the secret key.
    pub secret_key_key: Option<String>,
    /// Whether the bucket stands in the path instead of the host name.
    pub path_style: bool,
}

/// An object that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectMeta {
    /// Its path.
    pub path: String,
    /// Its bytes.
    pub size: u64,
}

/// An open store.
#[derive(Debug)]
pub struct Store(wit::Store);

impl Store {
    /// Opens a store. Nothing is sent yet.
    ///
    /// # Errors
    /// When the store is not permitted or its options make no sense.
    pub fn open(options: &StoreOptions) -> Result<Self, StoreError> {
        let options = wit::Options {
            url: options.url.clone(),
            bucket: options.bucket.clone(),
            region: options.region.clone(),
            access_key_key: options.access_key_key.clone(),
            secret_key_key: options.secret_key_key.clone(),
            path_style: options.path_style,
        };
        wit::Store::open(&options).map(Self).map_err(error)
    }

    /// Writes a whole object; it appears at once or not at all.
    ///
    /// # Errors
    /// When it is not known to be there.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.put(path, bytes).map_err(error)
    }

    /// Begins an object whose parts are sent in the background while the connector goes on.
    ///
    /// # Errors
    /// When it cannot be begun.
    pub fn upload(&self, path: &str) -> Result<Upload, StoreError> {
        self.0.upload(path).map(Upload).map_err(error)
    }

    /// Reads a whole object.
    ///
    /// # Errors
    /// When it is not there or cannot be read.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, StoreError> {
        self.0.get(path).map_err(error)
    }

    /// Objects whose path begins with `prefix` and sorts after `after`, sorted by path, the first `max` of them.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub fn list(&self, prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<ObjectMeta>, StoreError> {
        let metas = self.0.list(prefix, after, max).map_err(error)?;
        Ok(metas.into_iter().map(|meta| ObjectMeta { path: meta.path, size: meta.size }).collect())
    }

    /// Removes an object.
    ///
    /// # Errors
    /// When it is not known to be gone.
    pub fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.0.delete(path).map_err(error)
    }
}

/// An object under way. Dropping it without [`complete`](Self::complete) leaves no object.
#[derive(Debug)]
pub struct Upload(wit::Upload);

impl Upload {
    /// Takes the bytes; waits only while too many parts are under way.
    ///
    /// # Errors
    /// When this or an earlier part failed; the upload is then only to be aborted.
    pub fn write(&self, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.write(bytes).map_err(error)
    }

    /// Finishes; the object appears, whole, when this returns.
    ///
    /// # Errors
    /// When the object is not known to be there.
    pub fn complete(&self) -> Result<ObjectMeta, StoreError> {
        self.0.complete().map(|meta| ObjectMeta { path: meta.path, size: meta.size }).map_err(error)
    }

    /// Gives up; the parts sent so far are removed.
    pub fn abort(&self) {
        self.0.abort();
    }
}

fn error(error: wit::StoreError) -> StoreError {
    match error {
        wit::StoreError::Denied(text) => StoreError::Denied(text),
        wit::StoreError::NotFound(text) => StoreError::NotFound(text),
        wit::StoreError::Unauthorized(text) => StoreError::Unauthorized(text),
        wit::StoreError::Unavailable(text) => StoreError::Unavailable(text),
        wit::StoreError::Other(text) => StoreError::Other(text),
    }
}
