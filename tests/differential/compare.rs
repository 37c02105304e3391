//! Holds two sides against each other and sorts what differs: corrected on purpose, or found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::corrections::Corrections;
use crate::json::{ABSENT, Difference, differences};
use crate::record::{Record, Topic, Topics};

/// How much of a value a report shows.
const SHOWN_CHARACTERS: usize = 300;
/// How many kinds of differences a report shows.
const SHOWN_FINDINGS: usize = 40;

/// The phase of a record, as corrections name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Snapshot,
    Stream,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Snapshot => "snapshot",
            Self::Stream => "stream",
        })
    }
}

/// A difference with its place.
#[derive(Clone, Debug)]
struct Finding {
    topic: String,
    phase: Phase,
    index: usize,
    difference: Difference,
    count: usize,
}

/// What a comparison found.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// One for each kind: part and path without numbers, with the first example.
    findings: BTreeMap<String, Finding>,
    /// How often each correction was met.
    pub(crate) corrected: BTreeMap<String, usize>,
    pub(crate) records: usize,
}

impl Report {
    pub(crate) fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, topic: &str, phase: Phase, index: usize, difference: Difference, corrections: &Corrections) {
        if let Some(id) = corrections.explain(topic, phase, &difference) {
            *self.corrected.entry(id.to_owned()).or_default() += 1;
            return;
        }
        let kind = kind(phase, &difference);
        self.findings.entry(kind).and_modify(|finding| finding.count += 1).or_insert_with(|| Finding {
            topic: topic.to_owned(),
            phase,
            index,
            difference,
            count: 1,
        });
    }
}

/// What differences of one kind have in common: the same part of columns of the same type.
fn kind(phase: Phase, difference: &Difference) -> String {
    let words: Vec<&str> =
        difference.path.iter().map(|word| word.trim_end_matches(|c: char| !c.is_alphabetic())).collect();
    format!("{phase} {}", words.join("."))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in self.findings.values().take(SHOWN_FINDINGS) {
            let Finding { topic, phase, index, difference, count } = finding;
            writeln!(f, "{topic} {phase} {index} {} ({count} like it)", difference.path.join("."))?;
            writeln!(f, "    Debezium: {}", shown(&difference.theirs))?;
            writeln!(f, "    Towpath:  {}", shown(&difference.ours))?;
        }
        if self.findings.len() > SHOWN_FINDINGS {
            writeln!(f, "and {} more kinds", self.findings.len() - SHOWN_FINDINGS)?;
        }
        Ok(())
    }
}

fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

/// Compares topic by topic and record by record.
pub(crate) fn compare(theirs: &Topics, ours: &Topics, corrections: &Corrections) -> Report {
    let mut report = Report::default();
    let nothing = Topic::default();
    let names: BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
    for name in names {
        let (theirs, ours) = (theirs.get(name).unwrap_or(&nothing), ours.get(name).unwrap_or(&nothing));
        for (phase, theirs, ours) in
            [(Phase::Snapshot, &theirs.snapshot, &ours.snapshot), (Phase::Stream, &theirs.stream, &ours.stream)]
        {
            compare_in_order(name, phase, theirs, ours, corrections, &mut report);
        }
    }
    report
}

fn compare_in_order(
    topic: &str,
    phase: Phase,
    theirs: &[Record],
    ours: &[Record],
    corrections: &Corrections,
    report: &mut Report,
) {
    let (mut left, mut right) = (0, 0);
    while left < theirs.len() || right < ours.len() {
        let (mine, other) = (theirs.get(left), ours.get(right));
        let is_same = mine.zip(other).is_some_and(|(theirs, ours)| theirs.identity() == ours.identity());
        // A record that one side alone has is told as such, and the rest is still compared with its like.
        if !is_same && mine.is_some() && mine.map(Record::identity) == ours.get(right + 1).map(Record::identity) {
            report.add(topic, phase, right, alone(None, other), corrections);
            right += 1;
            continue;
        }
        if other.is_none() || (!is_same && other.map(Record::identity) == theirs.get(left + 1).map(Record::identity)) {
            report.add(topic, phase, left, alone(mine, None), corrections);
            left += 1;
            continue;
        }
        let (Some(mine), Some(other)) = (mine, other) else {
            report.add(topic, phase, right, alone(None, other), corrections);
            right += 1;
            continue;
        };
        compare_records(topic, phase, left, mine, other, corrections, report);
        (left, right) = (left + 1, right + 1);
    }
}

/// A record that only one side has.
fn alone(theirs: Option<&Record>, ours: Option<&Record>) -> Difference {
    let text = |record: Option<&Record>| {
        record.map_or_else(|| ABSENT.to_owned(), |record| format!("{} {}", record.key, record.value))
    };
    let side = if theirs.is_some() { "only Debezium" } else { "only Towpath" };
    Difference { path: vec![side.to_owned()], theirs: text(theirs), ours: text(ours) }
}

fn compare_records(
    topic: &str,
    phase: Phase,
    index: usize,
    theirs: &Record,
    ours: &Record,
    corrections: &Corrections,
    report: &mut Report,
) {
    report.records += 1;
    let parts = [
        ("key", &theirs.key, &ours.key),
        ("value", &theirs.value, &ours.value),
        ("headers", &theirs.headers, &ours.headers),
    ];
    for (part, theirs, ours) in parts {
        for mut difference in differences(theirs, ours) {
            difference.path.insert(0, part.to_owned());
            report.add(topic, phase, index, difference, corrections);
        }
    }
}
