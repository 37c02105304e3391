//! Cuts the byte stream into messages: a tag, a length that counts itself, a body.
//!
//! Whole buffers come in; messages are handed out as places in the buffer, so that nothing is copied. A message that has
//! not arrived whole stays until its rest has.

use std::ops::Range;

use crate::error::Error;

/// One message: its tag and where its body stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What kind of message it is.
    pub tag: u8,
    /// Where its body stands in the buffer.
    pub body: Range<usize>,
}

/// Bytes that have arrived and are not consumed.
#[derive(Debug, Default)]
pub struct Inbound {
    bytes: Vec<u8>,
    start: usize,
}

/// The server's own limit for one message is 1 GiB.
const MESSAGE_BYTES_MAX: usize = 1 << 30;
const HEADER: usize = 5;

impl Inbound {
    /// The next whole message, if it has arrived. It is consumed; its body stays readable until [`room`](Self::room).
    ///
    /// # Errors
    /// When the length is impossible.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        let Some(&[tag, a, b, c, d]) = self.bytes.get(self.start..self.start + HEADER) else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if !(4..=MESSAGE_BYTES_MAX).contains(&length) {
            return Err(Error::Protocol("a message of impossible length"));
        }
        let end = self.start + 1 + length;
        if self.bytes.len() < end {
            return Ok(None);
        }
        let body = self.start + HEADER..end;
        self.start = end;
        Ok(Some(Frame { tag, body }))
    }

    /// The body of a message handed out since the last [`room`](Self::room).
    #[inline]
    pub fn body(&self, frame: &Frame) -> &[u8] {
        self.bytes.get(frame.body.clone()).unwrap_or_default()
    }

    /// Puts back a message that was just handed out.
    pub fn put_back(&mut self, frame: &Frame) {
        self.start = frame.body.start - HEADER;
    }

    /// The buffer to append to, with what is consumed taken off its front.
    pub fn room(&mut self) -> &mut Vec<u8> {
        self.bytes.drain(..self.start);
        self.start = 0;
        &mut self.bytes
    }

    /// Whether part of a message or more is waiting.
    pub fn is_empty(&self) -> bool {
        self.start == self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_out_whole_however_the_bytes_arrive() {
        let stream = [&b"A\0\0\0\x05x"[..], b"B\0\0\0\x04", b"C\0\0\0\x07xyz"].concat();
        for step in 1..=stream.len() {
            let mut inbound = Inbound::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(step) {
                inbound.room().extend_from_slice(piece);
                while let Some(frame) = inbound.next_frame().expect("sound") {
                    seen.push((frame.tag, inbound.body(&frame).to_vec()));
                }
            }
            assert_eq!(seen, [(b'A', b"x".to_vec()), (b'B', vec![]), (b'C', b"xyz".to_vec())], "step {step}");
            assert!(inbound.is_empty());
        }
    }

    #[test]
    fn an_impossible_length_is_refused() {
        let mut inbound = Inbound::default();
        inbound.room().extend_from_slice(b"A\0\0\0\x03");
        assert!(inbound.next_frame().is_err());
    }
}
