//! The Postgres cluster that all cases share. Each case has a database and a replication slot of its own in it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::sync::OnceCell;
use towpath_tests::{Postgres, PostgresOptions};

/// Servers that start when the first case needs them.
#[derive(Default)]
pub(crate) struct Servers {
    postgres: OnceCell<Mutex<Option<Arc<Postgres>>>>,
}

impl Servers {
    /// The cluster.
    pub(crate) async fn postgres(&self) -> Result<Arc<Postgres>> {
        let start =
            || async { anyhow::Ok(Mutex::new(Some(Arc::new(Postgres::start(PostgresOptions::default()).await?)))) };
        let cell = self.postgres.get_or_try_init(start).await?;
        let guard = cell.lock().unwrap_or_else(PoisonError::into_inner);
        guard.clone().ok_or_else(|| anyhow::anyhow!("the servers have been stopped"))
    }

    /// Ends what was started.
    pub(crate) fn stop(&self) {
        if let Some(cell) = self.postgres.get() {
            drop(cell.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
