//! `towpath run DIR`: the whole worker in one process.
//!
//! ```text
//! signals ─┐                    ┌─ REST (answers 503 from here on)
//! bind ────┴─▶ log (recovers) ──┼─ Kafka clients, clients of the schema registry
//!                               ├─ worker ◀─ folder (read, plan, apply; again whenever it changes)
//!                               └─ plugins (embedded, folder)
//! ```
//! The first SIGTERM or SIGINT drains: the folder rests, the worker finishes and commits what it has begun (invariant 7) while REST still
//! answers, then the Kafka listener, the registry, REST and the log close. A second one ends the process at once. A log that has failed for good ends it, too: it recovers at the
//! next start.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::folder::FolderFollower;
use self::live::Live;
use self::node::Node;
use super::signals::Signals;
use crate::client::DATA_DIR;
use crate::failure::{Failure, Fault, Result};
use crate::logging::Loggers;
use crate::output::print;
use crate::screen::Screen;
use crate::{kafka, logging, otlp, plugins, registry, rest, secret_commands};

mod folder;
mod live;
mod node;

/// Run the pipelines of a folder until told to stop.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder of pipelines: *.yaml, *.yml, *.json.
    #[arg(value_name = "DIR", env = "TOWPATH_DIR")]
    dir: PathBuf,
    /// Where the log and all state lie.
    #[arg(long, env = "TOWPATH_DATA_DIR", value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    #[command(flatten)]
    rest: rest::Options,
    #[command(flatten)]
    kafka: kafka::Options,
    #[command(flatten)]
    registry: registry::Options,
    #[command(flatten)]
    plugins: plugins::Options,
    /// Environment variables that configurations coming over REST may refer to; a trailing * stands for any rest.
    #[arg(long, env = "TOWPATH_API_ENV", value_name = "NAME,…", value_delimiter = ',')]
    api_env: Vec<String>,
    /// Files and folders that configurations coming over REST may refer to.
    #[arg(long, env = "TOWPATH_API_PATHS", value_name = "PATH,…", value_delimiter = ',')]
    api_paths: Vec<PathBuf>,
    /// Commands of --secret-command that configurations coming over REST may refer to.
    #[arg(long, env = "TOWPATH_API_SECRET_COMMANDS", value_name = "NAME,…", value_delimiter = ',')]
    api_secret_commands: Vec<String>,
    #[command(flatten)]
    secret_commands: secret_commands::Options,
    /// Files and folders that connectors configured over REST may read and write [default: the system's folder for temporary files].
    #[arg(long, env = "TOWPATH_API_FILES", value_name = "PATH,…", value_delimiter = ',')]
    api_files: Option<Vec<PathBuf>>,
    /// End with 2 if any file is refused at the start, instead of running the others.
    #[arg(long, env = "TOWPATH_STRICT")]
    strict: bool,
    /// How long tasks may take to finish what they have begun when the worker is told to stop.
    #[arg(long, env = "TOWPATH_DRAIN_SECONDS", value_name = "SECONDS", default_value_t = 20)]
    drain_seconds: u64,
    /// No live lines, also on a terminal.
    #[arg(long, env = "TOWPATH_QUIET")]
    quiet: bool,
    #[command(flatten)]
    otlp: otlp::Options,
    #[command(flatten)]
    logging: logging::Options,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let screen = Arc::new(Screen::new(!arguments.quiet));
    let loggers = logging::start(&arguments.logging, &screen)?;
    if !arguments.dir.is_dir() {
        return Err(Failure::input(format!("{} is no folder", arguments.dir.display())));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::environment)?;
    let ended = runtime.block_on(serve(arguments, &screen, loggers));
    screen.release();
    runtime.shutdown_timeout(Duration::from_secs(2));
    ended
}

async fn serve(arguments: &Arguments, screen: &Arc<Screen>, loggers: Loggers) -> Result<()> {
    let mut signals = Signals::listen()?;
    let mut node = tokio::select! {
        node = Node::start(arguments, loggers) => node?,
        () = signals.next() => return Ok(()),
    };
    announce(arguments, &node, screen)?;
    let live = Live::start(Arc::clone(&node.served), Arc::clone(screen));
    let mut folder = FolderFollower::start(&arguments.dir, node.served.worker.clone(), Arc::clone(screen))?;

    let told_to_stop = tokio::select! {
        () = signals.next() => Ok(()),
        failed = follow(&mut folder, arguments.strict) => Err(failed),
        failed = node.failed() => Err(failed),
    };
    drop(folder);
    let ended = match told_to_stop {
        Ok(()) => {
            tracing::info!("stopping: tasks finish what they have begun");
            tokio::select! {
                drained = node.drain() => drained,
                () = signals.next() => Err(Failure::environment(anyhow::anyhow!("ended at the second signal, before all was drained"))),
            }
        }
        // A worker that must not run with these files drains like any other.
        Err(failed) if failed.fault() == Fault::Input => node.drain().await.and(Err(failed)),
        Err(failed) => Err(failed),
    };
    live.end().await;
    ended
}

/// Applies the folder now and at every change; ends only with a failure.
async fn follow(folder: &mut FolderFollower, strict: bool) -> Failure {
    match folder.apply().await {
        Err(failure) => failure,
        Ok(true) if strict => Failure::shown(Fault::Input),
        Ok(_) => folder.follow().await,
    }
}

fn announce(arguments: &Arguments, node: &Node, screen: &Screen) -> Result<()> {
    let address = arguments.rest.url(&node.served.worker_id);
    let data = arguments.data_dir.display();
    let kafka = node.kafka_told().map(|kafka| format!("Kafka {kafka}"));
    let registry = node.registry_told().map(|url| format!("registry {url}"));
    let told: Vec<_> = [Some(format!("REST {address}")), kafka, registry].into_iter().flatten().collect();
    if screen.is_live() {
        print([format!("towpath {}  {}  data {data}\n", env!("CARGO_PKG_VERSION"), told.join("  "))])?;
    } else {
        print(told)?;
    }
    let took_ms = node.served.clock.now_ms() - node.served.started_ms;
    tracing::info!(rest = %address, %data, took_ms, "the worker runs");
    Ok(())
}
