//! What a running worker says of itself and of its connectors.

use towpath_config::{Finding, Severity};
use towpath_model::{Clock, HealthLevel, SystemClock};
use towpath_rest::v1::Overview;

use super::{Look, connectors_in_words};
use crate::client::Target;
use crate::failure::Failure;

/// Clocks that are further apart than this make times in records and logs hard to compare, and signatures of object stores fail in the end.
const CLOCK_APART_MAX_MS: i64 = 5_000;

/// What came of asking a worker.
pub(super) type Answer = Result<(Overview, i64), Failure>;

/// Asks the worker, if one is meant that answers or ought to: none where nobody runs.
pub(super) async fn ask(target: &Target) -> Option<Answer> {
    let client = match target.client() {
        Ok(client) => client,
        Err(failure) => return target.url.is_some().then_some(Err(failure)),
    };
    if !client.answers().await && target.url.is_none() {
        return None;
    }
    let asked_ms = SystemClock::default().now_ms();
    Some(client.get::<Overview>("/v1/status").await.map(|overview| (overview, asked_ms)))
}

pub(super) fn look(answer: Option<&Answer>, target: &Target) -> Look {
    match answer {
        None => Look::new("worker", format!("none runs in {}", target.data_dir.display()), []),
        Some(Err(failure)) => {
            let remedy = "Look whether it runs, and whether address and token are right.";
            let finding =
                Finding::new(Severity::Error, "doctor.worker_unanswered", failure.to_string()).suggest(remedy);
            Look::new("worker", "does not answer", [Finding { passing: true, ..finding }])
        }
        Some(Ok((overview, asked_ms))) => {
            let findings = own(overview, *asked_ms).into_iter().chain(connectors(overview));
            let connectors = connectors_in_words(overview.connectors.len());
            let found = format!("{} runs {connectors}, version {}", overview.worker_id, overview.version);
            Look::new("worker", found, findings)
        }
    }
}

fn own(overview: &Overview, asked_ms: i64) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(reason) = &overview.log_failure {
        let finding = Finding::new(Severity::Error, "doctor.log_failed", format!("the log has failed: {reason}"));
        let remedy = "Look at the disk, then start the worker again: it recovers from its journal.";
        findings.push(Finding { passing: true, ..finding.suggest(remedy) });
    }
    let apart_ms = (overview.now_ms - asked_ms).abs();
    if apart_ms > CLOCK_APART_MAX_MS {
        let message = format!("the worker's clock and this machine's are {} s apart", apart_ms / 1000);
        let remedy = "Let both follow a time server, such as chrony or systemd-timesyncd does.";
        findings.push(Finding::new(Severity::Warning, "doctor.clock", message).suggest(remedy));
    }
    if overview.version != env!("CARGO_PKG_VERSION") {
        let message = format!("the worker is version {}, this program {}", overview.version, env!("CARGO_PKG_VERSION"));
        let remedy = "Use the program that the worker runs, or restart the worker with this one.";
        findings.push(Finding::new(Severity::Warning, "doctor.version", message).suggest(remedy));
    }
    findings
}

fn connectors(overview: &Overview) -> impl Iterator<Item = Finding> {
    overview.connectors.iter().flat_map(|connector| {
        let severity = match connector.health.level {
            HealthLevel::Ok => None,
            HealthLevel::Degraded => Some(Severity::Warning),
            HealthLevel::Stalled | HealthLevel::Failed => Some(Severity::Error),
        };
        let name = &connector.name;
        let level = format!("{:?}", connector.health.level).to_lowercase();
        let unwell = severity.map(|severity| {
            let message = format!("{name} is {level}: {}", connector.health.reason);
            let remedy = format!("`towpath status {name}` shows its tasks and last errors.");
            let finding = Finding::new(severity, "doctor.connector", message).suggest(remedy).of(name);
            Finding { passing: severity == Severity::Error, ..finding }
        });
        let dead = (connector.dead_letters_total > 0).then(|| {
            let message = format!("{name} has put {} records into its dead letter queue", connector.dead_letters_total);
            let remedy = format!("Look at them with `towpath tail`, mend the cause, and send them again: `towpath replay {name} --dead-letters`.");
            Finding::new(Severity::Warning, "doctor.dead_letters", message).suggest(remedy).of(name)
        });
        unwell.into_iter().chain(dead)
    })
}
