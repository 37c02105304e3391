//! ApiVersions: what is offered.

use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use kafka_protocol::protocol::StrBytes;

use super::{OFFERS, Offer};
use crate::call;
use crate::error::Hangup;

/// Kafka's name for how transactions work; at 2 a client gets a new epoch with every end and need not add partitions (KIP-890).
const TRANSACTION_VERSION: &str = "transaction.version";
/// Before this version features could not begin with 0.
const FROM_ZERO: i16 = 4;

pub(super) fn answer(version: i16) -> ApiVersionsResponse {
    let name = StrBytes::from_static_str(TRANSACTION_VERSION);
    let supported = SupportedFeatureKey::default().with_name(name.clone()).with_min_version(0).with_max_version(2);
    let finalized = FinalizedFeatureKey::default().with_name(name).with_min_version_level(2).with_max_version_level(2);
    ApiVersionsResponse::default()
        .with_api_keys(OFFERS.iter().map(told).collect())
        .with_supported_features(if version >= FROM_ZERO { vec![supported] } else { Vec::new() })
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![finalized])
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
