//! An object under way: small ones go up in one request, larger ones in parts that are sent while the guest goes on.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, Result};
use tokio::task::JoinSet;
use towpath_model::crash_point;

use super::{failure, wit};
use crate::capability::held::{Held, Hold};

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
    /// On the bytes of the part that is being filled.
    hold: Hold,
    size: u64,
    multipart: Option<Box<dyn MultipartUpload>>,
    under_way: JoinSet<Result<()>>,
    finished: bool,
}

impl Upload {
    pub(super) fn new(store: Arc<dyn ObjectStore>, path: Path, held: &Held) -> Self {
        let (part, under_way) = (BytesMut::new(), JoinSet::new());
        Self { store, path, part, hold: held.nothing(), size: 0, multipart: None, under_way, finished: false }
    }

    /// Takes the bytes; waits only while too many parts are under way, or too many bytes are held for the task.
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> Result<(), wit::StoreError> {
        while !bytes.is_empty() {
            // Never more than the part that is being filled: what is full leaves before more is held.
            let (piece, rest) = bytes.split_at(bytes.len().min(PART_BYTES - self.part.len()));
            bytes = rest;
            while !self.hold.grow(piece.len()) {
                let Some(sent) = self.under_way.join_next().await else {
                    let reason = "the task holds more bytes in objects under way than it may";
                    return Err(wit::StoreError::Other(reason.into()));
                };
                sent.map_err(object_store::Error::from).flatten().map_err(failure)?;
            }
            self.size += piece.len() as u64;
            self.part.extend_from_slice(piece);
            if self.part.len() >= PART_BYTES {
                let part = self.part.split_to(PART_BYTES).freeze();
                self.send(part).await.map_err(failure)?;
            }
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
        drop(self.hold.split(usize::MAX));
        crash_point("object.after_complete");
        Ok(wit::Meta { path: self.path.to_string(), size: self.size })
    }

    /// Gives up and takes back the parts that were sent, as far as the store can be reached.
    pub(super) async fn abort(&mut self) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        self.part = BytesMut::new();
        drop(self.hold.split(usize::MAX));
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
        let hold = self.hold.split(part.len());
        let sending = multipart.put_part(PutPayload::from(part));
        self.under_way.spawn(async move {
            let sent = sending.await;
            drop(hold);
            sent
        });
        Ok(())
    }
}
