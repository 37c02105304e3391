//! DeleteAcls: refused, filter by filter, as by a broker without an authorizer.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::delete_acls_response::DeleteAclsFilterResult;
use kafka_protocol::messages::{DeleteAclsRequest, DeleteAclsResponse};

use super::create_acls::NO_AUTHORIZER;

pub(super) fn answer(request: &DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = DeleteAclsFilterResult::default()
        .with_error_code(Code::SecurityDisabled.code())
        .with_error_message(Some(NO_AUTHORIZER));
    DeleteAclsResponse::default().with_filter_results(vec![refused; request.filters.len()])
}
