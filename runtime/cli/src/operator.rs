//! How commands that look after topics and groups reach the broker: through the worker's REST interface, or, where the log runs alone,
//! over its listener.

use async_trait::async_trait;
use bytes::Bytes;
use towpath_broker::admin::{Admin, AdminError, Tcp, Transport};

use crate::addresses::Addresses;
use crate::client::{Client, Target};
use crate::failure::{Failure, Fault, Result};

/// Asks the broker.
pub(crate) type Operator = Admin<Way>;

/// A way to a broker.
pub(crate) enum Way {
    /// Through a worker.
    Worker(Client),
    /// Over a listener.
    Listener(Tcp),
}

/// Where the log listens if it runs alone.
pub(crate) fn alone(target: &Target) -> Option<String> {
    let alone = Addresses::read(&target.data_dir).filter(|found| target.url.is_none() && found.rest.is_none());
    alone.and_then(|found| found.kafka)
}

/// Finds the broker.
pub(crate) async fn find(target: &Target) -> Result<Operator> {
    Ok(Admin::new(match alone(target) {
        Some(address) => Way::Listener(Tcp::connect(&address).await.map_err(failure)?),
        None => Way::Worker(target.client()?),
    }))
}

#[async_trait]
impl Transport for Way {
    async fn exchange(&mut self, request: Bytes) -> Result<Bytes, AdminError> {
        match self {
            Self::Listener(tcp) => tcp.exchange(request).await,
            Self::Worker(client) => {
                client.post_bytes("/v1/kafka", request).await.map_err(|failed| match failed.fault() {
                    Fault::Input => AdminError::Invalid(failed.to_string()),
                    Fault::Ours => AdminError::Unsound(failed.to_string()),
                    Fault::Environment => AdminError::Unreachable(failed.to_string()),
                })
            }
        }
    }
}

/// Whose fault it is that something was not carried out.
pub(crate) fn failure(error: AdminError) -> Failure {
    match &error {
        AdminError::Unsound(_) => Failure::ours(error),
        error if error.is_input() => Failure::input(error),
        _ => Failure::environment(error),
    }
}
