//! DescribeCluster: the one broker.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{DescribeClusterRequest, DescribeClusterResponse};

use crate::call::Call;
use crate::node::{BROKER, Node};

pub(super) fn answer(node: &Node, call: &Call, request: DescribeClusterRequest) -> DescribeClusterResponse {
    let (host, port) = call.origin.endpoint();
    let broker = DescribeClusterBroker::default().with_broker_id(BROKER).with_host(host).with_port(port);
    DescribeClusterResponse::default()
        .with_endpoint_type(request.endpoint_type)
        .with_cluster_id(node.cluster_id.clone())
        .with_controller_id(BROKER)
        .with_brokers(vec![broker])
}
