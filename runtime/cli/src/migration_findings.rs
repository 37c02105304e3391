//! What is to be said of connectors that are moved. Errors of this file forbid it; what the checker says of a configuration that cannot
//! run here forbids nothing, for its file can be mended.

use towpath_config::{Finding, Severity};
use towpath_model::TopicPartition;
use towpath_worker::migration::Unread;

fn error(code: &'static str, message: String, help: &str) -> Finding {
    Finding::new(Severity::Error, code, message).suggest(help)
}

/// A record of the cluster's topics cannot be read.
pub(crate) fn unread(record: &Unread) -> Finding {
    let message = format!("the record {} cannot be read: {}", record.key, record.reason);
    Finding::new(Severity::Warning, "migration.unread", message)
}

/// The connector runs there.
pub(crate) fn running(name: &str) -> Finding {
    let message =
        format!("{name} may still run in Connect: it would run twice, and where it stands may be out of date");
    let help = "End Connect's workers, or stop it there (PUT /connectors/NAME/stop).";
    error("migration.running", message, help).of(name)
}

/// Its converters are its worker's, which are not known.
pub(crate) fn unknown_converter(name: &str, key: &str) -> Finding {
    let message = format!("{name} has the {key} of its worker, which is not known here");
    error("migration.unknown_converter", message, "Name the workers' properties with --worker-config.").of(name).on(key)
}

/// Its plugin cannot go on from its positions.
pub(crate) fn refused_offsets(name: &str, reason: &str) -> Finding {
    let help = "Leave it out by naming the others with --connector, or bring its positions into that form in Connect (PATCH /connectors/NAME/offsets).";
    error("migration.offsets", format!("{name} cannot go on from its positions: {reason}"), help).of(name)
}

/// Records that a sink has not read are not kept any more.
pub(crate) fn gone(name: &str, partition: &TopicPartition, count: i64) -> Finding {
    let message = format!("{name} has not read the last {count} offsets of {partition} that retention has removed");
    Finding::new(Severity::Warning, "migration.gone", message).of(name)
}

/// It stands somewhere else here.
pub(crate) fn different(name: &str) -> Finding {
    let message = format!("{name} has positions of its own here, which differ from those in Connect");
    let help = "It was taken over before and has gone on since. Leave it out by naming the others with --connector, or replace its positions with --overwrite.";
    error("migration.different", message, help).of(name)
}

/// A topic on one side does not go on where that of the other ends.
pub(crate) fn topic(name: &str, reason: &str) -> Finding {
    let help = "Delete the one that is to go on, or choose another place for it.";
    error("migration.topic", format!("topic {name} is on both sides, and cannot go on: {reason}"), help)
}

/// A file stands in the way.
pub(crate) fn file(message: String) -> Finding {
    error("migration.file", message, "Move it away, or replace it with --overwrite.")
}

/// Workers of the cluster are up, while something is to be given to it.
pub(crate) fn workers_live() -> Finding {
    let message = "workers of Connect are up: they would run connectors that are being given to them".to_owned();
    let help = "End them, and start them again afterwards. If they are another cluster's, name the properties of yours with --worker-config.";
    error("migration.running", message, help)
}

/// A connector of this name is in the cluster.
pub(crate) fn exists(name: &str) -> Finding {
    let message = format!("{name} is in Connect already, with another configuration or other positions");
    error("migration.different", message, "Replace it with --overwrite, or name the others with --connector.").of(name)
}

/// Connect may have no such plugin.
pub(crate) fn no_java_class(name: &str, class: &str) -> Finding {
    let message = format!("no class of Java is known that does what {class} does, so {name} goes under that name");
    let help = "Give it the class of a plugin that Connect has, once it is there.";
    Finding::new(Severity::Warning, "migration.no_java_class", message).of(name).suggest(help)
}

/// Secrets of the worker's store go in clear.
pub(crate) fn revealed(name: &str) -> Finding {
    let message = format!("secrets of {name} that the worker keeps stand in Connect's topic in clear");
    let help =
        "Connect keeps them so. To hide them, refer to a file there: ${file:/path:key}, with config.providers=file.";
    Finding::new(Severity::Warning, "migration.revealed", message).of(name).suggest(help)
}

/// References that Connect's workers must be able to follow.
pub(crate) fn references(name: &str) -> Finding {
    let message = format!("{name} refers to files or variables, which Connect's workers must be able to follow");
    let help = "Start them with config.providers and the classes of its providers, where the files and variables are.";
    Finding::new(Severity::Note, "migration.references", message).of(name).suggest(help)
}

/// Whether a finding forbids to move anything.
pub(crate) fn blocks(finding: &Finding) -> bool {
    finding.severity == Severity::Error && finding.code.starts_with("migration.")
}
