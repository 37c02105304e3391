//! `towpath import`: takes the connectors of a Kafka Connect cluster over into a folder and a data directory that no worker runs on.
//!
//! ```text
//! three topics, groups of sinks ─▶ findings ─▶ (--dry-run ends here, and what blocks)
//!                                     │
//!        records that sinks have not read ─▶ log     as far as they are not there yet
//!        positions, what is wanted        ─▶ log     one commit (invariant 5)
//!        secrets, then YAML               ─▶ folder  each file whole
//! ```
//! In this order whatever ends it half way leaves nothing that would run, and the same command goes on.

mod gather;
mod topics;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use towpath_config::{Finding, Folder, PipelineFiles, Severity};
use towpath_log::Embedded;
use towpath_model::SystemClock;
use towpath_worker::InternalTopics;
use towpath_worker::migration::{Standing, arrive, standing};

use self::gather::{Coming, Gatherer};
use self::topics::TopicPlan;
use crate::client::DATA_DIR;
use crate::connect_cluster::{ConnectCluster, Options};
use crate::failure::{Failure, Fault, Result};
use crate::output::print;
use crate::{migration_findings, plugins, storage};

/// Take connectors of a Kafka Connect cluster over: their configurations into files of a folder, and into the data directory where they
/// stand and what its sinks have not read. They go on where they stood. No worker may run on the data directory, and the connectors
/// must not run in Connect: end its workers, or stop the connectors there, which are then stopped here, too.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    cluster: Options,
    /// The folder for the files of the connectors; made where there is none.
    #[arg(long, env = "TOWPATH_DIR", value_name = "DIR")]
    into: PathBuf,
    /// Where the log and all state lie.
    #[arg(long, env = "TOWPATH_DATA_DIR", value_name = "DIR", default_value = DATA_DIR)]
    data_dir: PathBuf,
    /// Only this connector; may be repeated. Sinks of the same topic come together [default: all].
    #[arg(long, env = "TOWPATH_CONNECTOR", value_name = "NAME")]
    connector: Vec<String>,
    /// Where passwords and other secrets are put that stand in configurations; only its owner may read it [default: DIR/secrets.properties].
    #[arg(long, env = "TOWPATH_SECRETS", value_name = "FILE")]
    secrets: Option<PathBuf>,
    /// Replace files, and positions of connectors, that are here already.
    #[arg(long, env = "TOWPATH_OVERWRITE")]
    overwrite: bool,
    /// Only say what would be taken over and what would not.
    #[arg(long, env = "TOWPATH_DRY_RUN")]
    dry_run: bool,
    #[command(flatten)]
    plugins: plugins::Options,
}

/// What is taken over, and what is to be said of it.
struct Plan {
    coming: Vec<Coming>,
    topics: Vec<TopicPlan>,
    files: PipelineFiles,
    findings: Vec<Finding>,
}

impl Plan {
    /// Whether something forbids it all.
    fn is_blocked(&self) -> bool {
        self.findings.iter().any(migration_findings::blocks)
    }
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut cluster = arguments.cluster.connect().await?;
    let mut plan = gather(&arguments, &mut cluster).await?;
    // What is not to be, or cannot, makes no data directory either.
    if arguments.dry_run || plan.is_blocked() {
        let log = match storage::log_dir(&arguments.data_dir).is_dir() {
            true => Some(storage::open_stopped(&arguments.data_dir).await?),
            false => None,
        };
        compare(&arguments, &mut cluster, log.as_deref(), &mut plan).await?;
        return told(&plan, None);
    }
    let log = storage::open(&arguments.data_dir, Arc::new(SystemClock::default()), &[]).await?;
    let done = take_over(&arguments, &mut cluster, &log, &mut plan).await;
    let closed = log.close().await.map_err(|error| Failure::by_code(error).context("cannot close the log"));
    let brought = done?;
    closed?;
    told(&plan, brought)
}

/// What the cluster has, in the forms in which it is to be here.
async fn gather(arguments: &Arguments, cluster: &mut ConnectCluster) -> Result<Plan> {
    let secrets = arguments.secrets.clone().unwrap_or_else(|| arguments.into.join("secrets.properties"));
    let secrets = std::path::absolute(secrets).map_err(Failure::environment)?;
    let files = PipelineFiles::new(secrets).map_err(Failure::environment)?;
    let plugins = plugins::open_to_check(&arguments.plugins, &arguments.into)?;
    let mut gatherer = Gatherer { cluster, plugins, files, findings: Vec::new() };
    let mut coming = gatherer.connectors(&arguments.connector).await?;
    let (topics, gone) = topics::plan(gatherer.cluster, &mut coming).await?;
    let Gatherer { files, mut findings, .. } = gatherer;
    findings.extend(gone);
    Ok(Plan { coming, topics, files, findings })
}

