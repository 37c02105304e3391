//! `towpath export`: gives connectors of a data directory that no worker runs on to a Kafka Connect cluster whose workers are down.
//!
//! ```text
//! log ─▶ findings ─▶ (--dry-run ends here, and what blocks)
//!           │
//!   records that sinks have not read ─▶ their topics    as far as they are not there yet
//!   offsets of sinks                 ─▶ their groups
//!   positions of sources             ─▶ Connect's topic of offsets
//!   configurations                   ─▶ Connect's topic of configurations, all in one batch
//! ```
//! A worker of Connect sees a connector when its configuration is there, which comes last: whatever ends this half way leaves nothing
//! that would run, and the same command goes on.

mod give;
mod translate;
mod unread;

use std::path::PathBuf;

use towpath_config::Finding;
use towpath_model::ConnectorName;
use towpath_worker::InternalTopics;
use towpath_worker::migration::kept;

use self::give::Giver;
use self::translate::{Going, Translator};
use crate::client::DATA_DIR;
use crate::connect_cluster::Options;
use crate::failure::{Failure, Fault, Result};
use crate::output::print;
use crate::{migration_findings, plugins, storage};

/// Give connectors to a Kafka Connect cluster: their configurations, where they stand and what its sinks have not read, from a data
/// directory that no worker runs on. They go on there when Connect's workers, which must be down meanwhile, are started. What they have
/// here stays; do not run them in both places.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    cluster: Options,
    /// Where the log and all state lie.
    #[arg(long, env = "TOWPATH_DATA_DIR", value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// The folder that the connectors ran from, in which a component may lie that one of them names.
    #[arg(long, env = "TOWPATH_DIR", value_name = "DIR", default_value = ".")]
    from: PathBuf,
    /// Only this connector; may be repeated [default: all].
    #[arg(long, env = "TOWPATH_CONNECTOR", value_name = "NAME")]
    connector: Vec<String>,
    /// Replace connectors of the same names, with their positions.
    #[arg(long, env = "TOWPATH_OVERWRITE")]
    overwrite: bool,
    /// Only say what would be given and what would not.
    #[arg(long, env = "TOWPATH_DRY_RUN")]
    dry_run: bool,
    #[command(flatten)]
    plugins: plugins::Options,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut cluster = arguments.cluster.connect().await?;
    let log = storage::open_stopped(&arguments.data_dir).await?;
    let (mut here, unread) = kept(log.as_ref(), &InternalTopics::default()).await.map_err(Failure::by_code)?;
    if let Some(unknown) =
        arguments.connector.iter().find(|name| !here.contains_key(&ConnectorName::new(name.as_str())))
    {
        let there: Vec<_> = here.keys().map(ConnectorName::as_str).collect();
        return Err(Failure::input(format!("there is no connector {unknown}; there are: {}", there.join(", "))));
    }
    here.retain(|name, _| {
        arguments.connector.is_empty() || arguments.connector.iter().any(|wanted| wanted == name.as_str())
    });
    let mut findings: Vec<Finding> = unread.iter().map(migration_findings::unread).collect();
    let plugins = plugins::open_to_check(&arguments.plugins, &arguments.from)?;
    let translator = Translator::new(plugins, &arguments.data_dir)?;
    let mut going = Vec::with_capacity(here.len());
    for (name, kept) in here {
        going.push(translator.going(log.as_ref(), name, kept, &mut findings)?);
    }
    let mut giver = Giver { cluster: &mut cluster, log: log.as_ref(), overwrite: arguments.overwrite };
    let unread = giver.compare(&going, &mut findings).await?;
    let blocked = findings.iter().any(migration_findings::blocks);
    let given = match blocked || arguments.dry_run {
        true => None,
        false => Some(giver.give(&going, &unread).await?),
    };
    eprint!("{}", findings.iter().map(|finding| finding.render(None)).collect::<String>());
    let mut lines: Vec<String> = going.iter().map(Going::line).collect();
    lines.push(match given {
        Some(records) => format!("{} connectors are given, with {records} records", going.len()),
        None if blocked => "nothing is given: see the errors".to_owned(),
        None => "nothing is given yet: leave out --dry-run".to_owned(),
    });
    print(lines)?;
    if blocked { Err(Failure::shown(Fault::Input)) } else { Ok(()) }
}
