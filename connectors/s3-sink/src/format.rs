//! From values to the bytes of an object: one line a record, compressed or not.
//!
//! `jsonl` writes one JSON document a line; `raw` writes the bytes and a line feed. The encoder gives its bytes away as they
//! come, so an object is never in memory whole. The same records give the same bytes: gzip's header carries no time.

use std::io::Write as _;

use flate2::write::GzEncoder;
use towpath_model::{Encoding, Payload};

use crate::{Compression, Error, Format};

/// Lines are compressed in stretches of this size: one call for many records.
const STRETCH_BYTES: usize = 64 * 1024;
/// What the state of a compressor takes, roughly.
const COMPRESSOR_BYTES: usize = 320 * 1024;

impl Format {
    /// Appends a value as a line.
    ///
    /// # Errors
    /// When the value cannot stand in such an object; nothing is appended then.
    pub(crate) fn append(self, out: &mut Vec<u8>, value: Payload<'_>) -> Result<(), Error> {
        let refused = |reason: &str| Err(Error::Value { reason: reason.to_owned() });
        match (self, value.form.encoding, value.bytes) {
            (_, Encoding::Connect, Some(_)) => return refused("the value is neither JSON nor bytes"),
            (Self::Jsonl, _, None) => out.extend_from_slice(b"null"),
            (Self::Raw, _, None) => {}
            (Self::Raw, _, Some(bytes)) => out.extend_from_slice(bytes),
            (Self::Jsonl, encoding, Some(bytes)) => {
                let document = encoding == Encoding::Json || is_json(bytes);
                if !document {
                    return refused(
                        "the value is not a JSON document, and format jsonl takes nothing else; format raw does",
                    );
                }
                append_on_one_line(out, bytes);
            }
        }
        out.push(b'\n');
        Ok(())
    }
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// A line feed can only stand between the tokens of a JSON document, never within one, so a blank means the same there.
fn append_on_one_line(out: &mut Vec<u8>, document: &[u8]) {
    let document = document.trim_ascii();
    let start = out.len();
    out.extend_from_slice(document);
    if document.contains(&b'\n') || document.contains(&b'\r') {
        for byte in out.iter_mut().skip(start).filter(|byte| matches!(byte, b'\n' | b'\r')) {
            *byte = b' ';
        }
    }
}

/// Turns lines into the bytes of one object.
pub(crate) struct Encoder {
    /// Lines that are not compressed yet, or without compression the bytes themselves.
    lines: Vec<u8>,
    /// Absent without compression; begun only when there is a stretch to compress.
    gzip: Gzip,
}

enum Gzip {
    Off,
    Idle(flate2::Compression),
    Begun(Box<GzEncoder<Vec<u8>>>),
}

impl Encoder {
    pub(crate) fn new(compression: Compression) -> Self {
        let gzip = match compression {
            Compression::None => Gzip::Off,
            Compression::Gzip { level } => Gzip::Idle(level.map_or_else(Default::default, flate2::Compression::new)),
        };
        Self { lines: Vec::new(), gzip }
    }

    /// Where the next line is appended. [`advance`](Self::advance) follows now and then.
    pub(crate) fn lines(&mut self) -> &mut Vec<u8> {
        &mut self.lines
    }

    /// Compresses what has come together, when it is a stretch.
    pub(crate) fn advance(&mut self) {
        if self.lines.len() >= STRETCH_BYTES && !matches!(self.gzip, Gzip::Off) {
            self.compress();
        }
    }

    /// Memory that the encoder holds.
    pub(crate) fn held_bytes(&self) -> usize {
        match &self.gzip {
            Gzip::Off | Gzip::Idle(_) => self.lines.capacity(),
            Gzip::Begun(gzip) => self.lines.capacity() + gzip.get_ref().capacity() + COMPRESSOR_BYTES,
        }
    }

    /// Bytes that were not given away.
    pub(crate) fn bytes(&self) -> usize {
        match &self.gzip {
            Gzip::Off | Gzip::Idle(_) => self.lines.len(),
            Gzip::Begun(gzip) => self.lines.len() + gzip.get_ref().len(),
        }
    }

