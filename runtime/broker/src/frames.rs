//! Requests as they come off a connection: four bytes of length, then so much. Memory follows what has arrived, not what is claimed,
//! and a connection that rests holds none.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::tcp::OwnedReadHalf;

use crate::config::Limits;
use crate::error::Hangup;

const LENGTH_BYTES: usize = 4;
/// What is read at a time.
const READ_BYTES: usize = 256 << 10;
/// The room for a first look; most requests that carry no records fit.
const FIRST_READ_BYTES: usize = 4 << 10;
const PRODUCE: i16 = 0;

/// Reads requests.
pub(crate) struct Frames {
    reader: OwnedReadHalf,
    buffer: BytesMut,
    produce_bytes_max: usize,
    request_bytes_max: usize,
}

impl Frames {
    pub(crate) fn new(reader: OwnedReadHalf, limits: &Limits) -> Self {
        let (produce_bytes_max, request_bytes_max) = (limits.produce_bytes, limits.request_bytes);
        Self { reader, buffer: BytesMut::new(), produce_bytes_max, request_bytes_max }
    }

    /// The next request, or none at the end. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Hangup> {
        loop {
            let wanted = self.wanted()?;
            if self.buffer.len() >= wanted && wanted > LENGTH_BYTES {
                self.buffer.advance(LENGTH_BYTES);
                let frame = self.buffer.split_to(wanted - LENGTH_BYTES).freeze();
                if self.buffer.is_empty() {
                    self.buffer = BytesMut::new();
                }
                return Ok(Some(frame));
            }
            if self.buffer.is_empty() {
                self.reader.readable().await?;
            }
            let room =
                if self.buffer.is_empty() { FIRST_READ_BYTES } else { (wanted - self.buffer.len()).min(READ_BYTES) };
            self.buffer.reserve(room.max(LENGTH_BYTES));
            if self.reader.read_buf(&mut self.buffer).await? == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(Hangup::Malformed("the connection ends within a request")),
                };
            }
        }
    }

    /// Up to where the buffer must be filled next.
    fn wanted(&self) -> Result<usize, Hangup> {
        let Some(length) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(LENGTH_BYTES) };
        let claimed = i32::from_be_bytes(*length);
        let key = self.buffer.get(LENGTH_BYTES..LENGTH_BYTES + 2).and_then(<[u8]>::first_chunk);
        // Until its kind is known, a request may be as large as any.
        let produce = key.is_none_or(|key| i16::from_be_bytes(*key) == PRODUCE);
        let limit = if produce { self.produce_bytes_max } else { self.request_bytes_max };
        match usize::try_from(claimed) {
            Ok(0) => Err(Hangup::Malformed("it is empty")),
            Ok(bytes) if bytes <= limit => Ok(LENGTH_BYTES + bytes),
            _ => Err(Hangup::TooLarge { bytes: i64::from(claimed), limit }),
        }
    }
}
