//! What every HTTP listener of the worker does alike, whatever it serves: `rest` and `registry` are built on it.
//!
//! ```text
//! Connections (bounded, none idle for ever) ─▶ Door (Host, Origin, who asks) ─▶ the routes of whoever listens
//! ```
//! How a refusal is worded in a body is up to the interface concerned.

mod access;
mod connections;
mod door;

use std::future::IntoFuture as _;
use std::io;
use std::time::Duration;

use axum::Router;
use tokio::sync::watch;

pub use self::access::{Access, Role, Users, Visit};
pub use self::connections::{Acceptors, Connections};
pub use self::door::{Door, Refusal};

/// How long requests under way may take at shutdown.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves until `shutdown` becomes true, then drains for a few seconds.
///
/// # Errors
/// The listener's.
pub async fn serve(connections: Connections, app: Router, mut shutdown: watch::Receiver<bool>) -> io::Result<()> {
    let mut closing = shutdown.clone();
    let serving = axum::serve(connections, app)
        .with_graceful_shutdown(async move { _ = closing.wait_for(|closing| *closing).await })
        .into_future();
    let overdue = async move {
        _ = shutdown.wait_for(|closing| *closing).await;
        tokio::time::sleep(DRAIN).await;
    };
    tokio::select! {
        served = serving => served,
        () = overdue => Ok(()),
    }
}
