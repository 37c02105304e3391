//! `/compatibility`: may a schema follow those that a subject has, without registering it.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{Answer, JsonBody, Parameters};
use crate::entry::Version;
use crate::fault::Fault;
use crate::register::Submitted;
use crate::registry::{Registry, Result, conflicts, find};
use crate::state::{self, Which};

pub(super) async fn with_version(
    State(registry): State<Registry>,
    Path((subject, version)): Path<(String, String)>,
    given: Parameters,
    JsonBody(schema): JsonBody<Submitted>,
) -> Result<Answer<Value>> {
    let state = registry.state();
    let latest = matches!(version.as_str(), "latest" | "-1");
    let versions = match find(&state, &subject, &version, Which::Present) {
        Ok(found) => vec![found],
        Err(Fault { code: 40401 | 40402, .. }) if latest => Vec::new(),
        Err(Fault { code: 40401, .. }) => return Err(Fault::version_not_found(version)),
        Err(fault) => return Err(fault),
    };
    answer(&state, &subject, &given, &schema, versions)
}

pub(super) async fn with_all(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
    JsonBody(schema): JsonBody<Submitted>,
) -> Result<Answer<Value>> {
    let state = registry.state();
    let versions = state.versions(&subject, Which::Present).collect();
    answer(&state, &subject, &given, &schema, versions)
}

fn answer(
    state: &state::State,
    subject: &str,
    given: &Parameters,
    schema: &Submitted,
    versions: Vec<&Arc<Version>>,
) -> Result<Answer<Value>> {
    let messages = match schema.understood(state, given.normalize || state.normalizes(subject)) {
        Ok(understood) => conflicts(state, state.level(Some(subject)), &understood.parsed, versions.into_iter())?,
        Err(fault) if given.verbose => vec![fault.message],
        Err(fault) => return Err(fault),
    };
    let compatible = messages.is_empty();
    Ok(Answer(match given.verbose {
        true => json!({ "is_compatible": compatible, "messages": messages }),
        false => json!({ "is_compatible": compatible }),
    }))
}
