//! `GET /openapi.json`: the interface as an OpenAPI document, made from the handlers, so that it names what is served and nothing else.
//!
//! What each operation takes and gives stands at its handler; here is what all have in common: who may ask, and how refusals look. The
//! [shapes] of what other crates define are written down beside this file. Tests hold every answer that they get against the document.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::Deserialize;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi};

use crate::fault::ErrorMessage;

pub(crate) mod shapes;

/// The document before any operation has joined it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Towpath",
        description = "Kafka Connect's REST interface, and what Connect does not have under `/v1`. Numbers called `_ms` are \
                       milliseconds since 1970, in UTC.",
    ),
    tags(
        (name = "connectors", description = "Configurations, states and verbs"),
        (name = "tasks", description = "The tasks of a connector"),
        (name = "offsets", description = "How far a connector has come"),
        (name = "plugins", description = "What connectors and transforms there are, and checking configurations"),
        (name = "retries", description = "Records of a sink that wait to be put again, and dead letters"),
        (name = "log", description = "Topics and records"),
        (name = "loggers", description = "How much is logged"),
        (name = "worker", description = "The worker itself"),
    ),
    components(schemas(ErrorMessage)),
    modifiers(&Logins),
    security((), ("basic" = []), ("bearer" = [])),
)]
pub(crate) struct Document;

/// The ways to say who asks.
struct Logins;

impl Modify for Logins {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        for (name, scheme) in [("basic", HttpAuthScheme::Basic), ("bearer", HttpAuthScheme::Bearer)] {
            components.add_security_scheme(name, SecurityScheme::Http(Http::new(scheme)));
        }
    }
}

/// The document as it is served.
#[derive(Clone)]
pub(crate) struct Served(Arc<str>);

impl Served {
    /// Writes the document down once.
    pub(crate) fn new(document: &utoipa::openapi::OpenApi) -> Self {
        Self(serde_json::to_string(document).expect("a document always has a JSON form").into())
    }

    /// `GET /openapi.json`, also before the worker is there.
    pub(crate) fn answer(&self) -> Response {
        ([(CONTENT_TYPE, "application/json")], Bytes::copy_from_slice(self.0.as_bytes())).into_response()
    }
}

/// A connector, in a path.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct Named {
    /// The connector's name.
    pub(crate) connector: String,
}

/// A task, in a path. Its number is a text, so that one that is none is answered as Connect does.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(crate) struct OfTask {
    /// The connector's name.
    pub(crate) connector: String,
    /// The task's number.
    #[param(value_type = u32)]
    pub(crate) task: String,
}

/// Declares refusals: what an operation may answer besides success, with the body that all refusals have.
macro_rules! refusals {
    ($($(#[doc = $doc:literal])+ $name:ident: $status:literal;)+) => { $(
        $(#[doc = $doc])+
        pub(crate) enum $name {}

        impl IntoResponses for $name {
            fn responses() -> BTreeMap<String, RefOr<utoipa::openapi::Response>> {
                let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ErrorMessage"))).build();
                let description = concat!($($doc),+).trim();
                let response = ResponseBuilder::new().description(description).content("application/json", content);
                BTreeMap::from([($status.to_owned(), response.build().into())])
            }
        }
    )+ };
}

refusals! {
    /// What was sent is wrong; the message names the place.
    Invalid: "400";
    /// There is no such thing.
    NotFound: "404";
    /// The name is taken.
    Conflict: "409";
    /// Refused: 401 without a login, 403 where the role or the file that owns a connector forbids it, 500 where the worker failed, 503
    /// while it starts.
    Refused: "default";
}
