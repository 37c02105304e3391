//! `towpath log DIR`: the log alone, for Kafka clients, without pipelines. `log verify`, `repair` and `dump` are for a stopped one.

mod inspect;

use std::path::{Path, PathBuf};
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
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    look: Option<inspect::Command>,
    /// The data directory; it is made where there is none.
    #[arg(value_name = "DIR", env = "TOWPATH_DATA_DIR")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    kafka: kafka::Options,
    #[command(flatten)]
    logging: logging::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if let Some(look) = &arguments.look {
        return super::wait(inspect::run(look));
    }
    let dir = arguments.dir.as_deref().ok_or_else(|| Failure::input("which data directory? towpath log DIR"))?;
    logging::start(&arguments.logging, &Arc::new(Screen::new(false)))?;
    if !arguments.kafka.wanted() {
        return Err(Failure::input("without --kafka there is nobody to serve the log to"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::environment)?;
    runtime.block_on(serve(arguments, dir))
}

async fn serve(arguments: &Arguments, dir: &Path) -> Result<()> {
    let mut signals = Signals::listen()?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let started_ms = clock.now_ms();
    let log = storage::open(dir, Arc::clone(&clock), &[]).await?;
    let mut listener = arguments.kafka.start(dir, &log, &clock, None).await?;
    print(listener.told().map(|kafka| format!("Kafka {kafka}")))?;
    let kafka = listener.address();
    Addresses { rest: None, rest_tls: false, kafka, registry: None, pid: std::process::id(), started_ms }.write(dir)?;
    let ended = tokio::select! {
        () = signals.next() => close(listener, &log).await,
        failed = failed(&mut listener, &log) => Err(failed),
    };
    Addresses::remove(dir);
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

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(Debug, clap::Parser)]
    struct Flags {
        #[command(flatten)]
        log: Arguments,
    }

    #[test]
    fn a_folder_is_served_and_a_word_looks_into_one() {
        let parsed = |flags: &[&str]| Flags::try_parse_from([&["log"], flags].concat()).map(|flags| flags.log);
        let served = parsed(&["./data", "--kafka", "127.0.0.1:0"]).expect("a folder to serve");
        assert_eq!((served.dir, served.look.is_none()), (Some(PathBuf::from("./data")), true));
        let looks = [
            &["verify", "./data"][..],
            &["repair", "./data", "--apply"],
            &["dump", "./data", "--topic", "orders", "--json"],
        ];
        for look in looks {
            assert!(parsed(look).expect("a look").look.is_some(), "{look:?}");
        }
        assert!(parsed(&["dump"]).is_err());
    }
}
