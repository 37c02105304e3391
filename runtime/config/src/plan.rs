//! What must happen so that the worker runs what the folder says. Pure: the same inputs give the same steps.
//!
//! What is removed comes first, so that a connector which takes over another's slot or topic finds it free.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use towpath_model::Config;

use crate::{Document, Finding, Origin, Reading};

/// A file-owned connector as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Its name.
    pub name: String,
    /// Its configuration, references unresolved.
    pub config: Config,
    /// Where it was read from.
    pub origin: Origin,
}

/// One step of a plan. Steps come in the order in which to carry them out.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Stop this connector and keep its offsets.
    Remove {
        /// Its name.
        name: String,
        /// The file it was in.
        file: PathBuf,
    },
    /// Start this connector.
    Create {
        /// It.
        document: Document,
        /// The connector whose file seems to have been renamed to this one: it is removed, this one starts anew.
        renamed_from: Option<String>,
    },
    /// Give this connector another configuration.
    Change {
        /// It.
        document: Document,
        /// The keys that differ.
        keys: Vec<String>,
    },
    /// The connector stands in another file now; nothing else changes.
    Move {
        /// Its name.
        name: String,
        /// Where it was.
        from: Origin,
        /// Where it is.
        to: Origin,
    },
    /// Keep the last good configuration, if there is one, and show "config rejected".
    Reject {
        /// The connector.
        name: String,
        /// The file at fault.
        file: PathBuf,
        /// Why.
        findings: Vec<Finding>,
    },
}

/// The steps from what runs to what the folder says.
pub fn plan(previous: &[Applied], reading: &Reading) -> Vec<Step> {
    let running: BTreeMap<&str, &Applied> = previous.iter().map(|applied| (applied.name.as_str(), applied)).collect();
    let wanted: BTreeSet<&str> = reading.documents.iter().map(|document| document.name.as_str()).collect();
    let gone = previous.iter().filter(|applied| !wanted.contains(applied.name.as_str()));
    // A connector of a file that cannot be read may still be meant: it stays.
    let (kept, removed): (Vec<_>, Vec<_>) = gone.partition(|applied| reading.broken.contains(&applied.origin.file));

    let mut steps: Vec<Step> = removed
        .iter()
        .map(|applied| Step::Remove { name: applied.name.clone(), file: applied.origin.file.clone() })
        .collect();
    let mut rejected = BTreeSet::new();
    for applied in kept {
        if rejected.insert(applied.name.as_str()) {
            let file = applied.origin.file.clone();
            let findings =
                reading.findings.iter().filter(|finding| finding.file.as_ref() == Some(&file)).cloned().collect();
            steps.push(Step::Reject { name: applied.name.clone(), file, findings });
        }
    }
    for document in &reading.documents {
        let current = running.get(document.name.as_str());
        if document.rejected {
            if rejected.insert(document.name.as_str()) {
                steps.push(reject(document, reading));
            }
            continue;
        }
        match current {
            None => {
                steps.push(Step::Create { document: document.clone(), renamed_from: renamed_from(document, &removed) })
            }
            Some(applied) => steps.extend(change(applied, document)),
        }
    }
    steps
}

fn reject(document: &Document, reading: &Reading) -> Step {
    let concerns = |finding: &&Finding| match &finding.connector {
        Some(connector) => *connector == document.name,
        None => {
            finding.file.as_ref() == Some(&document.origin.file)
                || reading.broken.iter().any(|file| finding.file.as_ref() == Some(file))
        }
    };
    let findings = reading.findings.iter().filter(concerns).cloned().collect();
    Step::Reject { name: document.name.clone(), file: document.origin.file.clone(), findings }
}

fn change(applied: &Applied, document: &Document) -> Option<Step> {
    let names = applied.config.0.keys().chain(document.config.0.keys());
    let differing: BTreeSet<&String> =
        names.filter(|key| applied.config.get(key) != document.config.get(key)).collect();
    if !differing.is_empty() {
        return Some(Step::Change { document: document.clone(), keys: differing.into_iter().cloned().collect() });
    }
    (applied.origin != document.origin).then(|| Step::Move {
        name: document.name.clone(),
        from: applied.origin.clone(),
        to: document.origin.clone(),
    })
}

