//! A client for operators: topics, groups and records of any broker that speaks the protocol, as plain values. [`Cluster`] is one for several
//! brokers, which knows whom to ask.
//!
//! What carries a request is a [`Transport`]: a connection to a listener, or the way through the worker's REST interface, which is
//! [`Handle::call`](crate::Handle::call) at its end. So every rule stands once, with the API that upholds it.

mod cluster;
mod error;
mod groups;
mod produce;
mod records;
mod topics;
mod transport;

use bytes::{Bytes, BytesMut};
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

pub use cluster::{Cluster, ClusterGroup};
pub use error::AdminError;
pub use groups::{GroupDescription, GroupListing, GroupMember, GroupPosition, Reset, ResetTo};
pub use produce::NewRecord;
pub use records::FetchedRecords;
pub use topics::{ConfigEntry, ConfigSource, TopicListing};
pub use transport::{Tcp, Transport};

/// A client for operators.
pub struct Admin<T> {
    transport: T,
    next: i32,
}

impl<T: Transport> Admin<T> {
    /// Asks over `transport`.
    pub fn new(transport: T) -> Self {
        Self { transport, next: 0 }
    }

    async fn ask<Q: Request>(&mut self, version: i16, request: &Q) -> Result<Q::Response, AdminError> {
        self.next = self.next.wrapping_add(1);
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.next)
            .with_client_id(Some(StrBytes::from_static_str("towpath")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, Q::header_version(version)).map_err(|error| unsound(&error))?;
        request.encode(&mut frame, version).map_err(|error| unsound(&error))?;
        let mut answer: Bytes = self.transport.exchange(frame.freeze()).await?;
        let header = ResponseHeader::decode(&mut answer, Q::Response::header_version(version));
        let header = header.map_err(|error| unsound(&error))?;
        if header.correlation_id != self.next {
            return Err(AdminError::Unsound("it answers another request".to_owned()));
        }
        Q::Response::decode(&mut answer, version).map_err(|error| unsound(&error))
    }
}

fn unsound(error: &dyn std::fmt::Display) -> AdminError {
    AdminError::Unsound(error.to_string())
}

/// What an answer says of one thing that was asked.
fn checked(code: i16, message: Option<&StrBytes>, what: impl std::fmt::Display) -> Result<(), AdminError> {
    match Code::try_from_code(code) {
        _ if code == 0 => Ok(()),
        Some(found) => {
            let reason = message.map_or_else(|| AdminError::words(found), ToString::to_string);
            Err(AdminError::Refused { what: what.to_string(), code: found, reason })
        }
        None => Err(AdminError::Unsound(format!("it knows an error {code} that is not known here"))),
    }
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
