//! ApiVersions: what is offered.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use super::{OFFERS, Offer};
use crate::call;
use crate::error::Hangup;

pub(super) fn answer() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(OFFERS.iter().map(told).collect())
}

/// The answer to a version that is not known: in version 0, which every client reads, with the versions of this API alone.
pub(super) fn fallback(correlation_id: i32) -> Result<Bytes, Hangup> {
    let this = OFFERS.iter().filter(|offer| offer.key == ApiKey::ApiVersions).map(told).collect();
    let code = ResponseError::UnsupportedVersion.code();
    call::encode(&ApiVersionsResponse::default().with_error_code(code).with_api_keys(this), 0, correlation_id)
}

fn told(offer: &Offer) -> ApiVersion {
    ApiVersion::default().with_api_key(offer.key as i16).with_min_version(offer.told_min).with_max_version(offer.max)
}
