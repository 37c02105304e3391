//! The registry: reads its state from the topic, answers, and makes changes one after another.
//!
//! A change is decided on the state, written, and applied when it is durable; nobody sees it before (invariants 1 and 5).

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use tokio::sync::{Mutex, MutexGuard};
use towpath_convert::definition::{Earlier, Level, Parsed, incompatibilities};
use towpath_log::{Commit, LogEngine, records};

use crate::entry::{Entry, Mode, Settings, Version};
use crate::error::Error;
use crate::fault::Fault;
use crate::metrics::{Answers, RegistryMetrics};
use crate::state::{State, Which};
use crate::{TOPIC, register};

pub(crate) type Result<T> = std::result::Result<T, Fault>;

/// A schema registry over a log. Cheap to clone.
#[derive(Clone)]
pub struct Registry(Arc<Inner>);

struct Inner {
    log: Arc<dyn LogEngine>,
    state: RwLock<State>,
    /// Held by whoever decides on a change until it is applied.
    writing: Mutex<()>,
    answers: Answers,
}

impl Registry {
    /// Reads the topic, or makes it where there is none.
    ///
    /// # Errors
    /// [`Error::Log`]. Records that cannot be read are passed over with a warning: one of them must not hold up all schemas.
    pub async fn open(log: Arc<dyn LogEngine>) -> std::result::Result<Self, Error> {
        let failed = |source| Error::Log { topic: TOPIC, source: Arc::new(source) };
        let topic = records::compacted(log.as_ref(), TOPIC, 1, &[]).await.map_err(failed)?;
        let mut state = State::default();
        records::read(log.as_ref(), &topic, |key, value| match Entry::read(key, value) {
            Ok(entry) => entry.into_iter().for_each(|entry| state.apply(entry)),
            Err(error) => {
                tracing::warn!(topic = TOPIC, key = %String::from_utf8_lossy(key), %error, "record cannot be read");
            }
        })
        .await
        .map_err(failed)?;
        let (state, writing) = (RwLock::new(state), Mutex::new(()));
        Ok(Self(Arc::new(Inner { log, state, writing, answers: Answers::default() })))
    }

    /// Its numbers.
    pub fn metrics(&self) -> RegistryMetrics {
        let state = self.state();
        RegistryMetrics {
            subjects: state.subjects(Which::Present).count() as u64,
            schemas: state.ids() as u64,
            requests_total: self.0.answers.total(),
            requests_refused_total: self.0.answers.refused(),
        }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, success: bool) {
        self.0.answers.count(success);
    }

