//! Object stores: S3 and what speaks its protocol, a local folder, memory. The only home of the object_store crate.
//!
//! A store is opened by what the task's configuration names; its keys of access are read from there by the host, so that the
//! guest never sees them. Paths are checked and cannot leave their folder. An object appears whole or not at all: by one
//! request or a completed multipart upload on S3, by rename after fsync in a folder. Parts go up in the background.

mod open;
mod upload;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use towpath_model::{Capability, crash_point};
use wasmtime::component::Resource;

use super::require;
use crate::bindings::imports::towpath::connect::object_store as wit;
use crate::error::chain;
use crate::guest::Guest;

#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub use upload::Upload;

/// Stores in memory, by bucket; they live as long as the host.
pub(crate) type MemoryStores = Mutex<HashMap<String, Arc<InMemory>>>;

/// A store that takes longer for one request of the guest is unavailable.
const ANSWER_MAX: Duration = Duration::from_secs(120);
/// A listing is answered in pages of at most so many objects.
const LIST_MAX: usize = 10_000;
/// A whole object that is handed to a guest.
const GET_BYTES_MAX: u64 = 64 << 20;

/// A store under the guest's hand.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    /// The same store, where it lists by prefix and in order.
    pages: Option<Arc<AmazonS3>>,
}

impl wit::Host for Guest {}

