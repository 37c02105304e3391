//! `towpath check DIR|FILE`: what start-up would say of the folder, without starting anything.
//!
//! Like start-up it also asks the plugins, which connect and look: a folder that passes is one that runs. All connectors are asked at
//! once and each has a limit, so that a host that is down costs seconds. `--offline` is for places that reach nothing, such as a
//! pipeline of CI: references to secrets need not lead anywhere there, and nothing is dialled.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use towpath_config::{Finding, Folder, Policy, Reading, Severity};
use towpath_model::Plugins;
use towpath_worker::{Checker, Limits, Reach, SecretCommands, Secrets};

use crate::failure::{Failure, Fault, Result};
use crate::output::{print, print_json};
use crate::{plugins, secret_commands};

/// Check the files of a folder, or one file, as start-up does, and whether the systems they name would serve them.
///
/// Exits with 2 if anything would be refused, and with 3 if only the systems are at fault.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder, or one file of it.
    #[arg(value_name = "DIR|FILE", env = "TOWPATH_DIR")]
    path: PathBuf,
    /// Look at the files alone: connect to nothing, and do not mind secrets that are not here.
    #[arg(long, env = "TOWPATH_OFFLINE")]
    offline: bool,
    /// How long the systems of one connector may take to answer.
    #[arg(long, env = "TOWPATH_CHECK_TIMEOUT", value_name = "SECONDS", default_value_t = 10)]
    timeout: u64,
    /// Print the findings as one JSON list.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    plugins: plugins::Options,
    #[command(flatten)]
    secret_commands: secret_commands::Options,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let mut looked = look(&arguments.path, &arguments.plugins, arguments.secret_commands.commands())?;
    let reach =
        if arguments.offline { Reach::Offline } else { Reach::Online(Duration::from_secs(arguments.timeout.max(1))) };
    looked.inspect(reach).await;
    let reading = looked.reading;
    if arguments.json {
        print_json(&reading.findings)?;
    } else {
        eprint!("{}", reading.render());
        print([summary(&reading)])?;
    }
    let errors = || reading.findings.iter().filter(|finding| finding.severity == Severity::Error);
    match errors().next() {
        None => Ok(()),
        Some(_) if errors().all(|finding: &Finding| finding.passing) => Err(Failure::shown(Fault::Environment)),
        Some(_) => Err(Failure::shown(Fault::Input)),
    }
}

/// Files, what they say by themselves, and what it takes to say more.
pub(super) struct Looked {
    pub(super) reading: Reading,
    pub(super) plugins: Arc<dyn Plugins>,
    pub(super) checker: Checker,
    /// Whether it is all of a folder, as opposed to one file.
    pub(super) whole: bool,
}

impl Looked {
    /// Has the plugins look as well, all at once, and adds what they find.
    pub(super) async fn inspect(&mut self, reach: Reach) {
        let accepted = self.reading.documents.iter().filter(|document| !document.rejected);
        let inspections = accepted.map(|document| self.checker.inspect(document, &Policy::Trusted, reach));
        let inspections = join_all(inspections).await;
        self.reading.findings.extend(inspections.into_iter().flat_map(|inspection| inspection.findings));
    }
}

/// Looks at the files of a folder, or at one file of it, alone. The checker asks these commands for secrets.
pub(super) fn look(
    path: &Path,
    options: &plugins::Options,
    commands: Option<Arc<dyn SecretCommands>>,
) -> Result<Looked> {
    let (dir, file) = split(path)?;
    let mut reading = Folder::read(&dir).map_err(Failure::environment)?;
    if let Some(file) = &file {
        narrow(&mut reading, file);
    }
    let plugins: Arc<dyn Plugins> = plugins::open_to_check(options, &dir)?;
    let checker = Checker::new(Arc::clone(&plugins), Secrets { commands, ..Secrets::default() }, Limits::default());
    reading.check_with(|document| checker.look(document));
    Ok(Looked { reading, plugins, checker, whole: file.is_none() })
}

fn summary(reading: &Reading) -> String {
    let count = |severity| reading.findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let connectors = reading.documents.len();
    let words = |count: usize, one: &str| if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") };
    format!("{}: {}, {}", words(connectors, "connector"), words(errors, "error"), words(warnings, "warning"))
}

/// The folder, and the file in it if one was named.
fn split(path: &Path) -> Result<(PathBuf, Option<PathBuf>)> {
    if path.is_dir() {
        return Ok((path.to_owned(), None));
    }
    if !path.exists() {
        return Err(Failure::input(format!("{} does not exist", path.display())));
    }
    let dir = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok((dir.to_owned(), path.file_name().map(PathBuf::from)))
}

/// Forgets what belongs to other files. Duplicate names across files have been found by then.
fn narrow(reading: &mut Reading, file: &Path) {
    reading.documents.retain(|document| document.origin.file == file);
    reading.findings.retain(|finding| finding.file.as_deref() == Some(file));
}
