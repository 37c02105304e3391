//! A small object that is written whole while the guest goes on.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::path::Path;
use tokio::task::JoinSet;

use super::{put, wit};
use crate::capability::held::Held;

/// An object under the guest's hand. Dropping it breaks the writing off, whatever that has come to.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Writing(JoinSet<Result<(), wit::StoreError>>);

impl Writing {
    /// Begins to write.
    ///
    /// # Errors
    /// When the task holds too many bytes already.
    pub(super) fn begin(
        store: Arc<dyn ObjectStore>,
        path: Path,
        bytes: Vec<u8>,
        held: &Held,
    ) -> Result<Self, wit::StoreError> {
        let mut hold = held.nothing();
        if !hold.grow(bytes.len()) {
            let reason = "the task holds more bytes in objects under way than it may";
            return Err(wit::StoreError::Other(reason.into()));
        }
        let mut writing = JoinSet::new();
        writing.spawn(async move {
            let written = put(&*store, &path, bytes).await;
            drop(hold);
            written
        });
        Ok(Self(writing))
    }

    /// Waits for the end, once.
    pub(super) async fn wait(&mut self) -> Result<(), wit::StoreError> {
        match self.0.join_next().await {
            Some(Ok(written)) => written,
            Some(Err(error)) => Err(wit::StoreError::Unavailable(error.to_string())),
            None => Err(wit::StoreError::Other("it was waited for already".into())),
        }
    }
}
