//! `/subjects`: schemas by subject and version.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};

use super::{Answer, JsonBody, Parameters, formatted, shown, text_answer};
use crate::fault::Fault;
use crate::register::Submitted;
use crate::registry::{Registry, Result, find};
use crate::state::Which;

pub(super) async fn list(State(registry): State<Registry>, given: Parameters) -> Answer<Vec<String>> {
    let state = registry.state();
    let subjects = state.subjects(given.which()).filter(|subject| subject.starts_with(&given.subject_prefix));
    Answer(given.page(subjects.map(str::to_owned)))
}

pub(super) async fn look_up(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
    JsonBody(schema): JsonBody<Submitted>,
) -> Result<Answer<Value>> {
    let found = registry.look_up(&subject, &schema, given.normalize, given.which())?;
    Ok(Answer(shown(formatted(&registry, found, &given.format)?.as_ref())))
}

pub(super) async fn delete(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
) -> Result<Answer<Vec<i32>>> {
    Ok(Answer(registry.delete_subject(&subject, given.permanent).await?))
}

pub(super) async fn versions(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
) -> Result<Answer<Vec<i32>>> {
    let state = registry.state();
    let known = if given.which() == Which::Present { Which::Present } else { Which::All };
    if state.latest(&subject, known).is_none() {
        return Err(Fault::subject_not_found(&subject));
    }
    Ok(Answer(given.page(state.versions(&subject, given.which()).map(|version| version.version))))
}

pub(super) async fn register(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
    JsonBody(schema): JsonBody<Submitted>,
) -> Result<Answer<Value>> {
    let version = registry.register(&subject, &schema, given.normalize).await?;
    // Clients keep what they are answered, and who sends a schema in one form reads it in that one.
    let sent = version.schema_type.format_of(schema.schema.as_deref().unwrap_or_default());
    let version = formatted(&registry, version, sent.unwrap_or(&given.format))?;
    let mut answer = json!({ "id": version.id, "version": version.version });
    if let (Value::Object(answer), Value::Object(schema)) = (&mut answer, super::shown_schema(&version)) {
        answer.extend(schema);
    }
    Ok(Answer(answer))
}

pub(super) async fn version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    given: Parameters,
) -> Result<Answer<Value>> {
    let found = find(&registry.state(), &subject, &version, given.which())?.clone();
    Ok(Answer(shown(formatted(&registry, found, &given.format)?.as_ref())))
}

pub(super) async fn version_schema(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    given: Parameters,
) -> Result<Response> {
    let found = find(&registry.state(), &subject, &version, given.which())?.clone();
    Ok(text_answer(formatted(&registry, found, &given.format)?.schema.clone()))
}

pub(super) async fn referenced_by(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    given: Parameters,
) -> Result<Answer<Vec<i32>>> {
    let state = registry.state();
    let found = find(&state, &subject, &version, Which::All)?;
    Ok(Answer(given.page(state.referrers(&subject, found.version, given.which()).into_iter())))
}

pub(super) async fn delete_version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    given: Parameters,
) -> Result<Answer<i32>> {
    Ok(Answer(registry.delete_version(&subject, &version, given.permanent).await?))
}
