//! `towpath log DIR`: the log alone, for Kafka clients, without pipelines.

use std::path::PathBuf;
use std::sync::Arc;

use towpath_log::Embedded;
use towpath_model::{Clock, SystemClock};

use super::signals::Signals;
use crate::addresses::Addresses;
use crate::failure::{Failure, Result};
use crate::kafka::{self, Listener};
use crate::output::print;
use crate::screen::Screen;
use crate::{logging, storage};

/// Serve the log of a data directory to Kafka clients, without pipelines, until told to stop.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The data directory; it is made where there is none.
    #[arg(value_name = "DIR", env = "TOWPATH_DATA_DIR")]
    dir: PathBuf,
    #[command(flatten)]
    kafka: kafka::Options,
    #[command(flatten)]
    logging: logging::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    logging::start(&arguments.logging, &Arc::new(Screen::new(false)))?;
    if !arguments.kafka.wanted() {
        return Err(Failure::input("without --kafka there is nobody to serve the log to"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::environment)?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: &Arguments) -> Result<()> {
    let mut signals = Signals::listen()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let started_ms = clock.now_ms();
    let log = storage::open(&arguments.dir, Arc::clone(&clock)).await?;
    let Some(mut listener) = arguments.kafka.start(&log, &clock).await? else { return Ok(()) };
    let kafka = listener.address().to_owned();
    print([format!("Kafka {kafka}")])?;
    Addresses { rest: None, kafka: Some(kafka), pid: std::process::id(), started_ms }.write(&arguments.dir)?;
    let ended = tokio::select! {
        () = signals.next() => close(listener, &log).await,
        failed = failed(&mut listener, &log) => Err(failed),
    };
    Addresses::remove(&arguments.dir);
    ended
}

/// Invariant 7: clients have the answers they are owed before the log closes.
async fn close(listener: Listener, log: &Arc<Embedded>) -> Result<()> {
    let closed = listener.close().await.map_err(Failure::ours)?;
    closed.map_err(|error| Failure::ours(error).context("the Kafka listener failed"))?;
    log.close().await.map_err(|error| Failure::ours(error).context("cannot close the log"))
}

async fn failed(listener: &mut Listener, log: &Embedded) -> Failure {
    let mut log_failed = log.failed();
    tokio::select! {
        Ok(reason) = log_failed.wait_for(Option::is_some) => {
            let reason = reason.as_ref().map_or_else(String::new, ToString::to_string);
            Failure::ours(anyhow::anyhow!("the log has failed and recovers at the next start: {reason}"))
        }
        _ = listener.ended() => Failure::ours(anyhow::anyhow!("the Kafka listener ended without being told to")),
    }
}
