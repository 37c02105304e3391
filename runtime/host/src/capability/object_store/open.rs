//! Opening a store from what the task's configuration names.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{HttpClient, HttpConnector};
use object_store::local::LocalFileSystem;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

use super::{Store, failure, wit};
use crate::capability::http;
use crate::error::chain;
use crate::guest::Scope;

/// Passing faults are tried again within a call for this long; beyond, the connector decides.
const RETRY_TIMEOUT: Duration = Duration::from_secs(20);
const RETRIES_MAX: usize = 4;

/// Opens the store. Nothing is sent yet.
pub(super) fn open(scope: &Scope, options: &wit::Options) -> Result<Store, wit::StoreError> {
    let url = options.url.as_deref();
    if let Some(folder) = url.and_then(|url| url.strip_prefix("file://")) {
        return local(folder, &options.bucket);
    }
    if url.is_some_and(|url| url.starts_with("memory:")) {
        let mut stores = scope.services.memory.lock().map_err(|_| other("the stores in memory are broken"))?;
        let store = stores.entry(options.bucket.clone()).or_default().clone();
        return Ok(Store { objects: store, pages: None });
    }
    if url.is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
        return Err(other("a store is `file:///folder`, `http(s)://endpoint` or `memory:`"));
    }
    let store = Arc::new(s3(scope, options)?);
    Ok(Store { objects: store.clone(), pages: Some(store) })
}

fn local(folder: &str, bucket: &str) -> Result<Store, wit::StoreError> {
    if !folder.starts_with('/') {
        return Err(other("a local store is an absolute folder, as in `file:///folder`"));
    }
    let sound = !bucket.contains(['/', '\\']) && bucket != "." && bucket != "..";
    if !sound {
        return Err(wit::StoreError::Denied(format!("{bucket:?} is no name of a bucket")));
    }
    let root = std::path::Path::new(folder).join(bucket);
    let unavailable = |error: std::io::Error| wit::StoreError::Unavailable(format!("{}: {error}", root.display()));
    std::fs::create_dir_all(&root).map_err(unavailable)?;
    let store = LocalFileSystem::new_with_prefix(&root).map_err(failure)?.with_fsync(true);
    Ok(Store { objects: Arc::new(store), pages: None })
}

fn s3(scope: &Scope, options: &wit::Options) -> Result<AmazonS3, wit::StoreError> {
    check_name("bucket", &options.bucket)?;
    check_name("region", &options.region)?;
    let value =
        |key: &Option<String>| key.as_deref().and_then(|key| scope.config.get(key)).filter(|value| !value.is_empty());
    let client = http::client(&scope.services).map_err(|error| other(&chain(&error)))?;
    let builder = match (value(&options.access_key_key), value(&options.secret_key_key)) {
        (Some(access), Some(secret)) => {
            AmazonS3Builder::new().with_access_key_id(access).with_secret_access_key(secret)
        }
        _ => from_environment(scope)?,
    };
    let mut builder = builder
        .with_http_connector(Connector(client))
        .with_client_options(ClientOptions::new().with_allow_http(true))
        .with_retry(RetryConfig {
            backoff: BackoffConfig { init_backoff: Duration::from_millis(100), ..BackoffConfig::default() },
            max_retries: RETRIES_MAX,
            retry_timeout: RETRY_TIMEOUT,
        })
        .with_bucket_name(&options.bucket)
        .with_region(&options.region)
        .with_virtual_hosted_style_request(!options.path_style);
    if let Some(url) = &options.url {
        builder = builder.with_endpoint(url.trim_end_matches('/')).with_allow_http(url.starts_with("http://"));
    }
    builder.build().map_err(failure)
}

/// Credentials of the worker's environment. Those of the machine itself, which a metadata address gives out, need the
/// operator's word like any other use of such an address.
fn from_environment(scope: &Scope) -> Result<AmazonS3Builder, wit::StoreError> {
    const SOURCES: [&str; 4] = [
        "AWS_ACCESS_KEY_ID",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    ];
    if !scope.services.allow_link_local && SOURCES.iter().all(|name| std::env::var_os(name).is_none()) {
        let reason = "neither the configuration nor the environment has credentials for the store";
        return Err(wit::StoreError::Unauthorized(reason.into()));
    }
    Ok(AmazonS3Builder::from_env())
}

/// Names become part of host names and paths and must not change either.
fn check_name(what: &str, name: &str) -> Result<(), wit::StoreError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    if !name.is_empty() && !name.contains("..") && name.bytes().all(fits) {
        return Ok(());
    }
    Err(wit::StoreError::Denied(format!("{name:?} is no name of a {what}")))
}

fn other(reason: &str) -> wit::StoreError {
    wit::StoreError::Other(reason.to_owned())
}

/// Sends the store's requests with the host's own client, which checks the addresses that it dials.
#[derive(Debug)]
struct Connector(reqwest::Client);

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.0.clone()))
    }
}
