//! Writes records into batches, one pass, no allocation for each record.

use towpath_model::Record;

use super::compress::Codec;
use super::header::{self, HEADER_BYTES, NewHeader};
use super::varint;
use crate::engine::Compression;

/// Smaller batches are stored as they are: one event alone hardly shrinks, and most of the work is the same as for many.
const COMPRESSED_MIN: usize = 1024;

/// Collects the records of one batch and seals it. May be used again after each seal.
#[derive(Debug, Default)]
pub(crate) struct BatchEncoder {
    records: Vec<u8>,
    count: i32,
    base_timestamp: i64,
    max_timestamp: i64,
}

impl BatchEncoder {
    /// How many records wait to be sealed.
    pub(crate) fn count(&self) -> i32 {
        self.count
    }

    /// Bytes that wait to be sealed, uncompressed.
    pub(crate) fn bytes(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// An upper bound of the batch that would hold this record alone.
    pub(crate) fn size_alone(record: &Record<'_>) -> usize {
        let headers: usize =
            record.headers().map(|(name, value)| 10 + name.len() + value.bytes.map_or(0, <[u8]>::len)).sum();
        HEADER_BYTES
            + 30
            + record.key.bytes.map_or(0, <[u8]>::len)
            + record.value.bytes.map_or(0, <[u8]>::len)
            + headers
    }

    /// Adds a record.
    pub(crate) fn push(&mut self, record: &Record<'_>, timestamp: i64) {
        let headers = record.headers();
        let header_count = headers.count_left() as i64;
        let headers_size: usize =
            headers.map(|(name, value)| sized(name.len()) + value.bytes.map_or(1, |bytes| sized(bytes.len()))).sum();
        self.begin(record.key.bytes, record.value.bytes, timestamp, varint::size(header_count) + headers_size);
        varint::write(&mut self.records, header_count);
        for (name, value) in headers {
            write_bytes(&mut self.records, Some(name.as_bytes()));
            write_bytes(&mut self.records, value.bytes);
        }
    }

    /// Adds a record without headers.
    pub(crate) fn push_plain(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64) {
        self.begin(key, value, timestamp, 1);
        varint::write(&mut self.records, 0);
    }

    fn begin(&mut self, key: Option<&[u8]>, value: Option<&[u8]>, timestamp: i64, headers_size: usize) {
        if self.count == 0 {
            self.base_timestamp = timestamp;
            self.max_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        let timestamp_delta = timestamp.wrapping_sub(self.base_timestamp);
        let offset_delta = i64::from(self.count);
        let payload = |bytes: Option<&[u8]>| bytes.map_or(1, |bytes| sized(bytes.len()));
        let body = 1
            + varint::size(timestamp_delta)
            + varint::size(offset_delta)
            + payload(key)
            + payload(value)
            + headers_size;
        varint::write(&mut self.records, body as i64);
        self.records.push(0);
        varint::write(&mut self.records, timestamp_delta);
        varint::write(&mut self.records, offset_delta);
        write_bytes(&mut self.records, key);
        write_bytes(&mut self.records, value);
        self.count += 1;
    }

    /// Appends the batch to `out` and begins anew. `append_time` replaces the records' own timestamps.
    pub(crate) fn seal(
        &mut self,
        compression: Compression,
        append_time: Option<i64>,
        out: &mut Vec<u8>,
    ) -> std::io::Result<()> {
        let at = out.len();
        out.resize(at + HEADER_BYTES, 0);
        let codec = Codec(if self.records.len() < COMPRESSED_MIN { Compression::None } else { compression });
        codec.compress(&self.records, out)?;
        let new = NewHeader {
            codec,
            log_append_time: append_time.is_some(),
            last_offset_delta: self.count - 1,
            base_timestamp: self.base_timestamp,
            max_timestamp: append_time.unwrap_or(self.max_timestamp),
            records: self.count,
        };
        header::write(&mut out[at..], &new);
        self.records.clear();
        self.count = 0;
        Ok(())
    }
}

fn sized(length: usize) -> usize {
    varint::size(length as i64) + length
}

fn write_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => varint::write(out, -1),
        Some(bytes) => {
            varint::write(out, bytes.len() as i64);
            out.extend_from_slice(bytes);
        }
    }
}
