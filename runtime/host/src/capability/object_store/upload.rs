//! An object under way: small ones go up in one request, larger ones in parts that are sent while the guest goes on.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result};
use tokio::task::JoinSet;
use towpath_model::crash_point;

use super::wit;

/// S3 takes ten thousand parts of at least 5 MiB.
const PART_BYTES: usize = 8 << 20;
/// Parts under way at once; with the one that is filled, this bounds the memory of an upload.
const PARTS_MAX: usize = 3;

/// An upload under the guest's hand.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Upload {
    store: Arc<dyn ObjectStore>,
    path: Path,
    part: BytesMut,
    size: u64,
    multipart: Option<Box<dyn MultipartUpload>>,
    under_way: JoinSet<Result<()>>,
    finished: bool,
}

impl Upload {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path) -> Self {
        let (part, under_way) = (BytesMut::new(), JoinSet::new());
        Self { store, path, part, size: 0, multipart: None, under_way, finished: false }
    }

    /// Takes the bytes; waits only while too many parts are under way.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        self.part.extend_from_slice(bytes);
        while self.part.len() >= PART_BYTES {
            let part = self.part.split_to(PART_BYTES).freeze();
            self.send(part).await?;
        }
        Ok(())
    }

    /// Finishes; the object appears, whole, when this returns.
    pub(super) async fn complete(&mut self) -> Result<wit::Meta> {
        let rest = self.part.split().freeze();
        crash_point("object.before_complete");
        if self.multipart.is_none() {
            self.store.put(&self.path, PutPayload::from(rest)).await?;
        } else {
            if !rest.is_empty() {
                self.send(rest).await?;
            }
            while let Some(sent) = self.under_way.join_next().await {
                sent??;
            }
            if let Some(multipart) = &mut self.multipart {
                multipart.complete().await?;
            }
        }
        self.finished = true;
        crash_point("object.after_complete");
        Ok(wit::Meta { path: self.path.to_string(), size: self.size })
    }

    /// Gives up and takes back the parts that were sent, as far as the store can be reached.
    pub(super) async fn abort(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.part.clear();
        self.under_way.shutdown().await;
        if let Some(mut multipart) = self.multipart.take()
            && let Err(error) = multipart.abort().await
        {
            tracing::warn!(path = %self.path, %error, "parts of an upload that was given up may remain in the store");
        }
    }

    async fn send(&mut self, part: Bytes) -> Result<()> {
        while self.under_way.len() >= PARTS_MAX {
            if let Some(sent) = self.under_way.join_next().await {
                sent??;
            }
        }
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => none.insert(self.store.put_multipart(&self.path).await?),
        };
        self.under_way.spawn(multipart.put_part(PutPayload::from(part)));
        Ok(())
    }
}
