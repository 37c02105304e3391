//! `towpath check DIR|FILE`: what start-up would say of the folder, without starting anything.

use std::path::{Path, PathBuf};

use towpath_config::{Document, Finding, Folder, Policy, Reading, Severity, resolve};
use towpath_model::{ConnectorError, Plugins};

use crate::failure::{Failure, Fault, Result};
use crate::output::{print, print_json};
use crate::plugins;

/// Check the files of a folder, or one file, as start-up does. Exits with 2 if anything would be refused.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The folder, or one file of it.
    #[arg(value_name = "DIR|FILE", env = "TOWPATH_DIR")]
    path: PathBuf,
    /// Also let each plugin try what it is configured for: connect, log in, look.
    #[arg(long, env = "TOWPATH_CONNECT")]
    connect: bool,
    /// Print the findings as one JSON list.
    #[arg(long, env = "TOWPATH_JSON")]
    json: bool,
    #[command(flatten)]
    plugins: plugins::Options,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let (dir, file) = split(&arguments.path)?;
    let mut reading = Folder::read(&dir).map_err(Failure::environment)?;
    if let Some(file) = &file {
        narrow(&mut reading, file);
    }
    let plugins = plugins::open_to_check(&arguments.plugins, &dir)?;
    let words = towpath_worker::vocabulary(plugins.as_ref());
    reading.check_with(|document| {
        let spec = document.config.get("connector.class").and_then(|class| plugins.find(class).ok());
        towpath_config::check(document, spec.as_ref().map(|plugin| plugin.spec()), &words)
    });
    if arguments.connect {
        connect(&mut reading, plugins.as_ref()).await;
    }
    if arguments.json {
        print_json(&reading.findings)?;
    } else {
        eprint!("{}", reading.render());
        print([summary(&reading)])?;
    }
    if reading.has_errors() { Err(Failure::shown(Fault::Input)) } else { Ok(()) }
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

/// Lets the plugins of documents without errors check what only they can.
async fn connect(reading: &mut Reading, plugins: &dyn Plugins) {
    let mut found = Vec::new();
    for document in reading.documents.iter().filter(|document| !document.rejected) {
        let Some(plugin) = document.config.get("connector.class").and_then(|class| plugins.find(class).ok()) else {
            continue;
        };
        let env = |name: &str| std::env::var(name).ok();
        let resolved = match resolve(&document.config, &Policy::Trusted, None, &env) {
            Ok(resolved) => resolved,
            Err(errors) => {
                found.extend(
                    errors.into_iter().map(|error| finding(document, error.code, error.key.clone(), error.reason)),
                );
                continue;
            }
        };
        let config = towpath_config::normalise(&resolved.config, plugin.spec());
        match plugin.validate(&config, true).await {
            Ok(faults) => found.extend(faults.into_iter().map(|fault| {
                let reason = fault.reason.to_string();
                finding(document, "config.refused_by_plugin", fault.key, resolved.redactor.redact(&reason).into_owned())
            })),
            Err(ConnectorError::Config { key, reason }) => {
                found.push(finding(
                    document,
                    "config.refused_by_plugin",
                    key,
                    resolved.redactor.redact(&reason.to_string()).into_owned(),
                ));
            }
            Err(error) => {
                let reason = resolved.redactor.redact(&error.to_string()).into_owned();
                found.push(finding(document, "config.cannot_connect", "connector.class".to_owned(), reason));
            }
        }
    }
    reading.findings.extend(found);
}

fn finding(document: &Document, code: &'static str, key: String, message: String) -> Finding {
    let place = document.places.get(&key).unwrap_or(&document.start);
    Finding {
        code,
        severity: Severity::Error,
        connector: Some(document.name.clone()),
        file: Some(place.file.clone()),
        line: place.line,
        column: place.column,
        path: key,
        message,
        suggestion: None,
    }
}
