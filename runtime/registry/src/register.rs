//! Registering a schema under a subject, and finding one that is registered.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use towpath_convert::definition::{Definition, Parsed, Reference, SchemaType};

use crate::entry::{Entry, Mode, Version};
use crate::fault::Fault;
use crate::registry::{Registry, Result, conflicts};
use crate::state::{State, Which};

/// A schema as clients send it, and this one to others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Submitted {
    pub(crate) schema: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) schema_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) references: Option<Vec<Reference>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rule_set: Option<Value>,
    /// Only where schemas are imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<i32>,
}

/// A submitted schema that is understood.
pub(crate) struct Understood {
    pub(crate) parsed: Parsed,
    /// With the canonical text.
    pub(crate) definition: Definition,
}

/// Reads a schema that is registered, or is about to be.
pub(crate) fn parse(state: &State, definition: &Definition) -> Result<Parsed> {
    let refused = |reason: &str| {
        let Definition { schema_type, text, references } = definition;
        let names: Vec<&str> = references.iter().map(|reference| reference.name.as_str()).collect();
        let refs = names.join(", ");
        Fault::invalid_schema(format!(
            "Invalid schema {text} with refs [{refs}] of type {schema_type}, details: {reason}"
        ))
    };
    let referenced = state.referenced(&definition.references).map_err(|reason| refused(&reason))?;
    Parsed::new(definition.schema_type, &definition.text, &referenced).map_err(|invalid| refused(&invalid.to_string()))
}

impl Submitted {
    /// Reads the schema.
    pub(crate) fn understood(&self, state: &State, normalize: bool) -> Result<Understood> {
        let schema_type = match self.schema_type.as_deref() {
            None | Some("") => SchemaType::default(),
            Some(name) => name.parse().map_err(|()| Fault::invalid_schema(format!("Invalid schema type {name}")))?,
        };
        let text = self.schema.as_deref().unwrap_or_default();
        if text.trim().is_empty() {
            return Err(Fault::invalid_schema("Empty schema"));
        }
        let mut references = self.references.clone().unwrap_or_default();
        for reference in references.iter_mut().filter(|reference| reference.version == -1) {
            // The latest of today: what a registered schema means does not change.
            let latest = state.latest(&reference.subject, Which::Present);
            reference.version = latest.map_or(-1, |latest| latest.version);
        }
        if normalize {
            references.sort();
        }
        let definition = Definition { schema_type, text: text.into(), references };
        let parsed = parse(state, &definition)?;
        let text = parsed.canonical(normalize).into();
        Ok(Understood { parsed, definition: Definition { text, ..definition } })
    }

    fn id(&self) -> Option<i32> {
        self.id.filter(|id| *id >= 0)
    }
}

impl Registry {
    /// Registers a schema, unless the subject has it already.
    pub(crate) async fn register(&self, subject: &str, given: &Submitted, normalize: bool) -> Result<Arc<Version>> {
        check_name(subject)?;
        // Most clients ask for what is there; they wait for no write.
        if given.id().is_none()
            && let Some(known) = self.registered(subject, given, normalize)?
        {
            return Ok(known);
        }
        let writing = self.writing().await;
        let version = {
            let state = self.state();
            match planned(&state, subject, given, normalize)? {
                Planned::There(version) => return Ok(version),
                Planned::New(version) => version,
            }
        };
        self.write(&writing, vec![Entry::Schema(version.clone())]).await?;
        tracing::info!(subject, version = version.version, id = version.id, "schema registered");
        Ok(Arc::new(version))
    }

    /// The schema of a subject, if it is registered and may be asked for in this mode.
    fn registered(&self, subject: &str, given: &Submitted, normalize: bool) -> Result<Option<Arc<Version>>> {
        let state = self.state();
        if state.mode_in_scope(Some(subject)) != Mode::ReadWrite || given.version.is_some_and(|version| version > 0) {
            return Ok(None);
        }
        let understood = given.understood(&state, normalize || state.normalizes(subject))?;
        Ok(known(&state, subject, given, &understood))
    }

