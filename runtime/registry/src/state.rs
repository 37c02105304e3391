//! What the topic says, in memory: subjects with their versions, ids, settings, modes. It only ever changes by [`State::apply`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::Value;
use towpath_convert::definition::{Definition, Level, Reference, Referenced};

use crate::entry::{Entry, Mode, Settings, Version};

/// How deep references may go.
const REFERENCES_DEPTH_MAX: usize = 32;

/// Everything by which schemas are the same.
type Content = (Definition, Option<String>);

/// The registry's state.
#[derive(Debug, Default)]
pub(crate) struct State {
    subjects: BTreeMap<String, BTreeMap<i32, Arc<Version>>>,
    /// Where each id is used.
    ids: BTreeMap<i32, BTreeSet<(String, i32)>>,
    contents: HashMap<Content, i32>,
    settings: BTreeMap<Option<String>, Settings>,
    modes: BTreeMap<Option<String>, Mode>,
    /// The highest id there ever was.
    id_max: i32,
}

/// Which versions count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Which {
    #[default]
    Present,
    Deleted,
    All,
}

impl Which {
    fn takes(self, version: &Version) -> bool {
        match self {
            Self::Present => !version.deleted,
            Self::Deleted => version.deleted,
            Self::All => true,
        }
    }
}

impl State {
    /// Takes in a change.
    pub(crate) fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Schema(version) => self.put(version),
            Entry::SchemaGone { subject, version } => self.remove(&subject, version),
            Entry::SubjectDeleted { subject, version: last } => {
                let versions = self.subjects.get_mut(&subject).into_iter().flatten();
                for (_, version) in versions.filter(|(version, _)| **version <= last) {
                    Arc::make_mut(version).deleted = true;
                }
            }
            Entry::SubjectCleared { subject } => {
                let deleted: Vec<i32> =
                    self.versions(&subject, Which::Deleted).map(|version| version.version).collect();
                deleted.into_iter().for_each(|version| self.remove(&subject, version));
            }
            Entry::Settings { subject, settings } => set(&mut self.settings, subject, settings),
            Entry::Mode { subject, mode } => set(&mut self.modes, subject, mode),
        }
    }

    fn put(&mut self, version: Version) {
        // What stood there before need not be of the same id: imports overwrite.
        self.remove(&version.subject, version.version);
        self.id_max = self.id_max.max(version.id);
        self.ids.entry(version.id).or_default().insert((version.subject.clone(), version.version));
        self.contents.entry(content(&version)).or_insert(version.id);
        let versions = self.subjects.entry(version.subject.clone()).or_default();
        versions.insert(version.version, Arc::new(version));
    }

    fn remove(&mut self, subject: &str, version: i32) {
        let Some(versions) = self.subjects.get_mut(subject) else { return };
        let Some(gone) = versions.remove(&version) else { return };
        if versions.is_empty() {
            self.subjects.remove(subject);
        }
        if let Some(places) = self.ids.get_mut(&gone.id) {
            places.remove(&(subject.to_owned(), version));
            if places.is_empty() {
                self.ids.remove(&gone.id);
                self.contents.remove(&content(&gone));
            }
        }
    }

    /// The subjects that have such versions.
    pub(crate) fn subjects(&self, which: Which) -> impl Iterator<Item = &str> {
        let has = move |versions: &BTreeMap<i32, Arc<Version>>| versions.values().any(|version| which.takes(version));
        self.subjects.iter().filter(move |(_, versions)| has(versions)).map(|(subject, _)| subject.as_str())
    }

    /// The versions of a subject, in order.
    pub(crate) fn versions(&self, subject: &str, which: Which) -> impl Iterator<Item = &Arc<Version>> {
        let versions = self.subjects.get(subject).into_iter().flat_map(BTreeMap::values);
        versions.filter(move |version| which.takes(version))
    }

    /// One version.
    pub(crate) fn version(&self, subject: &str, version: i32, which: Which) -> Option<&Arc<Version>> {
        self.subjects.get(subject)?.get(&version).filter(|version| which.takes(version))
    }

    /// The latest version.
    pub(crate) fn latest(&self, subject: &str, which: Which) -> Option<&Arc<Version>> {
        self.versions(subject, which).last()
    }

    /// The number that the next version of a subject gets.
    pub(crate) fn next_version(&self, subject: &str) -> i32 {
        self.latest(subject, Which::All).map_or(1, |version| version.version + 1)
    }

    /// Where an id is used; nothing where it is not known.
    pub(crate) fn places(&self, id: i32, which: Which) -> impl Iterator<Item = &Arc<Version>> {
        let places = self.ids.get(&id).into_iter().flatten();
        places.filter_map(move |(subject, version)| self.version(subject, *version, which))
    }

    /// How many ids are in use.
    pub(crate) fn ids(&self) -> usize {
        self.ids.len()
    }

    /// The id of a schema that is known.
    pub(crate) fn id_of(
        &self,
        definition: &Definition,
        metadata: Option<&Value>,
        rule_set: Option<&Value>,
    ) -> Option<i32> {
        self.contents.get(&(definition.clone(), also(metadata, rule_set))).copied()
    }

    /// The highest id there ever was.
    pub(crate) fn id_max(&self) -> i32 {
        self.id_max
    }

    /// What refers to this version.
    pub(crate) fn referrers(&self, subject: &str, version: i32, which: Which) -> BTreeSet<i32> {
        let refers = |reference: &Reference| reference.subject == subject && reference.version == version;
        let all = self.subjects.values().flat_map(BTreeMap::values).filter(|version| which.takes(version));
        all.filter(|version| version.references.iter().any(refers)).map(|version| version.id).collect()
    }

    /// The texts behind references, each after those that it refers to itself.
    ///
    /// # Errors
    /// The reference that leads nowhere, or too deep.
    pub(crate) fn referenced(&self, references: &[Reference]) -> Result<Vec<Referenced>, String> {
        let mut found = Vec::new();
        self.gather(references, REFERENCES_DEPTH_MAX, &mut found)?;
        Ok(found)
    }

    fn gather(&self, references: &[Reference], depth: usize, found: &mut Vec<Referenced>) -> Result<(), String> {
        let depth = depth.checked_sub(1).ok_or("references go deeper than any schema needs")?;
        for reference in references {
            let Reference { name, subject, version } = reference;
            let version = match *version {
                -1 => self.latest(subject, Which::Present),
                version => self.version(subject, version, Which::All),
            };
            let version = version.ok_or_else(|| {
                format!("No schema reference found for subject \"{subject}\" and version {}", reference.version)
            })?;
            self.gather(&version.references, depth, found)?;
            if !found.iter().any(|known| known.name == *name) {
                found.push(Referenced { name: name.clone(), text: version.schema.as_str().into() });
            }
        }
        Ok(())
    }

    /// What was set for a subject, or for all.
    pub(crate) fn settings(&self, subject: Option<&str>) -> Option<&Settings> {
        self.settings.get(&subject.map(str::to_owned))
    }

    /// The level that holds for a subject.
    pub(crate) fn level(&self, subject: Option<&str>) -> Level {
        self.in_scope(subject, |settings| settings.compatibility_level).unwrap_or_default()
    }

    /// Whether schemas of a subject are normalized unasked.
    pub(crate) fn normalizes(&self, subject: &str) -> bool {
        self.in_scope(Some(subject), |settings| settings.normalize).unwrap_or_default()
    }

    fn in_scope<T>(&self, subject: Option<&str>, of: impl Fn(&Settings) -> Option<T>) -> Option<T> {
        self.settings(subject).and_then(&of).or_else(|| self.settings(None).and_then(&of))
    }

    /// The mode that was set for a subject, or for all.
    pub(crate) fn mode(&self, subject: Option<&str>) -> Option<Mode> {
        self.modes.get(&subject.map(str::to_owned)).copied()
    }

    /// The mode that holds for a subject.
    pub(crate) fn mode_in_scope(&self, subject: Option<&str>) -> Mode {
        self.mode(subject).or_else(|| self.mode(None)).unwrap_or_default()
    }
}

fn content(version: &Version) -> Content {
    (version.definition(), also(version.metadata.as_ref(), version.rule_set.as_ref()))
}

fn also(metadata: Option<&Value>, rule_set: Option<&Value>) -> Option<String> {
    (metadata.is_some() || rule_set.is_some()).then(|| serde_json::json!([metadata, rule_set]).to_string())
}

fn set<T>(map: &mut BTreeMap<Option<String>, T>, subject: Option<String>, value: Option<T>) {
    match value {
        Some(value) => drop(map.insert(subject, value)),
        None => drop(map.remove(&subject)),
    }
}
