//! JSON strings as Jackson writes them: only what must be escaped is, and what is not ASCII stays as it is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const HEX: &[u8; 16] = b"0123456789ABCDEF";
const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Writes a string with its quotes. Bytes that are not UTF-8 are refused.
#[inline]
pub(crate) fn write_string(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), std::str::Utf8Error> {
    out.push(b'"');
    if is_plain(bytes) {
        out.extend_from_slice(bytes);
    } else {
        write_escaped(out, std::str::from_utf8(bytes)?);
    }
    out.push(b'"');
    Ok(())
}

/// Writes bytes as a Base64 string.
pub(crate) fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    let before = out.len();
    out.resize(before + bytes.len().div_ceil(3) * 4, 0);
    let written =
        STANDARD.encode_slice(bytes, &mut out[before..]).expect("the room is exactly what the encoding takes");
    out.truncate(before + written);
    out.push(b'"');
}

/// Whether all bytes are ASCII that stands in a JSON string as it is. Eight bytes at a time, the last ones twice if need be.
#[inline]
fn is_plain(bytes: &[u8]) -> bool {
    let mut found = 0;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        found |= special(word(chunk));
    }
    let rest = match (bytes.last_chunk::<8>(), bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        (Some(last), ..) => u64::from_le_bytes(*last),
        (None, Some(first), Some(last)) => {
            u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
        }
        // At most three bytes, filled up with spaces.
        _ => bytes.iter().fold(LOW * u64::from(b' '), |word, byte| word << 8 | u64::from(*byte)),
    };
    (found | special(rest)) & HIGH == 0
}

#[inline]
fn word(chunk: &[u8]) -> u64 {
    chunk.first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Sets the high bit of a byte where one is below 0x20, a quote, a backslash, or not ASCII.
#[inline]
fn special(word: u64) -> u64 {
    let (quote, backslash) = (word ^ (LOW * u64::from(b'"')), word ^ (LOW * u64::from(b'\\')));
    word | word.wrapping_sub(LOW * 0x20) | quote.wrapping_sub(LOW) | backslash.wrapping_sub(LOW)
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0c => b'f',
            0..0x20 => 0,
            _ => continue,
        };
        out.extend_from_slice(&bytes[written..at]);
        written = at + 1;
        if short == 0 {
            let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
        } else {
            out.extend_from_slice(&[b'\\', short]);
        }
    }
    out.extend_from_slice(&bytes[written..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let mut out = Vec::new();
        write_string(&mut out, text.as_bytes()).expect("UTF-8");
        assert_eq!(String::from_utf8(out).expect("UTF-8"), expected);
    }

    #[test]
    fn strings_are_escaped_as_jackson_does() {
        check("", r#""""#);
        check(
            "plain text of more than eight bytes / with a slash",
            r#""plain text of more than eight bytes / with a slash""#,
        );
        check("quote \" and \\", r#""quote \" and \\""#);
        check("\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}", "\"\\b\\t\\n\\f\\r\\u0000\\u001F\u{7f}\"");
        check("grün 🦀 \u{2028}", "\"grün 🦀 \u{2028}\"");
    }

    #[test]
    fn a_byte_anywhere_in_a_word_is_noticed() {
        for special in ["\"", "\\", "\n", "ä", "\u{0}"] {
            for at in 0..20 {
                let text = format!("{}{special}{}", "a".repeat(at), "z".repeat(20 - at));
                let mut out = Vec::new();
                write_string(&mut out, text.as_bytes()).expect("UTF-8");
                let read: String = serde_json::from_slice(&out).expect("JSON");
                assert_eq!(read, text);
            }
        }
    }

    #[test]
    fn what_is_not_utf8_is_refused() {
        assert!(write_string(&mut Vec::new(), b"abc\xff").is_err());
    }

    #[test]
    fn base64_has_padding_and_no_line_breaks() {
        for (bytes, text) in [(&b""[..], "\"\""), (b"\xde\xad\xbe\xef", "\"3q2+7w==\""), (b"09", "\"MDk=\"")] {
            let mut out = Vec::new();
            write_base64(&mut out, bytes);
            assert_eq!(String::from_utf8(out).expect("ASCII"), text);
        }
    }
}
