//! Stands between hostile bytes and the decoder, which allocates room for as many elements as an array claims to have.
//!
//! Every request is decoded twice. The first time through [`Shield`], which answers a claim that the rest of the request cannot
//! fulfil with one that fails at once, and counts what is read, so that neither lengths nor the sheer number of elements can ask for
//! more memory than the request justifies. Its result is thrown away: numbers that are no lengths may be wrong in it. What
//! passes is sound, and is decoded again as it is.
//!
//! A produce request carries records that are larger than any array may be. [`decode_produce`] walks over it instead, and so tells the
//! length of records from that of an array.

use bytes::{Buf, Bytes, TryGetError};
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::protocol::Decodable;
use kafka_protocol::protocol::buf::ByteBuf;

use crate::error::Hangup;

/// Values that one request may consist of.
const VALUES_MAX: usize = 1_000_000;
const VARINT_BYTES_MAX: usize = 5;
const UUID_BYTES: usize = 16;
const DOES_NOT_DECODE: Hangup = Hangup::Malformed("it does not decode");

/// Decodes a request that may be anything.
pub(crate) fn decode<Q: Decodable>(body: &Bytes, version: i16) -> Result<Q, Hangup> {
    let mut shield = Shield { rest: body.clone(), left: VALUES_MAX };
    Q::decode(&mut shield, version).map_err(|_| DOES_NOT_DECODE)?;
    decode_sound(body, version)
}

/// Decodes a produce request that may be anything.
pub(crate) fn decode_produce(body: &Bytes, version: i16) -> Result<ProduceRequest, Hangup> {
    let mut walk = Walk { rest: body, left: VALUES_MAX, flexible: version >= 9 };
    walk.produce(version).ok_or(DOES_NOT_DECODE)?;
    decode_sound(body, version)
}

fn decode_sound<Q: Decodable>(body: &Bytes, version: i16) -> Result<Q, Hangup> {
    Q::decode(&mut body.clone(), version).map_err(|_| DOES_NOT_DECODE)
}

/// Goes over a request by its shape, and stops at what it cannot have.
struct Walk<'a> {
    rest: &'a [u8],
    /// How many elements may still follow.
    left: usize,
    /// Lengths are of variable size, and tagged fields follow each structure.
    flexible: bool,
}

impl<'a> Walk<'a> {
    fn produce(&mut self, version: i16) -> Option<()> {
        let by_id = version >= 13;
        let transactional_id = self.short_length()?;
        self.skip(transactional_id)?;
        // How it is to be acknowledged, and how long that may take.
        self.skip(2 + 4)?;
        for _ in 0..self.elements()? {
            let name = if by_id { UUID_BYTES } else { self.short_length()? };
            self.skip(name)?;
            for _ in 0..self.elements()? {
                // Its number.
                self.skip(4)?;
                let records = self.length()?;
                self.skip(records)?;
                self.tags()?;
            }
            self.tags()?;
        }
        self.tags()
    }

    fn skip(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (skipped, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(skipped)
    }

    /// How many elements an array has, none where there is no array.
    fn elements(&mut self) -> Option<usize> {
        let elements = self.length()?;
        self.left = self.left.checked_sub(elements)?;
        Some(elements)
    }

    /// The length of bytes or of an array, zero where there are none.
    fn length(&mut self) -> Option<usize> {
        if self.flexible {
            return Some(self.varint()?.saturating_sub(1));
        }
        let length = i32::from_be_bytes(*self.skip(4)?.first_chunk()?);
        Some(usize::try_from(length).unwrap_or(0))
    }

    /// The length of a string.
    fn short_length(&mut self) -> Option<usize> {
        if self.flexible {
            return self.length();
        }
        let length = i16::from_be_bytes(*self.skip(2)?.first_chunk()?);
        Some(usize::try_from(length).unwrap_or(0))
    }

    fn tags(&mut self) -> Option<()> {
        let tags = if self.flexible { self.varint()? } else { 0 };
        self.left = self.left.checked_sub(tags)?;
        for _ in 0..tags {
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Some(())
    }

    fn varint(&mut self) -> Option<usize> {
        let (value, bytes) = varint(self.rest);
        self.skip(bytes)?;
        usize::try_from(value).ok()
    }
}

/// A number of variable length and how many bytes it has: one more than there are where it does not end.
fn varint(bytes: &[u8]) -> (u64, usize) {
    let mut value = 0u64;
    for (index, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return (value, index + 1);
        }
    }
    (value, bytes.len() + 1)
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
        let (value, _) = varint(&self.rest);
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
    use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use kafka_protocol::messages::{ApiKey, CreateTopicsRequest, FetchRequest, MetadataRequest};
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

    #[test]
    fn records_may_be_larger_than_any_array() {
        for version in 3..=13 {
            let records = Bytes::from(vec![7; 3 * VALUES_MAX]);
            let partition = PartitionProduceData::default().with_index(1).with_records(Some(records.clone()));
            let topic = TopicProduceData::default().with_partition_data(vec![partition.clone(), partition]);
            let request = ProduceRequest::default().with_topic_data(vec![topic.clone(), topic]);
            let mut bytes = BytesMut::new();
            request.encode(&mut bytes, version).expect("encoded");
            let decoded = decode_produce(&bytes.freeze(), version).expect("sound");
            let parts = decoded.topic_data.iter().flat_map(|topic| &topic.partition_data);
            assert!(parts.map(|part| part.records.as_ref()).eq([Some(&records); 4]), "version {version}");
        }
    }

    #[test]
    fn a_produce_request_that_claims_more_topics_than_may_be_is_refused() {
        let claims = 50_000_000i32;
        let old =
            [&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0][..], &claims.to_be_bytes(), &vec![0; claims as usize]].concat();
        assert!(decode_produce(&Bytes::from(old), 3).is_err());
        let new = [&[0, 0xff, 0xff, 0, 0, 0, 0, 0x81, 0xe1, 0xeb, 0x17][..], &vec![0; claims as usize]].concat();
        assert!(decode_produce(&Bytes::from(new), 9).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300), version in 0i16..13) {
            let bytes = Bytes::from(bytes);
            let _ = decode::<MetadataRequest>(&bytes, version);
            let _ = decode::<CreateTopicsRequest>(&bytes, version.clamp(2, 7));
            let _ = decode::<FetchRequest>(&bytes, version.max(4));
            let _ = decode_produce(&bytes, version.max(3));
            let _ = ApiKey::try_from(version);
        }
    }
}