/// A removed connector that is the same but for its name, which neither of the two states itself.
fn renamed_from(document: &Document, removed: &[&Applied]) -> Option<String> {
    let without_name = |config: &Config| {
        let mut config = config.clone();
        config.0.remove("name");
        config
    };
    let same = |applied: &&&Applied| !document.named && without_name(&applied.config) == without_name(&document.config);
    removed.iter().find(same).map(|applied| applied.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(name: &str, file: &str, value: &str) -> Document {
        Document {
            name: name.into(),
            config: [("name", name), ("k", value)].into_iter().collect(),
            origin: Origin { file: file.into(), index: 0 },
            ..Document::default()
        }
    }

    fn applied(name: &str, file: &str, value: &str) -> Applied {
        let Document { name, config, origin, .. } = document(name, file, value);
        Applied { name, config, origin }
    }

    fn shown(steps: &[Step]) -> Vec<String> {
        let show = |step: &Step| match step {
            Step::Remove { name, .. } => format!("remove {name}"),
            Step::Create { document, renamed_from: None } => format!("create {}", document.name),
            Step::Create { document, renamed_from: Some(old) } => format!("create {} was {old}", document.name),
            Step::Change { document, keys } => format!("change {} {}", document.name, keys.join(",")),
            Step::Move { name, from, to } => format!("move {name} {} {}", from.file.display(), to.file.display()),
            Step::Reject { name, findings, .. } => format!("reject {name} {}", findings.len()),
        };
        steps.iter().map(show).collect()
    }

    fn check(previous: &[Applied], documents: Vec<Document>, expected: &[&str]) {
        let reading = Reading { documents, ..Reading::default() };
        assert_eq!(shown(&plan(previous, &reading)), expected);
    }

    #[test]
    fn steps_lead_from_what_runs_to_what_is_written() {
        let a = || applied("a", "a.yaml", "1");
        check(&[], vec![document("a", "a.yaml", "1")], &["create a"]);
        check(&[a()], vec![document("a", "a.yaml", "1")], &[]);
        check(&[a()], vec![document("a", "a.yaml", "2")], &["change a k"]);
        check(&[a()], vec![], &["remove a"]);
        check(&[a()], vec![document("b", "b.yaml", "2")], &["remove a", "create b"]);
    }

    #[test]
    fn a_renamed_file_is_a_move_when_the_document_names_itself_and_else_a_new_connector() {
        let a = || applied("a", "a.yaml", "1");
        check(&[a()], vec![Document { named: true, ..document("a", "z.yaml", "1") }], &["move a a.yaml z.yaml"]);
        check(&[a()], vec![document("z", "z.yaml", "1")], &["remove a", "create z was a"]);
        check(&[a()], vec![Document { named: true, ..document("z", "z.yaml", "1") }], &["remove a", "create z"]);
    }

    #[test]
    fn what_is_rejected_keeps_running_and_touches_nothing_else() {
        let running = [applied("a", "a.yaml", "1"), applied("b", "b.yaml", "1"), applied("c", "b.yaml", "1")];
        let bad = Document { rejected: true, ..document("a", "a.yaml", "2") };
        let finding = Finding { file: Some("b.yaml".into()), ..Finding::error("config.x", "") };
        let reading = Reading {
            documents: vec![bad],
            findings: vec![
                Finding { connector: Some("a".into()), file: Some("a.yaml".into()), ..finding.clone() },
                finding,
            ],
            broken: vec!["b.yaml".into()],
            ..Reading::default()
        };
        assert_eq!(shown(&plan(&running, &reading)), ["reject b 1", "reject c 1", "reject a 2"]);
    }

    #[test]
    fn a_second_document_of_the_same_name_changes_nothing() {
        let running = [applied("a", "a.yaml", "1")];
        let twice = ["a.yaml", "b.yaml"].map(|file| Document { rejected: true, ..document("a", file, "1") });
        check(&running, twice.to_vec(), &["reject a 0"]);
    }
}
