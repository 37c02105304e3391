//! Requests as they come off a connection: four bytes of length, then so much. Memory follows what has arrived, not what is claimed,
//! and a connection that rests holds none.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::ready;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};

use crate::config::Limits;
use crate::error::Hangup;

const LENGTH_BYTES: usize = 4;
/// What is read at a time.
const READ_BYTES: usize = 256 << 10;
/// The room for a first look; most requests that carry no records fit.
const FIRST_READ_BYTES: usize = 4 << 10;
const PRODUCE: i16 = 0;

/// Reads requests.
pub(crate) struct Frames<R> {
    reader: R,
    buffer: BytesMut,
    produce_bytes_max: usize,
    request_bytes_max: usize,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    /// Reads requests of a client that has yet to log in.
    pub(crate) fn of_stranger(reader: R, limits: &Limits) -> Self {
        let bytes_max = limits.login_bytes;
        Self { reader, buffer: BytesMut::new(), produce_bytes_max: bytes_max, request_bytes_max: bytes_max }
    }

    /// Takes requests as large as those of a client that may do everything.
    pub(crate) fn trust(&mut self, limits: &Limits) {
        (self.produce_bytes_max, self.request_bytes_max) = (limits.produce_bytes, limits.request_bytes);
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
            let read = if self.buffer.is_empty() {
                self.first_read().await?
            } else {
                self.buffer.reserve((wanted - self.buffer.len()).clamp(LENGTH_BYTES, READ_BYTES));
                self.reader.read_buf(&mut self.buffer).await?
            };
            if read == 0 {
                return match self.buffer.is_empty() {
                    true => Ok(None),
                    false => Err(Hangup::Malformed("the connection ends within a request")),
                };
            }
        }
    }

    /// Reads into a buffer that exists only while there is something to read.
    async fn first_read(&mut self) -> Result<usize, std::io::Error> {
        poll_fn(|context| {
            let mut room = [0; FIRST_READ_BYTES];
            let mut room = ReadBuf::new(&mut room);
            ready!(Pin::new(&mut self.reader).poll_read(context, &mut room))?;
            self.buffer.extend_from_slice(room.filled());
            std::task::Poll::Ready(Ok(room.filled().len()))
        })
        .await
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
