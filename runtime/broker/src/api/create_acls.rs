//! CreateAcls: refused, one by one, as by a broker without an authorizer.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::create_acls_response::AclCreationResult;
use kafka_protocol::messages::{CreateAclsRequest, CreateAclsResponse};
use kafka_protocol::protocol::StrBytes;

/// Why ACLs are neither made nor deleted, as Kafka says it.
pub(super) const NO_AUTHORIZER: StrBytes = StrBytes::from_static_str("No Authorizer is configured.");

pub(super) fn answer(request: &CreateAclsRequest) -> CreateAclsResponse {
    let refused = AclCreationResult::default()
        .with_error_code(Code::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    CreateAclsResponse::default().with_results(vec![refused; request.creations.len()])
}
