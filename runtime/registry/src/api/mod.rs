//! The interface: paths, parameters, bodies. One file for each family of paths; nothing is decided here.

mod compatibility;
mod schemas;
mod settings;
mod subjects;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::entry::Version;
use crate::fault::Fault;
use crate::register::parse;
use crate::registry::{Registry, Result};
use crate::state::Which;

/// The media type of all answers.
const MEDIA_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// All routes, behind nothing.
pub(crate) fn routes(registry: Registry, body_bytes_max: usize) -> Router {
    Router::new()
        .route("/", get(async || Answer(json!({}))))
        .route("/contexts", get(async || Answer(json!(["."]))))
        .route("/subjects", get(subjects::list))
        .route("/subjects/{subject}", post(subjects::look_up).delete(subjects::delete))
        .route("/subjects/{subject}/versions", get(subjects::versions).post(subjects::register))
        .route("/subjects/{subject}/versions/{version}", get(subjects::version).delete(subjects::delete_version))
        .route("/subjects/{subject}/versions/{version}/schema", get(subjects::version_schema))
        .route("/subjects/{subject}/versions/{version}/referencedby", get(subjects::referenced_by))
        .route("/schemas", get(schemas::list))
        .route("/schemas/types", get(schemas::types))
        .route("/schemas/ids/{id}", get(schemas::by_id))
        .route("/schemas/ids/{id}/schema", get(schemas::text_by_id))
        .route("/schemas/ids/{id}/subjects", get(schemas::subjects_of))
        .route("/schemas/ids/{id}/versions", get(schemas::versions_of))
        .route("/config", get(settings::level).put(settings::set_level).delete(settings::unset_level))
        .route(
            "/config/{subject}",
            get(settings::subject_level).put(settings::set_subject_level).delete(settings::unset_subject_level),
        )
        .route("/mode", get(settings::mode).put(settings::set_mode).delete(settings::unset_mode))
        .route(
            "/mode/{subject}",
            get(settings::subject_mode).put(settings::set_subject_mode).delete(settings::unset_subject_mode),
        )
        .route("/compatibility/subjects/{subject}/versions", post(compatibility::with_all))
        .route("/compatibility/subjects/{subject}/versions/{version}", post(compatibility::with_version))
        .fallback(|| std::future::ready(Fault::http(StatusCode::NOT_FOUND)))
        .method_not_allowed_fallback(|| std::future::ready(Fault::http(StatusCode::METHOD_NOT_ALLOWED)))
        .layer(axum::Extension(BodyLimit(body_bytes_max)))
        .with_state(registry)
}

/// An answer in JSON.
pub(crate) struct Answer<T>(pub(crate) T);

impl<T: Serialize> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        match serde_json::to_string(&self.0) {
            Ok(text) => text_answer(text),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    }
}

/// An answer that is a schema's bare text.
fn text_answer(text: String) -> Response {
    ([(CONTENT_TYPE, MEDIA_TYPE)], text).into_response()
}

/// The largest body.
#[derive(Clone, Copy)]
struct BodyLimit(usize);

/// A body in JSON, whatever media type it names: clients send several.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self> {
        let limit = request.extensions().get::<BodyLimit>().map_or(usize::MAX, |limit| limit.0);
        let length =
            request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(Fault::too_large(limit));
        }
        let body: Body = request.into_body();
        let bytes = axum::body::to_bytes(body, limit).await.map_err(|_| Fault::too_large(limit))?;
        let unreadable =
            |error: serde_json::Error| Fault::unreadable(format!("The request body is not what is expected: {error}"));
        serde_json::from_slice(&bytes).map(Self).map_err(unreadable)
    }
}

/// Query parameters; those that are not known are passed over.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    normalize: bool,
    deleted: bool,
    deleted_only: bool,
    permanent: bool,
    verbose: bool,
    force: bool,
    latest_only: bool,
    default_to_global: bool,
    fetch_max_id: bool,
    subject_prefix: String,
    format: String,
    offset: usize,
    limit: Option<usize>,
}

impl Parameters {
    fn which(&self) -> Which {
        match (self.deleted_only, self.deleted) {
            (true, _) => Which::Deleted,
            (false, true) => Which::All,
            (false, false) => Which::Present,
        }
    }

    /// The part of a list that is asked for.
    fn page<T>(&self, all: impl Iterator<Item = T>) -> Vec<T> {
        all.skip(self.offset).take(self.limit.unwrap_or(usize::MAX)).collect()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let query = Query::<HashMap<String, String>>::from_request_parts(parts, state).await;
        let Query(mut given) = query.map_err(|error| Fault::unreadable(error.body_text()))?;
        // Python's clients write True and False.
        let flag = |name: &str| given.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"));
        // A negative limit is none.
        let number = |name: &str| given.get(name).and_then(|value| value.parse().ok());
        Ok(Self {
            normalize: flag("normalize"),
            deleted: flag("deleted"),
            deleted_only: flag("deletedOnly"),
            permanent: flag("permanent"),
            verbose: flag("verbose"),
            force: flag("force"),
            latest_only: flag("latestOnly"),
            default_to_global: flag("defaultToGlobal"),
            fetch_max_id: flag("fetchMaxId"),
            offset: number("offset").unwrap_or_default(),
            limit: number("limit"),
            subject_prefix: given.remove("subjectPrefix").unwrap_or_default(),
            format: given.remove("format").unwrap_or_default(),
        })
    }
}

/// A version with its schema in the form that is asked for, where there is such a form of it.
fn formatted(registry: &Registry, version: Arc<Version>, format: &str) -> Result<Arc<Version>> {
    if format.is_empty() {
        return Ok(version);
    }
    let text = parse(&registry.state(), &version.definition())?.formatted(format);
    Ok(text.map_or_else(|| version.clone(), |schema| Arc::new(Version { schema, ..version.as_ref().clone() })))
}

/// A version as the interface shows it.
fn shown(version: &Version) -> Value {
    let mut shown = serde_json::to_value(version).unwrap_or_default();
    if let Value::Object(entries) = &mut shown
        && !version.deleted
    {
        entries.shift_remove("deleted");
    }
    shown
}

/// The schema of a version without its place.
fn shown_schema(version: &Version) -> Value {
    let mut shown = shown(version);
    if let Value::Object(entries) = &mut shown {
        for place in ["subject", "version", "id", "deleted"] {
            entries.shift_remove(place);
        }
    }
    shown
}
