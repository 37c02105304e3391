//! Reads request bodies: a size limit, the content type, and JSON whose faults are located.
//!
//! Connect coerces scalars in a configuration to strings and refuses nested values; so does [`config_map`].

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::fault::Fault;
use crate::server::BodyLimit;

/// A body in JSON that must be there.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let bytes = read(request).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(Fault::bad_request("The request needs a body: a JSON object"));
        }
        let parsed = serde_json::from_slice(&bytes).map_err(|error| {
            // serde_json's text ends with the place already.
            Fault::bad_request(format!("The request body is not what is expected here: {error}"))
        })?;
        Ok(Self(parsed))
    }
}

/// The bytes of a body, within the limit.
pub(crate) async fn read(request: Request) -> Result<Bytes, Fault> {
    let limit = request.extensions().get::<BodyLimit>().map_or(usize::MAX, |limit| limit.0);
    let too_large = || {
        Fault::new(StatusCode::PAYLOAD_TOO_LARGE, format!("The request body is larger than the limit of {limit} bytes"))
    };
    let length =
        request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let body: Body = request.into_body();
    axum::body::to_bytes(body, limit).await.map_err(|_| too_large())
}

/// A map of settings; scalars become strings, null stays null.
///
/// # Errors
/// When it is no object, or a value is an object or a list.
pub(crate) fn config_map(value: Value) -> Result<BTreeMap<String, Option<String>>, Fault> {
    let Value::Object(map) = value else {
        return Err(Fault::bad_request(format!("The configuration must be a JSON object, but is {}", kind_of(&value))));
    };
    map.into_iter()
        .map(|(key, value)| match value {
            Value::Null => Ok((key, None)),
            Value::String(text) => Ok((key, Some(text))),
            Value::Bool(flag) => Ok((key, Some(flag.to_string()))),
            Value::Number(number) => Ok((key, Some(number.to_string()))),
            nested @ (Value::Array(_) | Value::Object(_)) => Err(Fault::bad_request(format!(
                "The value of configuration {key} must be a string, a number or a boolean, but is {}",
                kind_of(&nested)
            ))),
        })
        .collect()
}

/// A map of settings in which nulls count as not set.
pub(crate) fn config_without_nulls(value: Value) -> Result<BTreeMap<String, String>, Fault> {
    let map = config_map(value)?;
    Ok(map.into_iter().filter_map(|(key, value)| Some((key, value?))).collect())
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
