//! Waiting for something that another process does: asked again and again until it holds or time is up.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::Instant;

/// How long one question is left to rest before it is asked again.
const PAUSE: Duration = Duration::from_millis(10);

/// A point in time after which waiting is over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// That much time from now.
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        Instant::now() >= self.0
    }
}

/// Asks `check` until it answers with success, and gives the answer.
///
/// # Errors
/// After `limit`: the last failure of `check`, with `what` was waited for.
pub async fn eventually<T, F, Fut>(what: &str, limit: Duration, mut check: F) -> Result<T>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T>>,
{
    let deadline = Deadline::after(limit);
    loop {
        match check().await {
            Ok(answer) => return Ok(answer),
            Err(error) if deadline.is_over() => {
                return Err(anyhow!("waited {} s in vain for {what}: {error:#}", limit.as_secs_f32()));
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
