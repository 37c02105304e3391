//! One request between its frame and its answer: which API, which version, and the bytes of both.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use crate::error::Hangup;
use crate::session::Origin;
use crate::shield;

/// A request.
pub(crate) struct Call {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) client_id: StrBytes,
    pub(crate) body: Bytes,
    /// Where it comes from.
    pub(crate) origin: Arc<Origin>,
}

/// The first words of a request, which have the same place in every version.
pub(crate) struct Opening {
    pub(crate) key: i16,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
}

impl Opening {
    pub(crate) fn read(frame: &[u8]) -> Result<Self, Hangup> {
        let [k0, k1, v0, v1, c @ ..] = frame.first_chunk::<8>().ok_or(Hangup::Malformed("it ends within its head"))?;
        let (key, version) = (i16::from_be_bytes([*k0, *k1]), i16::from_be_bytes([*v0, *v1]));
        Ok(Self { key, version, correlation_id: i32::from_be_bytes(*c) })
    }
}

impl Call {
    /// Reads the head of a request whose API and version are known to be offered.
    pub(crate) fn read(key: ApiKey, version: i16, mut frame: Bytes, origin: &Arc<Origin>) -> Result<Self, Hangup> {
        let header: RequestHeader = shield::decode(&frame, key.request_header_version(version))?;
        let used = RequestHeader::decode(&mut frame, key.request_header_version(version));
        used.map_err(|_| Hangup::Malformed("its head does not decode"))?;
        let client_id = header.client_id.unwrap_or_default();
        let origin = Arc::clone(origin);
        Ok(Self { key, version, correlation_id: header.correlation_id, client_id, body: frame, origin })
    }

    /// What is asked.
    pub(crate) fn decode<Q: Decodable>(&self) -> Result<Q, Hangup> {
        shield::decode(&self.body, self.version)
    }

    /// The answer, with its length.
    pub(crate) fn encode<A: Encodable + HeaderVersion>(&self, answer: &A) -> Result<Bytes, Hangup> {
        encode(answer, self.version, self.correlation_id)
    }
}

/// An answer in a version, with its length.
pub(crate) fn encode<A: Encodable + HeaderVersion>(
    answer: &A,
    version: i16,
    correlation_id: i32,
) -> Result<Bytes, Hangup> {
    let failed = |error: &dyn std::fmt::Display| Hangup::Unanswerable(error.to_string());
    let size = answer.compute_size(version).map_err(|error| failed(&error))?;
    let mut out = BytesMut::with_capacity(size + 16);
    out.put_i32(0);
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    header.encode(&mut out, A::header_version(version)).map_err(|error| failed(&error))?;
    answer.encode(&mut out, version).map_err(|error| failed(&error))?;
    let length = i32::try_from(out.len() - 4).map_err(|error| failed(&error))?;
    out[..4].copy_from_slice(&length.to_be_bytes());
    Ok(out.freeze())
}
