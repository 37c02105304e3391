//! From bytes to lines. A line ends with a line feed, a carriage return, or both, as Java's readers have it.

use towpath_model::datum::write_bytes;
use towpath_model::{Batch, BatchBuilder, Form, Run};

/// The schema of a line.
pub const SCHEMA: &str = r#"{"type":"string","optional":false}"#;

/// Bytes of a file that were read and of which no whole line was taken yet.
#[derive(Debug, Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// How many of them are taken.
    taken: usize,
    /// The place in the file of the first that is not.
    position: u64,
}

impl Lines {
    /// Begins at a place of the file.
    pub fn from(position: u64) -> Self {
        Self { position, ..Self::default() }
    }

    /// After the last line that was taken.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Where the file is to be read on.
    pub fn end(&self) -> u64 {
        self.position + self.held() as u64
    }

    /// Bytes that wait for their line to be taken.
    pub fn held(&self) -> usize {
        self.bytes.len() - self.taken
    }

    /// Bytes that were read from [`end`](Self::end).
    pub fn extend(&mut self, bytes: &[u8]) {
        self.bytes.drain(..std::mem::take(&mut self.taken));
        self.bytes.extend_from_slice(bytes);
    }

    /// The whole lines there are, at most so many and hardly more bytes, as records without key.
    pub fn take(&mut self, topic: &str, lines_max: usize, bytes_max: usize, now_ms: i64) -> Batch {
        let mut builder = BatchBuilder::default();
        let (topic, schema) = (builder.topic(topic), builder.schema(SCHEMA));
        let value = Form::connect(schema);
        builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value });
        while builder.len() < lines_max && builder.payload_bytes() < bytes_max {
            let Some((line, next)) = self.bytes.get(self.taken..).and_then(first_line) else { break };
            builder.key(None);
            builder.value_with(|out| {
                write_bytes(out, String::from_utf8_lossy(line).as_bytes());
                true
            });
            builder.end(Some(now_ms), None);
            self.taken += next;
            self.position += next as u64;
        }
        builder.build()
    }
}

/// A line and where the next one begins. What a carriage return at the very end means shows only with the next byte.
fn first_line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'))?;
    let next = match (bytes.get(end), bytes.get(end + 1)) {
        (Some(b'\r'), None) => return None,
        (Some(b'\r'), Some(b'\n')) => end + 2,
        _ => end + 1,
    };
    Some((bytes.get(..end)?, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(batch: &Batch) -> Vec<String> {
        let text = |bytes: Option<&[u8]>| {
            towpath_model::datum::Reader::new(bytes.expect("a value")).string().expect("a text").to_owned()
        };
        batch.records().map(|record| text(record.value.bytes)).collect()
    }

    #[test]
    fn lines_end_as_java_has_it_and_a_part_waits_for_its_end() {
        let mut lines = Lines::from(100);
        lines.extend("a\nb\r\n\rü\r".as_bytes());
        assert_eq!(texts(&lines.take("t", 10, 100, 0)), ["a", "b", ""]);
        assert_eq!((lines.position(), lines.end()), (106, 109), "the last return may have a line feed to come");
        lines.extend(b"\nrest");
        assert_eq!(texts(&lines.take("t", 10, 100, 0)), ["ü"]);
        assert_eq!(lines.position(), 110);
        lines.extend(b"\n1\n2\n3\n");
        assert_eq!(texts(&lines.take("t", 2, 100, 0)), ["rest", "1"]);
        assert_eq!(texts(&lines.take("t", 2, 1, 0)), ["2"], "one line at least");
        assert_eq!(texts(&lines.take("t", 2, 100, 0)), ["3"]);
        assert_eq!((lines.position(), lines.end(), lines.held()), (121, 121, 0));
    }

    #[test]
    fn what_is_no_text_is_replaced_and_counted_as_it_stands() {
        let mut lines = Lines::from(0);
        lines.extend(b"\xff\n");
        assert_eq!(texts(&lines.take("t", 1, 100, 0)), ["\u{fffd}"]);
        assert_eq!(lines.position(), 2);
    }
}
