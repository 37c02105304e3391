//! Reading JSON from a topic: is it JSON, and what stands in the envelope of `schemas.enable`.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::scan::scan;
use crate::fault::Fault;

/// JsonConverter's envelope. Anything beside the two fields makes it something else.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow)]
    pub(crate) schema: &'a RawValue,
    #[serde(borrow)]
    pub(crate) payload: &'a RawValue,
}

impl<'a> Envelope<'a> {
    /// Reads an envelope.
    pub(crate) fn read(text: &'a str) -> Result<Self, Fault> {
        serde_json::from_str(text).map_err(|error| {
            if error.is_data() {
                Fault::json(
                    "the JSON is no envelope of `schema` and `payload`, which schemas.enable=true asks for. \
                     Set schemas.enable=false to read plain JSON.",
                )
            } else {
                not_json(&error)
            }
        })
    }
}

/// The bytes as text, when they are one JSON document, and whether it is spread over lines.
pub(crate) fn valid(bytes: &[u8]) -> Result<(&str, bool), Fault> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Fault::json(format!("not JSON: not UTF-8 at byte {}", error.valid_up_to())))?;
    if let Some(broken) = scan(text) {
        return Ok((text, broken));
    }
    // What the quick look cannot vouch for is for the parser to judge, and to name the place.
    serde_json::from_str::<IgnoredAny>(text).map_err(|error| not_json(&error))?;
    Ok((text, line_broken(text)))
}

fn not_json(error: &serde_json::Error) -> Fault {
    // The text of a syntax error names a place and a kind of token, never contents.
    Fault::json(format!("not JSON: {error}"))
}

/// Whether a document is spread over lines, which sinks that write one document a line could not take.
pub(crate) fn line_broken(text: &str) -> bool {
    // Chunks without an early way out inside are compared many bytes at a time.
    text.as_bytes()
        .chunks(128)
        .any(|chunk| chunk.iter().fold(false, |found, byte| found | matches!(byte, b'\n' | b'\r')))
}

/// The document without white space between its tokens; numbers and strings stay as they are written.
pub(crate) fn unbroken(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            out.push(byte);
        } else if !byte.is_ascii_whitespace() {
            in_string = byte == b'"';
            out.push(byte);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_over_lines_become_one_line() {
        let text = "{\n  \"a b\" : \"x \\\" \\\\\" ,\r\n\t\"n\": 1.10 }";
        assert_eq!(unbroken(text), br#"{"a b":"x \" \\","n":1.10}"#);
        assert!(line_broken(text) && !line_broken(r#"{"a": "\n"}"#));
    }

    #[test]
    fn faults_name_the_position() {
        let fault = valid(b"{\"a\": nope}").expect_err("no JSON");
        assert_eq!(fault.reason, "not JSON: expected ident at line 1 column 8");
        assert!(valid(b"\"\xff\"").expect_err("no UTF-8").reason.ends_with("byte 1"));
        assert!(valid(b"{} {}").is_err() && valid(b"").is_err());
    }
}
