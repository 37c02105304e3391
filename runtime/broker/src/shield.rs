//! Stands between hostile bytes and the decoder, which allocates room for as many elements as an array claims to have.
//!
//! Every request is decoded twice. The first time through [`Shield`], which answers a claim that the rest of the request cannot
//! fulfil with one that fails at once, and counts what is read, so that neither lengths nor the sheer number of elements can ask for
//! more memory than the request justifies. Its result is thrown away: numbers that are no lengths may be wrong in it. What
//! passes is sound, and is decoded again as it is.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

use crate::error::Hangup;

/// Values that one request may consist of.
const VALUES_MAX: usize = 1_000_000;

/// Decodes a request that may be anything.
pub(crate) fn decode<Q: Decodable>(body: &Bytes, version: i16) -> Result<Q, Hangup> {
    let mut shield = Shield { rest: body.clone(), left: VALUES_MAX };
    Q::decode(&mut shield, version).map_err(|_| Hangup::Malformed("it does not decode"))?;
    let mut rest = body.clone();
    Q::decode(&mut rest, version).map_err(|_| Hangup::Malformed("it does not decode"))
}

struct Shield {
    rest: Bytes,
    /// How many values may still be read.
    left: usize,
}

impl Shield {
    /// More than can follow.
    fn bound(&self) -> usize {
        self.rest.len().min(self.left).saturating_add(1)
    }

    fn count(&mut self, bytes: usize) -> Result<(), TryGetError> {
        let refused = TryGetError { requested: bytes, available: 0 };
        self.left = self.left.checked_sub(1).ok_or(refused)?;
        Ok(())
    }

    /// What a variable-length number that begins here says, if it claims more than can follow.
    fn claims_too_much(&self) -> bool {
        let mut value = 0u64;
        for (index, byte) in self.rest.iter().take(5).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte & 0x80 == 0 {
                break;
            }
        }
        // A length counts from one, and a number of one byte is as often something else.
        value > 0x7f && value > self.bound() as u64
    }
}

impl Buf for Shield {
    fn remaining(&self) -> usize {
        self.rest.len()
    }

    fn chunk(&self) -> &[u8] {
        &self.rest
    }

    fn advance(&mut self, count: usize) {
        self.rest.advance(count);
    }

    fn try_get_u8(&mut self) -> Result<u8, TryGetError> {
        self.count(1)?;
        if self.claims_too_much() {
            return Err(TryGetError { requested: usize::MAX, available: self.rest.len() });
        }
        self.rest.try_get_u8()
    }

    fn try_get_i8(&mut self) -> Result<i8, TryGetError> {
        self.count(1)?;
        self.rest.try_get_i8()
    }

    fn try_get_i16(&mut self) -> Result<i16, TryGetError> {
        self.count(2)?;
        self.rest.try_get_i16()
    }

    fn try_get_i32(&mut self) -> Result<i32, TryGetError> {
        self.count(4)?;
        let value = self.rest.try_get_i32()?;
        Ok(value.min(i32::try_from(self.bound()).unwrap_or(i32::MAX)))
    }

    fn try_get_i64(&mut self) -> Result<i64, TryGetError> {
        self.count(8)?;
        self.rest.try_get_i64()
    }
}

impl ByteBuf for Shield {
    fn peek_bytes(&mut self, range: std::ops::Range<usize>) -> Bytes {
        self.rest.slice(range)
    }

    fn get_bytes(&mut self, size: usize) -> Bytes {
        self.rest.split_to(size)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::messages::{ApiKey, CreateTopicsRequest, FetchRequest, MetadataRequest, ProduceRequest};
    use kafka_protocol::protocol::Encodable;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_array_that_claims_two_thousand_million_elements_is_refused_without_room_for_them() {
        for (version, body) in [(1, &[0x7f, 0xff, 0xff, 0xff, 0][..]), (9, &[0xff, 0xff, 0xff, 0xff, 0x0f, 0][..])] {
            assert!(decode::<MetadataRequest>(&Bytes::copy_from_slice(body), version).is_err(), "version {version}");
        }
    }

    #[test]
    fn numbers_that_are_no_lengths_stay_what_they_are() {
        for version in 4..=17 {
            let mut request = FetchRequest::default().with_max_bytes(i32::MAX).with_max_wait_ms(30_000);
            request.replica_state.replica_epoch = -1;
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, version).expect("encoded");
            let decoded: FetchRequest = decode(&bytes.freeze(), version).expect("sound");
            assert_eq!((decoded.max_bytes, decoded.max_wait_ms), (i32::MAX, 30_000), "version {version}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0i16..13) {
            let bytes = Bytes::from(bytes);
            let _ = decode::<MetadataRequest>(&bytes, version);
            let _ = decode::<CreateTopicsRequest>(&bytes, version.clamp(2, 7));
            let _ = decode::<FetchRequest>(&bytes, version.max(4));
            let _ = decode::<ProduceRequest>(&bytes, version.max(3));
            let _ = ApiKey::try_from(version);
        }
    }
}
