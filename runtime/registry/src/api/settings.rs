//! `/config` and `/mode`: what is asked of new schemas, and what may be done, for all subjects or for one.

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use towpath_convert::definition::Level;

use super::{Answer, JsonBody, Parameters};
use crate::entry::{Mode, Settings};
use crate::fault::Fault;
use crate::register::check_name;
use crate::registry::{Registry, Result};

/// Settings as clients send them, which is not quite as they are stored.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Update {
    #[serde(skip_serializing_if = "Option::is_none")]
    compatibility: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalize: Option<bool>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

impl Update {
    fn settings(&self) -> Result<Settings> {
        if let Some((name, _)) = self.others.iter().find(|(_, value)| !value.is_null()) {
            return Err(Fault::unreadable(format!(
                "The setting {name} is not supported; compatibility and normalize are"
            )));
        }
        let level = self.compatibility.as_deref().map(|name| name.parse().map_err(|()| Fault::invalid_level()));
        Ok(Settings { compatibility_level: level.transpose()?, normalize: self.normalize })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ModeBody {
    mode: String,
}

pub(super) async fn level(State(registry): State<Registry>) -> Answer<Settings> {
    let state = registry.state();
    let normalize = state.settings(None).and_then(|settings| settings.normalize);
    Answer(Settings { compatibility_level: Some(state.level(None)), normalize })
}

pub(super) async fn set_level(
    State(registry): State<Registry>,
    JsonBody(update): JsonBody<Update>,
) -> Result<Answer<Update>> {
    registry.set(None, update.settings()?).await?;
    Ok(Answer(update))
}

pub(super) async fn unset_level(State(registry): State<Registry>) -> Result<Answer<Settings>> {
    Ok(Answer(registry.unset(None).await?))
}

pub(super) async fn subject_level(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
) -> Result<Answer<Settings>> {
    let state = registry.state();
    match state.settings(Some(&subject)) {
        Some(settings) => Ok(Answer(settings.clone())),
        None if given.default_to_global => {
            let level: Level = state.level(Some(&subject));
            Ok(Answer(Settings { compatibility_level: Some(level), normalize: None }))
        }
        None => Err(Fault::level_not_configured(&subject)),
    }
}

pub(super) async fn set_subject_level(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    JsonBody(update): JsonBody<Update>,
) -> Result<Answer<Update>> {
    let settings = update.settings()?;
    check_name(&subject)?;
    registry.set(Some(&subject), settings).await?;
    Ok(Answer(update))
}

pub(super) async fn unset_subject_level(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
) -> Result<Answer<Settings>> {
    Ok(Answer(registry.unset(Some(&subject)).await?))
}

pub(super) async fn mode(State(registry): State<Registry>) -> Answer<Value> {
    Answer(shown(registry.state().mode_in_scope(None)))
}

pub(super) async fn set_mode(
    State(registry): State<Registry>,
    given: Parameters,
    JsonBody(body): JsonBody<ModeBody>,
) -> Result<Answer<ModeBody>> {
    let mode = Mode::named(&body.mode).ok_or_else(Fault::invalid_mode)?;
    registry.set_mode(None, mode, given.force).await?;
    Ok(Answer(body))
}

pub(super) async fn unset_mode(State(registry): State<Registry>) -> Result<Answer<Value>> {
    Ok(Answer(shown(registry.unset_mode(None).await?)))
}

pub(super) async fn subject_mode(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
) -> Result<Answer<Value>> {
    let state = registry.state();
    match state.mode(Some(&subject)) {
        Some(mode) => Ok(Answer(shown(mode))),
        None if given.default_to_global => Ok(Answer(shown(state.mode_in_scope(Some(&subject))))),
        None => Err(Fault::mode_not_configured(&subject)),
    }
}

pub(super) async fn set_subject_mode(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
    given: Parameters,
    JsonBody(body): JsonBody<ModeBody>,
) -> Result<Answer<ModeBody>> {
    let mode = Mode::named(&body.mode).ok_or_else(Fault::invalid_mode)?;
    check_name(&subject)?;
    registry.set_mode(Some(&subject), mode, given.force).await?;
    Ok(Answer(body))
}

pub(super) async fn unset_subject_mode(
    State(registry): State<Registry>,
    Path(subject): Path<String>,
) -> Result<Answer<Value>> {
    Ok(Answer(shown(registry.unset_mode(Some(&subject)).await?)))
}

fn shown(mode: Mode) -> Value {
    json!({ "mode": mode })
}
