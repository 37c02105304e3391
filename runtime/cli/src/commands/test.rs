//! `towpath test FILE --given RECORDS`: what a connector's transforms make of records, without the connector, the log or a server.
//!
//! Records are lines as `towpath tail --json` prints them; the connector's converters read and write them. With `--expected` the outcome
//! is held against a file, which `--update` writes: a chain of transforms is tested like any other code.

use std::path::{Path, PathBuf};

use towpath_config::{Document, Policy, Severity};
use towpath_convert::{Converted, read_lines, write_line};
use towpath_worker::{Reach, rehearse};

use super::check::{Looked, look};
use crate::failure::{Failure, Fault, Result};
use crate::output::print;
use crate::plugins;

/// Send records through a connector's transforms and show, or compare, what comes out.
///
/// Exits with 2 if the outcome is not the expected one, or the file is at fault.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A file of pipelines.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// The connector whose transforms are meant, where the file holds several.
    #[arg(long, env = "TOWPATH_CONNECTOR", value_name = "NAME")]
    connector: Option<String>,
    /// Records, one JSON object a line: topic, partition, offset, timestamp, key, value, headers.
    #[arg(long, env = "TOWPATH_GIVEN", value_name = "FILE")]
    given: PathBuf,
    /// What is to come out, in the same form.
    #[arg(long, env = "TOWPATH_EXPECTED", value_name = "FILE")]
    expected: Option<PathBuf>,
    /// Write what comes out to the file of --expected instead of comparing.
    #[arg(long, env = "TOWPATH_UPDATE", requires = "expected")]
    update: bool,
    #[command(flatten)]
    plugins: plugins::Options,
}

pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let Looked { reading, plugins, checker, .. } = look(&arguments.path, &arguments.plugins, None)?;
    if reading.findings.iter().any(|finding| finding.severity == Severity::Error) {
        eprint!("{}", reading.render());
        return Err(Failure::shown(Fault::Input));
    }
    let document = chosen(&reading.documents, arguments.connector.as_deref())?;
    let given = read(&arguments.given)?;
    let given =
        read_lines(&given).map_err(|error| Failure::input(format!("{}: {error}", arguments.given.display())))?;
    // Secrets of the systems around need not be there; where they are, transforms may use them.
    let resolved = checker.inspect(document, &Policy::Trusted, Reach::Offline).await.resolved;
    let (config, redactor) = match resolved {
        Some(resolved) => (resolved.config, resolved.redactor),
        None => (document.config.clone(), Default::default()),
    };
    let converted = rehearse(plugins.as_ref(), &config, &redactor, &given).await.map_err(Failure::input_error)?;
    let lines = lines(&converted);
    match &arguments.expected {
        None => print(lines),
        Some(expected) if arguments.update => {
            let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(expected, text).map_err(Failure::environment)
        }
        Some(expected) => compare(&lines, &read(expected)?),
    }
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(|error| Failure::input(format!("{}: {error}", path.display())))
}

fn chosen<'a>(documents: &'a [Document], name: Option<&str>) -> Result<&'a Document> {
    let names = || documents.iter().map(|document| document.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, documents) {
        (Some(name), _) => documents
            .iter()
            .find(|document| document.name == name)
            .ok_or_else(|| Failure::input(format!("no connector is named {name}; there are: {}", names()))),
        (None, [document]) => Ok(document),
        (None, []) => Err(Failure::input("the file holds no connector")),
        (None, _) => {
            Err(Failure::input(format!("the file holds several connectors; --connector names one of: {}", names())))
        }
    }
}

/// Records, then failures, then how many were filtered.
fn lines(converted: &Converted) -> Vec<String> {
    let records = converted.records.records().map(|record| write_line(&record));
    let failures = converted.failures.iter().map(|failure| {
        let (record, stage) = (failure.index + 1, failure.stage.name());
        let failed = serde_json::json!({
            "record": record, "stage": stage, "class": failure.class, "code": failure.code, "reason": failure.reason,
        });
        serde_json::json!({ "failed": failed }).to_string()
    });
    let filtered = (converted.filtered > 0).then(|| serde_json::json!({ "filtered": converted.filtered }).to_string());
    records.chain(failures).chain(filtered).collect()
}

/// Shows where the outcome is not the expected one.
fn compare(found: &[String], expected: &str) -> Result<()> {
    let expected: Vec<&str> = expected.lines().filter(|line| !line.trim().is_empty()).collect();
    let mut differing = Vec::new();
    for index in 0..found.len().max(expected.len()) {
        let (found, expected) = (found.get(index).map(String::as_str), expected.get(index).copied());
        if found != expected {
            differing.push(format!("line {}", index + 1));
            differing.extend(expected.map(|line| format!("- {line}")));
            differing.extend(found.map(|line| format!("+ {line}")));
        }
    }
    if differing.is_empty() {
        return print([format!("{} lines as expected", found.len())]);
    }
    print(differing)?;
    Err(Failure::shown(Fault::Input))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_that_is_not_expected_is_refused() {
        let found = ["a".to_owned(), "b".to_owned()];
        assert!(compare(&found, "a\nb\n\n").is_ok());
        for other in ["a", "a\nc", "a\nb\nc"] {
            assert!(compare(&found, other).is_err(), "{other}");
        }
    }
}
