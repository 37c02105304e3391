//! `/schemas`: schemas by their ids, whatever the subject.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use towpath_convert::definition::SchemaType;

use super::{Answer, Parameters, formatted, shown, shown_schema, text_answer};
use crate::entry::Version;
use crate::fault::Fault;
use crate::registry::{Registry, Result};
use crate::state::Which;

pub(super) async fn types() -> Answer<Vec<&'static str>> {
    Answer(SchemaType::ALL.map(SchemaType::name).to_vec())
}

pub(super) async fn list(State(registry): State<Registry>, given: Parameters) -> Answer<Vec<Value>> {
    let state = registry.state();
    let subjects = state.subjects(given.which()).filter(|subject| subject.starts_with(&given.subject_prefix));
    let versions = subjects.flat_map(|subject| {
        let versions: Vec<_> = state.versions(subject, given.which()).collect();
        let skipped = if given.latest_only { versions.len().saturating_sub(1) } else { 0 };
        versions.into_iter().skip(skipped)
    });
    Answer(given.page(versions.map(|version| shown(version))))
}

pub(super) async fn by_id(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    given: Parameters,
) -> Result<Answer<Value>> {
    let version = formatted(&registry, find(&registry, &id)?, &given.format)?;
    let mut answer = shown_schema(&version);
    if given.fetch_max_id {
        answer["maxId"] = registry.state().id_max().into();
    }
    Ok(Answer(answer))
}

pub(super) async fn text_by_id(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    given: Parameters,
) -> Result<Response> {
    Ok(text_answer(formatted(&registry, find(&registry, &id)?, &given.format)?.schema.clone()))
}

pub(super) async fn subjects_of(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    given: Parameters,
) -> Result<Answer<Vec<String>>> {
    let id = find(&registry, &id)?.id;
    let state = registry.state();
    let subjects: BTreeSet<_> = state.places(id, given.which()).map(|version| version.subject.clone()).collect();
    Ok(Answer(given.page(subjects.into_iter())))
}

pub(super) async fn versions_of(
    State(registry): State<Registry>,
    Path(id): Path<String>,
    given: Parameters,
) -> Result<Answer<Vec<Value>>> {
    let id = find(&registry, &id)?.id;
    let state = registry.state();
    let places = state.places(id, given.which());
    Ok(Answer(given.page(places.map(|version| json!({"subject": version.subject, "version": version.version})))))
}

/// A schema by its id; one that was softly deleted still reads what was written under it.
fn find(registry: &Registry, id: &str) -> Result<Arc<Version>> {
    let id: i32 = id.parse().map_err(|_| Fault::http(axum::http::StatusCode::NOT_FOUND))?;
    registry.state().places(id, Which::All).next().cloned().ok_or_else(|| Fault::id_not_found(id))
}