    /// What is known.
    pub(crate) fn state(&self) -> RwLockReadGuard<'_, State> {
        self.0.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other change is under way.
    pub(crate) async fn writing(&self) -> MutexGuard<'_, ()> {
        self.0.writing.lock().await
    }

    /// Makes a change, whole or not at all.
    pub(crate) async fn write(&self, _: &MutexGuard<'_, ()>, entries: Vec<Entry>) -> Result<()> {
        let texts: Vec<_> = entries.iter().map(Entry::record).collect();
        let batch = texts.iter().map(|(key, value)| (key.as_bytes(), value.as_deref().map(str::as_bytes)));
        let commit = Commit { records: vec![records::batch(TOPIC, batch)], ..Commit::default() };
        self.0.log.commit_atomic(commit).await.map_err(|error| Fault::store(&error))?;
        let mut state = self.0.state.write().unwrap_or_else(PoisonError::into_inner);
        entries.into_iter().for_each(|entry| state.apply(entry));
        Ok(())
    }

    /// Deletes a subject, softly or for good; says which versions that were.
    pub(crate) async fn delete_subject(&self, subject: &str, permanent: bool) -> Result<Vec<i32>> {
        let writing = self.writing().await;
        let (versions, entries) = {
            let state = self.state();
            check_writable(&state, Some(subject))?;
            let of = |which| state.versions(subject, which).map(|version| version.version).collect::<Vec<_>>();
            let (present, all) = (of(Which::Present), of(Which::All));
            let last = *all.last().ok_or_else(|| Fault::subject_not_found(subject))?;
            let versions = match (permanent, present.is_empty()) {
                (true, false) => return Err(Fault::subject_not_soft_deleted(subject)),
                (false, true) => return Err(Fault::subject_soft_deleted(subject)),
                (true, true) => all,
                (false, false) => present,
            };
            versions.iter().try_for_each(|version| check_unreferenced(&state, subject, *version, permanent))?;
            let subject = subject.to_owned();
            let entries = if permanent {
                let gone = |version: &i32| Entry::SchemaGone { subject: subject.clone(), version: *version };
                versions.iter().map(gone).collect()
            } else {
                let deleted = Entry::SubjectDeleted { subject: subject.clone(), version: last };
                std::iter::once(deleted).chain(without_settings(&state, &subject)).collect()
            };
            (versions, entries)
        };
        self.write(&writing, entries).await?;
        Ok(versions)
    }

    /// Deletes one version, softly or for good; says which it was.
    pub(crate) async fn delete_version(&self, subject: &str, version: &str, permanent: bool) -> Result<i32> {
        let writing = self.writing().await;
        let (number, entries) = {
            let state = self.state();
            check_writable(&state, Some(subject))?;
            let found = find(&state, subject, version, Which::All)?;
            match (permanent, found.deleted) {
                (true, false) => return Err(Fault::version_not_soft_deleted(subject, found.version)),
                (false, true) => return Err(Fault::version_soft_deleted(subject, found.version)),
                _ => {}
            }
            check_unreferenced(&state, subject, found.version, permanent)?;
            let number = found.version;
            let mut entries = vec![if permanent {
                Entry::SchemaGone { subject: subject.to_owned(), version: number }
            } else {
                Entry::Schema(Version { deleted: true, ..found.as_ref().clone() })
            }];
            if !permanent && state.versions(subject, Which::Present).all(|version| version.version == number) {
                entries.extend(without_settings(&state, subject));
            }
            (number, entries)
        };
        self.write(&writing, entries).await?;
        Ok(number)
    }

    /// Sets what holds for a subject, or for all; what is not given stays.
    pub(crate) async fn set(&self, subject: Option<&str>, given: Settings) -> Result<()> {
        let writing = self.writing().await;
        let settings = {
            let state = self.state();
            check_writable(&state, subject)?;
            let before = state.settings(subject).cloned().unwrap_or_default();
            Settings {
                normalize: given.normalize.or(before.normalize),
                compatibility_level: given.compatibility_level.or(before.compatibility_level),
            }
        };
        self.write(&writing, vec![Entry::Settings { subject: subject.map(str::to_owned), settings: Some(settings) }])
            .await
    }

    /// Takes back what was set for a subject, or for all, and says what that was.
    pub(crate) async fn unset(&self, subject: Option<&str>) -> Result<Settings> {
        let writing = self.writing().await;
        let before = {
            let state = self.state();
            check_writable(&state, subject)?;
            match (state.settings(subject), subject) {
                (Some(settings), _) => settings.clone(),
                (None, Some(subject)) => return Err(Fault::subject_not_found(subject)),
                (None, None) => Settings { compatibility_level: Some(Level::default()), normalize: None },
            }
        };
        self.write(&writing, vec![Entry::Settings { subject: subject.map(str::to_owned), settings: None }]).await?;
        Ok(before)
    }

    /// Sets the mode of a subject, or of all.
    pub(crate) async fn set_mode(&self, subject: Option<&str>, mode: Mode, force: bool) -> Result<()> {
        let writing = self.writing().await;
        if mode == Mode::Import && !force {
            let state = self.state();
            let taken = match subject {
                Some(subject) => state.latest(subject, Which::All).is_some(),
                None => state.subjects(Which::All).next().is_some(),
            };
            if taken && state.mode_in_scope(subject) != Mode::Import {
                return Err(Fault::not_permitted("Cannot import since found existing subjects"));
            }
        }
        self.write(&writing, vec![Entry::Mode { subject: subject.map(str::to_owned), mode: Some(mode) }]).await
    }

    /// Takes back the mode of a subject, or of all, and says what it was.
    pub(crate) async fn unset_mode(&self, subject: Option<&str>) -> Result<Mode> {
        let writing = self.writing().await;
        let before = match (self.state().mode(subject), subject) {
            (Some(mode), _) => mode,
            (None, Some(subject)) => return Err(Fault::subject_not_found(subject)),
            (None, None) => Mode::default(),
        };
        self.write(&writing, vec![Entry::Mode { subject: subject.map(str::to_owned), mode: None }]).await?;
        Ok(before)
    }
}

/// The version that a client names: a number, `latest` or -1.
pub(crate) fn find<'a>(state: &'a State, subject: &str, version: &str, which: Which) -> Result<&'a Arc<Version>> {
    let number = match version {
        "latest" | "-1" => None,
        number => {
            let number = number.parse::<i32>().ok().filter(|number| *number > 0);
            Some(number.ok_or_else(|| Fault::invalid_version(version))?)
        }
    };
    let found = match number {
        Some(number) => state.version(subject, number, which),
        None => state.latest(subject, which),
    };
    found.ok_or_else(|| match number {
        Some(number) if state.latest(subject, which).is_some() => Fault::version_not_found(number),
        _ => Fault::subject_not_found(subject),
    })
}

/// Why a schema may not follow these versions of a subject; nothing where it may.
pub(crate) fn conflicts<'a>(
    state: &State,
    level: Level,
    schema: &Parsed,
    versions: impl Iterator<Item = &'a Arc<Version>>,
) -> Result<Vec<String>> {
    if level == Level::None {
        return Ok(Vec::new());
    }
    let earlier = versions.map(|version| {
        let definition = version.definition();
        Ok(Earlier { version: version.version, schema: register::parse(state, &definition)? })
    });
    Ok(incompatibilities(level, schema, &earlier.collect::<Result<Vec<_>>>()?))
}

pub(crate) fn check_writable(state: &State, subject: Option<&str>) -> Result<()> {
    if state.mode_in_scope(subject) == Mode::ReadOnly {
        let subject = subject.unwrap_or_default();
        return Err(Fault::not_permitted(format!("Subject {subject} in context . is in read-only mode")));
    }
    Ok(())
}

fn check_unreferenced(state: &State, subject: &str, version: i32, permanent: bool) -> Result<()> {
    let which = if permanent { Which::All } else { Which::Present };
    if state.referrers(subject, version, which).is_empty() { Ok(()) } else { Err(Fault::referenced(subject, version)) }
}

/// A subject that is deleted leaves no settings behind.
fn without_settings(state: &State, subject: &str) -> Vec<Entry> {
    let name = Some(subject.to_owned());
    let mode = state.mode(Some(subject)).map(|_| Entry::Mode { subject: name.clone(), mode: None });
    let settings = state.settings(Some(subject)).map(|_| Entry::Settings { subject: name, settings: None });
    mode.into_iter().chain(settings).collect()
}