    /// Finds a schema under a subject.
    pub(crate) fn look_up(
        &self,
        subject: &str,
        given: &Submitted,
        normalize: bool,
        which: Which,
    ) -> Result<Arc<Version>> {
        let state = self.state();
        if state.latest(subject, which).is_none() {
            return Err(Fault::subject_not_found(subject));
        }
        let normalize = normalize || state.normalizes(subject);
        let wanted = given.understood(&state, normalize)?;
        let same = |version: &Version| {
            let definition = version.definition();
            if definition == wanted.definition {
                return true;
            }
            // Registered as it was written, asked for in its normal form.
            normalize
                && definition.schema_type == wanted.definition.schema_type
                && parse(&state, &definition).is_ok_and(|parsed| parsed.canonical(true) == *wanted.definition.text)
        };
        let found = state.versions(subject, which).filter(|version| same(version)).last();
        found.cloned().ok_or_else(Fault::schema_not_found)
    }
}

enum Planned {
    There(Arc<Version>),
    New(Version),
}

/// Decides what registering a schema comes to.
fn planned(state: &State, subject: &str, given: &Submitted, normalize: bool) -> Result<Planned> {
    let mode = state.mode_in_scope(Some(subject));
    let refused = |what: &str| Err(Fault::not_permitted(format!("Subject {subject} in context . is {what}")));
    match (mode, given.id()) {
        (Mode::ReadOnly, _) => return refused("in read-only mode"),
        (Mode::ReadWrite, Some(_)) => return refused("not in import mode"),
        (Mode::Import, None) => return refused("not in read-write mode"),
        (Mode::ReadWrite, None) | (Mode::Import, Some(_)) => {}
    }
    let understood = given.understood(state, normalize || state.normalizes(subject))?;
    let next = state.next_version(subject);
    let version = given.version.filter(|version| *version > 0);
    if version.is_none()
        && let Some(known) = known(state, subject, given, &understood)
    {
        return Ok(Planned::There(known));
    }
    let known_id = state.id_of(&understood.definition, given.metadata.as_ref(), given.rule_set.as_ref());
    let id = match given.id() {
        Some(id) if known_id != Some(id) && state.places(id, Which::All).next().is_some() => {
            return Err(Fault::not_permitted(format!("Overwrite new schema with id {id} is not permitted.")));
        }
        Some(id) => id,
        None => {
            let messages = conflicts(
                state,
                state.level(Some(subject)),
                &understood.parsed,
                state.versions(subject, Which::Present),
            )?;
            if !messages.is_empty() {
                return Err(Fault::incompatible(subject, &messages));
            }
            if version.is_some_and(|version| version != next) {
                return Err(Fault::invalid_schema("Version is not one more than previous version"));
            }
            known_id.unwrap_or(state.id_max() + 1)
        }
    };
    let Definition { schema_type, text, references } = understood.definition;
    Ok(Planned::New(Version {
        subject: subject.to_owned(),
        version: version.unwrap_or(next),
        id,
        schema_type,
        references,
        metadata: given.metadata.clone(),
        rule_set: given.rule_set.clone(),
        schema: text.to_string(),
        deleted: false,
    }))
}

/// The version of a subject that holds this very schema.
fn known(state: &State, subject: &str, given: &Submitted, understood: &Understood) -> Option<Arc<Version>> {
    let same = |version: &&Arc<Version>| {
        version.definition() == understood.definition
            && version.metadata == given.metadata
            && version.rule_set == given.rule_set
            && given.id().is_none_or(|id| id == version.id)
    };
    state.versions(subject, Which::Present).filter(same).last().cloned()
}

/// Names that are no subject's: of contexts, which there are none of here, and of what stands for all subjects.
pub(crate) fn check_name(subject: &str) -> Result<()> {
    let reserved = subject.is_empty() || subject.starts_with(":.") || subject == "__GLOBAL" || subject == "__EMPTY";
    if reserved || subject.chars().any(char::is_control) {
        return Err(Fault::invalid_subject(subject));
    }
    Ok(())
}