impl wit::HostStore for Guest {
    async fn open(&mut self, options: wit::Options) -> wasmtime::Result<Result<Resource<Store>, wit::StoreError>> {
        if let Err(reason) = require(self, Capability::ObjectStore) {
            return Ok(Err(wit::StoreError::Denied(reason)));
        }
        if let Err(denied) = self.scope.allowed.store(options.url.as_deref()) {
            return Ok(Err(wit::StoreError::Denied(denied.0)));
        }
        match open::open(&self.scope, &options) {
            Ok(store) => Ok(Ok(self.table.push(store)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn put(
        &mut self,
        this: Resource<Store>,
        path: String,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), wit::StoreError>> {
        self.meter.rested();
        let store = self.table.get(&this)?.objects.clone();
        let path = match object_path(&path) {
            Ok(path) => path,
            Err(error) => return Ok(Err(error)),
        };
        crash_point("object.before_put");
        let put = within(store.put(&path, PutPayload::from(Bytes::from(bytes)))).await;
        crash_point("object.after_put");
        Ok(put.map(drop))
    }

    async fn upload(
        &mut self,
        this: Resource<Store>,
        path: String,
    ) -> wasmtime::Result<Result<Resource<Upload>, wit::StoreError>> {
        let store = self.table.get(&this)?.objects.clone();
        match object_path(&path) {
            Ok(path) => Ok(Ok(self.table.push(Upload::new(store, path, &self.held))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn get(&mut self, this: Resource<Store>, path: String) -> wasmtime::Result<Result<Vec<u8>, wit::StoreError>> {
        self.meter.rested();
        let store = self.table.get(&this)?.objects.clone();
        Ok(get(&*store, &path).await)
    }

    async fn list(
        &mut self,
        this: Resource<Store>,
        prefix: String,
        after: Option<String>,
        max: u32,
    ) -> wasmtime::Result<Result<Vec<wit::Meta>, wit::StoreError>> {
        self.meter.rested();
        let store = self.table.get(&this)?;
        let (objects, pages) = (store.objects.clone(), store.pages.clone());
        let max = usize::try_from(max).unwrap_or(LIST_MAX).min(LIST_MAX);
        Ok(match pages {
            Some(pages) => within(list_pages(&pages, &prefix, after, max)).await,
            None => within(list_all(&*objects, &prefix, after.as_deref(), max)).await,
        })
    }

    async fn delete(&mut self, this: Resource<Store>, path: String) -> wasmtime::Result<Result<(), wit::StoreError>> {
        self.meter.rested();
        let store = self.table.get(&this)?.objects.clone();
        let path = match object_path(&path) {
            Ok(path) => path,
            Err(error) => return Ok(Err(error)),
        };
        Ok(match within(store.delete(&path)).await {
            // Gone is gone: S3 says nothing else either.
            Err(wit::StoreError::NotFound(_)) => Ok(()),
            deleted => deleted,
        })
    }

    async fn drop(&mut self, this: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl wit::HostUpload for Guest {
    async fn write(&mut self, this: Resource<Upload>, bytes: Vec<u8>) -> wasmtime::Result<Result<(), wit::StoreError>> {
        self.meter.rested();
        Ok(match tokio::time::timeout(ANSWER_MAX, self.table.get_mut(&this)?.write(&bytes)).await {
            Ok(written) => written,
            Err(_) => Err(unanswered()),
        })
    }

    async fn complete(&mut self, this: Resource<Upload>) -> wasmtime::Result<Result<wit::Meta, wit::StoreError>> {
        self.meter.rested();
        Ok(within(self.table.get_mut(&this)?.complete()).await)
    }

    async fn abort(&mut self, this: Resource<Upload>) -> wasmtime::Result<()> {
        self.meter.rested();
        give_up(self.table.get_mut(&this)?).await;
        Ok(())
    }

    async fn drop(&mut self, this: Resource<Upload>) -> wasmtime::Result<()> {
        self.meter.rested();
        give_up(&mut self.table.delete(this)?).await;
        Ok(())
    }
}

/// Waits for a store, but not for ever: the connector decides when to try again.
async fn within<T>(answer: impl Future<Output = Result<T, object_store::Error>>) -> Result<T, wit::StoreError> {
    match tokio::time::timeout(ANSWER_MAX, answer).await {
        Ok(answer) => answer.map_err(failure),
        Err(_) => Err(unanswered()),
    }
}

fn unanswered() -> wit::StoreError {
    wit::StoreError::Unavailable(format!("no answer within {} s", ANSWER_MAX.as_secs()))
}

async fn give_up(upload: &mut Upload) {
    if tokio::time::timeout(ANSWER_MAX, upload.abort()).await.is_err() {
        tracing::warn!("parts of an upload that was given up may remain: the store does not answer");
    }
}

async fn get(store: &dyn ObjectStore, path: &str) -> Result<Vec<u8>, wit::StoreError> {
    let found = within(store.get(&object_path(path)?)).await?;
    if found.meta.size > GET_BYTES_MAX {
        let reason = format!("{path} has {} bytes; at most {GET_BYTES_MAX} are read at once", found.meta.size);
        return Err(wit::StoreError::Other(reason));
    }
    Ok(within(found.bytes()).await?.to_vec())
}

/// Lists where the store itself knows prefixes and order.
async fn list_pages(
    store: &AmazonS3,
    prefix: &str,
    after: Option<String>,
    max: usize,
) -> Result<Vec<wit::Meta>, object_store::Error> {
    let mut metas = Vec::new();
    let mut page_token = None;
    while metas.len() < max {
        let options = PaginatedListOptions {
            offset: after.clone(),
            max_keys: Some((max - metas.len()).min(1_000)),
            page_token,
            ..PaginatedListOptions::default()
        };
        let page = store.list_paginated(Some(prefix), options).await?;
        metas.extend(page.result.objects.into_iter().map(meta));
        match page.page_token {
            Some(token) => page_token = Some(token),
            None => break,
        }
    }
    metas.truncate(max);
    Ok(metas)
}

/// Lists by walking the folder that the prefix ends in, keeping the first `max` in order.
async fn list_all(
    store: &dyn ObjectStore,
    prefix: &str,
    after: Option<&str>,
    max: usize,
) -> Result<Vec<wit::Meta>, object_store::Error> {
    let folder = match prefix.rsplit_once('/') {
        Some((folder, _)) => Some(Path::parse(folder)?),
        None => None,
    };
    let mut first = BTreeMap::new();
    let mut found = store.list(folder.as_ref());
    while let Some(object) = found.try_next().await? {
        let object = meta(object);
        if object.path.starts_with(prefix) && after.is_none_or(|after| object.path.as_str() > after) {
            first.insert(object.path.clone(), object);
            if first.len() > max {
                first.pop_last();
            }
        }
    }
    Ok(first.into_values().collect())
}

fn meta(object: object_store::ObjectMeta) -> wit::Meta {
    wit::Meta { path: object.location.into(), size: object.size }
}

/// A path that stays where it is: no empty, `.` or `..` segments, no control characters.
fn object_path(path: &str) -> Result<Path, wit::StoreError> {
    let refused = |reason: &str| wit::StoreError::Denied(format!("{path:?} is no path of an object: {reason}"));
    if path.is_empty() || path.starts_with('/') || path.ends_with('/') || path.contains('\\') {
        return Err(refused("it is empty, or has a slash at an end, or a backslash"));
    }
    Path::parse(path).map_err(|error| refused(&chain(&error)))
}

fn failure(error: object_store::Error) -> wit::StoreError {
    use object_store::Error;
    let text = chain(&error);
    match error {
        Error::NotFound { .. } => wit::StoreError::NotFound(text),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => wit::StoreError::Unauthorized(text),
        Error::Generic { .. } | Error::JoinError { .. } if !is_final(&text) => wit::StoreError::Unavailable(text),
        _ => wit::StoreError::Other(text),
    }
}

/// Whether the store said that the request itself is wrong. The crate tells so in the text alone.
fn is_final(text: &str) -> bool {
    let codes = text.match_indices("status").filter_map(|(at, _)| {
        let rest = text.get(at..)?.trim_start_matches(|letter: char| !letter.is_ascii_digit());
        rest.get(..3)?.parse::<u16>().ok()
    });
    let refusal = |code: u16| (400..500).contains(&code) && code != 408 && code != 429;
    codes.last().is_some_and(refusal)
}

#[cfg(test)]
mod tests;
