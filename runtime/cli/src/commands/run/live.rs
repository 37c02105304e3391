//! The live lines of `run`: the worker at a glance, redrawn twice a second, and at once when a state changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use towpath_rest::Served;

use crate::lines;
use crate::screen::Screen;

/// How often numbers are brought up to date.
const REFRESH: Duration = Duration::from_millis(500);

/// The task that draws.
pub(super) struct Live {
    ending: watch::Sender<bool>,
    drawing: JoinHandle<()>,
}

impl Live {
    /// Begins to draw, where the screen has live lines.
    pub(super) fn start(served: Arc<Served>, screen: Arc<Screen>) -> Self {
        let (ending, mut ended) = watch::channel(!screen.is_live());
        let drawing = tokio::spawn(async move {
            let mut changes = served.worker.changes();
            while !*ended.borrow() {
                screen.draw(lines::overview(&served.overview(), true));
                tokio::select! {
                    () = tokio::time::sleep(REFRESH) => {}
                    // A worker that is gone changes no more; the pace above remains.
                    Ok(()) = changes.changed() => {}
                    _ = ended.changed() => {}
                }
            }
            screen.draw(lines::overview(&served.overview(), true));
        });
        Self { ending, drawing }
    }

    /// Draws a last time and ends.
    pub(super) async fn end(self) {
        self.ending.send_replace(true);
        if let Err(error) = self.drawing.await {
            tracing::debug!(%error, "the live lines ended early");
        }
    }
}
