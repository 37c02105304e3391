//! Waiting for what may not be under way: futures and moments that are optional, as the arms of a driver's one `select!`.

use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use tokio::time::Instant;

use super::Failure;

/// A call under way, if there is one. Waiting for none never ends; dropping the wait keeps the call.
pub(super) struct Call<T>(Option<BoxFuture<'static, T>>);

impl<T> Default for Call<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Call<T> {
    /// Puts a call under way.
    pub(super) fn start(&mut self, call: BoxFuture<'static, T>) {
        debug_assert!(self.0.is_none(), "calls of one kind never overlap");
        self.0 = Some(call);
    }

    /// Its answer. Cancel safe.
    pub(super) async fn answer(&mut self) -> T {
        let Some(call) = &mut self.0 else { return pending().await };
        let answer = call.await;
        self.0 = None;
        answer
    }
}

/// The moment, if there is one.
pub(super) async fn moment(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => pending().await,
    }
}

/// Carries out `work` on a thread of its own; dropping the answer cuts it off.
pub(super) fn aside<T: Send + 'static>(
    what: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> BoxFuture<'static, Result<T, Failure>> {
    let mut spawned = tokio::task::JoinSet::new();
    spawned.spawn(work);
    async move {
        let joined = spawned.join_next().await;
        joined.and_then(Result::ok).ok_or_else(|| Failure::internal(format!("{what} ended by a panic of the worker")))
    }
    .boxed()
}