    /// Bytes of the object that can be given away now.
    pub(crate) fn ready_bytes(&self) -> usize {
        match &self.gzip {
            Gzip::Off => self.lines.len(),
            Gzip::Idle(_) => 0,
            Gzip::Begun(gzip) => gzip.get_ref().len(),
        }
    }

    /// Gives away what is ready.
    pub(crate) fn take_ready(&mut self) -> Vec<u8> {
        match &mut self.gzip {
            Gzip::Off => std::mem::take(&mut self.lines),
            Gzip::Idle(_) => Vec::new(),
            Gzip::Begun(gzip) => std::mem::take(gzip.get_mut()),
        }
    }

    /// Ends the object: the rest of its bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if matches!(self.gzip, Gzip::Off) {
            return self.lines;
        }
        self.compress();
        match self.gzip {
            Gzip::Begun(gzip) => gzip.finish().expect("writing to memory does not fail"),
            Gzip::Off | Gzip::Idle(_) => Vec::new(),
        }
    }

    fn compress(&mut self) {
        if let Gzip::Idle(level) = self.gzip {
            self.gzip = Gzip::Begun(Box::new(GzEncoder::new(Vec::new(), level)));
        }
        if let Gzip::Begun(gzip) = &mut self.gzip {
            gzip.write_all(&self.lines).expect("writing to memory does not fail");
            self.lines.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use towpath_model::Form;

    use super::*;

    fn check(format: Format, form: Form, value: Option<&[u8]>, expected: Result<&[u8], ()>) {
        let mut out = b"before\n".to_vec();
        let outcome = format.append(&mut out, Payload { form, bytes: value });
        assert_eq!(outcome.map_err(|_| ()), expected.map(|_| ()));
        assert_eq!(out, [b"before\n", expected.unwrap_or_default()].concat());
    }

    #[test]
    fn jsonl_keeps_a_document_on_one_line() {
        check(Format::Jsonl, Form::JSON, Some(br#"{"a":1.0}"#), Ok(b"{\"a\":1.0}\n"));
        check(Format::Jsonl, Form::JSON, Some(b"{\r\n \"a\": \"x\\n\"\n}\n"), Ok(b"{   \"a\": \"x\\n\" }\n"));
        check(Format::Jsonl, Form::BYTES, Some(br#"[1, 2]"#), Ok(b"[1, 2]\n"));
        check(Format::Jsonl, Form::BYTES, Some(b"\xff\x00"), Err(()));
        check(Format::Jsonl, Form::BYTES, Some(b"{} {}"), Err(()));
        check(Format::Jsonl, Form::BYTES, Some(b""), Err(()));
        check(Format::Jsonl, Form::JSON, None, Ok(b"null\n"));
        check(Format::Jsonl, Form::connect(0), Some(b"\x02"), Err(()));
    }

    #[test]
    fn raw_changes_nothing() {
        check(Format::Raw, Form::BYTES, Some(b"\xff\x00"), Ok(b"\xff\x00\n"));
        check(Format::Raw, Form::JSON, Some(b"{}"), Ok(b"{}\n"));
        check(Format::Raw, Form::BYTES, None, Ok(b"\n"));
    }

    #[test]
    fn gzip_given_away_in_pieces_reads_back_and_is_the_same_every_time() {
        let encode = |records: usize| {
            let mut encoder = Encoder::new(Compression::Gzip { level: None });
            let mut bytes = Vec::new();
            for record in 0..records {
                encoder.lines().extend_from_slice(format!("{{\"record\":{record}}}\n").as_bytes());
                encoder.advance();
                if encoder.ready_bytes() > 1000 {
                    bytes.extend(encoder.take_ready());
                }
            }
            bytes.extend(encoder.finish());
            bytes
        };
        for records in [0, 1, 20_000] {
            let bytes = encode(records);
            assert_eq!(bytes, encode(records));
            let mut text = String::new();
            flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            assert_eq!(text.lines().count(), records);
        }
    }
}