/// Holds it against what is here.
async fn compare(
    arguments: &Arguments,
    cluster: &mut ConnectCluster,
    log: Option<&Embedded>,
    plan: &mut Plan,
) -> Result<()> {
    let mut found = in_the_way(&arguments.into, &plan.files)?;
    if let Some(log) = log {
        let arrivals: Vec<_> = plan.coming.iter().map(|coming| coming.arrival.clone()).collect();
        let standing = standing(log, &InternalTopics::default(), &arrivals).await.map_err(Failure::by_code)?;
        let different = arrivals.iter().zip(standing).filter(|(_, standing)| *standing == Standing::Different);
        found.extend(different.map(|(arrival, _)| migration_findings::different(arrival.name.as_str())));
    }
    if arguments.overwrite {
        found.clear();
    }
    if let Some(log) = log {
        found.extend(topics::compare(cluster, log, &plan.topics).await?);
    }
    plan.findings.extend(found);
    Ok(())
}

/// Files of the folder that would be replaced, or name the same connectors.
fn in_the_way(dir: &Path, files: &PipelineFiles) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    if !dir.is_dir() {
        return Ok(found);
    }
    for (file, text) in files.documents() {
        if std::fs::read_to_string(dir.join(file)).is_ok_and(|there| there != *text) {
            let message = format!("{} is there already and says something else", dir.join(file).display());
            found.push(migration_findings::file(message));
        }
    }
    let reading = Folder::read(dir).map_err(Failure::environment)?;
    let elsewhere = reading.documents.iter().filter(|document| !files.documents().contains_key(&document.origin.file));
    for document in elsewhere.filter(|document| files.names().any(|name| name == document.name)) {
        let message = format!("{} names {} already", dir.join(&document.origin.file).display(), document.name);
        found.push(migration_findings::file(message).of(&document.name));
    }
    Ok(found)
}

/// Does it, unless something forbids it. Gives how many records came.
async fn take_over(
    arguments: &Arguments,
    cluster: &mut ConnectCluster,
    log: &Embedded,
    plan: &mut Plan,
) -> Result<Option<u64>> {
    compare(arguments, cluster, Some(log), plan).await?;
    if plan.is_blocked() {
        return Ok(None);
    }
    let mut brought = 0;
    for topic in &plan.topics {
        brought += topics::bring(cluster, log, topic).await?;
    }
    let arrivals: Vec<_> = plan.coming.iter().map(|coming| coming.arrival.clone()).collect();
    arrive(log, &InternalTopics::default(), &arrivals).await.map_err(Failure::by_code)?;
    let folder = std::fs::create_dir_all(&arguments.into);
    folder.map_err(|error| Failure::environment(error).context(format!("cannot make {}", arguments.into.display())))?;
    plan.files.save(&arguments.into).map_err(Failure::environment)?;
    Ok(Some(brought))
}

/// Says what there is to say of a plan, and what came of it.
fn told(plan: &Plan, brought: Option<u64>) -> Result<()> {
    eprint!("{}", plan.findings.iter().map(|finding| finding.render(None)).collect::<String>());
    let mut lines: Vec<String> = plan.coming.iter().map(Coming::line).collect();
    lines.extend(plan.topics.iter().map(TopicPlan::line));
    let count = |severity| plan.findings.iter().filter(|finding| finding.severity == severity).count();
    lines.push(format!(
        "{} connectors, {} topics, {} secrets: {} errors, {} warnings",
        plan.coming.len(),
        plan.topics.len(),
        plan.files.withheld(),
        count(Severity::Error),
        count(Severity::Warning)
    ));
    lines.push(match brought {
        Some(brought) => format!("taken over, with {brought} records"),
        None if plan.is_blocked() => "nothing is taken over: see the errors".to_owned(),
        None => "nothing is taken over yet: leave out --dry-run".to_owned(),
    });
    print(lines)?;
    if plan.is_blocked() { Err(Failure::shown(Fault::Input)) } else { Ok(()) }
}
