//! DescribeAcls: there are none, and the answer is that of a broker without an authorizer.

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::DescribeAclsResponse;
use kafka_protocol::protocol::StrBytes;

pub(super) fn answer() -> DescribeAclsResponse {
    DescribeAclsResponse::default()
        .with_error_code(Code::SecurityDisabled.code())
        .with_error_message(Some(StrBytes::from_static_str("No Authorizer is configured on the broker")))
}
