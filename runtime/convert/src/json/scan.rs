//! A quick look at a JSON document: one pass, many bytes of a string at a time, nothing built.
//!
//! It vouches only for what is JSON beyond doubt. Deep nesting and whatever else it is unsure of it leaves to the parser,
//! which is several times slower and says where a document is at fault.

const LOW: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
/// One bit for each level.
const DEPTH_MAX: u32 = 64;

/// Whether the text is one JSON document for sure; then also whether it is spread over lines.
pub(super) fn scan(text: &str) -> Option<bool> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0, broken: false };
    // For each open level, the innermost lowest, whether it is an object.
    let (mut depth, mut objects) = (0u32, 0u64);
    loop {
        scan.space();
        match scan.next()? {
            b'"' => scan.string()?,
            b'-' => {
                let first = scan.next()?;
                scan.number(first)?;
            }
            digit @ b'0'..=b'9' => scan.number(digit)?,
            b't' => scan.rest_of(b"rue")?,
            b'f' => scan.rest_of(b"alse")?,
            b'n' => scan.rest_of(b"ull")?,
            open @ (b'{' | b'[') if depth < DEPTH_MAX => {
                let object = open == b'{';
                (depth, objects) = (depth + 1, objects << 1 | u64::from(object));
                scan.space();
                match scan.peek()? {
                    b'}' | b']' => {}
                    _ => {
                        if object {
                            scan.name()?;
                        }
                        continue;
                    }
                }
            }
            _ => return None,
        }
        // Behind a value, or behind the beginning of an empty object or array.
        loop {
            scan.space();
            if depth == 0 {
                return (scan.at == scan.bytes.len()).then_some(scan.broken);
            }
            match (scan.next()?, objects & 1 == 1) {
                (b',', true) => {
                    scan.name()?;
                    break;
                }
                (b',', false) => break,
                (b'}', true) | (b']', false) => (depth, objects) = (depth - 1, objects >> 1),
                _ => return None,
            }
        }
    }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    broken: bool,
}

impl Scan<'_> {
    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\n' | b'\r')) = self.peek() {
            self.broken |= matches!(byte, b'\n' | b'\r');
            self.at += 1;
        }
    }

    /// The name of a member, and the colon.
    #[inline]
    fn name(&mut self) -> Option<()> {
        self.space();
        if self.next()? != b'"' {
            return None;
        }
        self.string()?;
        self.space();
        (self.next()? == b':').then_some(())
    }

    /// A string behind its first quote.
    #[inline]
    fn string(&mut self) -> Option<()> {
        loop {
            while let Some(word) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk::<8>) {
                let found = special(u64::from_le_bytes(*word));
                if found != 0 {
                    self.at += found.trailing_zeros() as usize / 8;
                    break;
                }
                self.at += 8;
            }
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        let digits = self.bytes.get(self.at..self.at + 4)?;
                        if !digits.iter().all(u8::is_ascii_hexdigit) {
                            return None;
                        }
                        self.at += 4;
                    }
                    _ => return None,
                },
                0..0x20 => return None,
                _ => {}
            }
        }
    }

    /// A number behind its sign and first digit.
    #[inline]
    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' if self.peek().is_some_and(|byte| byte.is_ascii_digit()) => return None,
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Some(())
    }

    #[inline]
    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Option<()> {
        let before = self.at;
        self.digits();
        (self.at > before).then_some(())
    }

    #[inline]
    fn rest_of(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        self.at += word.len();
        rest.starts_with(word).then_some(())
    }
}

/// Sets the high bit of the first byte that is below 0x20, a quote or a backslash; bytes behind it may be set for nothing.
#[inline]
fn special(word: u64) -> u64 {
    let below = |word: u64, limit: u64| word.wrapping_sub(LOW * limit) & !word;
    let (quote, backslash) = (word ^ (LOW * u64::from(b'"')), word ^ (LOW * u64::from(b'\\')));
    (below(word, 0x20) | below(quote, 1) | below(backslash, 1)) & HIGH
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    fn is_json(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn documents_are_known_at_a_glance() {
        for (text, broken) in [
            (r#"{"a":[1,-2.5e+3,0.1,{}],"b":{"c":null,"d":true},"e":"x\"\\\u00e4","f":[]}"#, false),
            ("  [ false ,\t0 , \"grün 🦀, and longer than a word\" ]  ", false),
            ("{\n \"a\" : 1\r\n}", true),
            ("\"\"", false),
            ("7", false),
        ] {
            assert!(is_json(text), "{text}");
            assert_eq!(scan(text), Some(broken), "{text}");
        }
    }

    #[test]
    fn what_is_no_document_is_not_vouched_for() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[1,]",
            "{\"a\":1,}",
            "{\"a\"}",
            "{a:1}",
            "[1}",
            "{\"a\":1]",
            "01",
            "1.",
            "1e",
            "-",
            "+1",
            ".5",
            "tru",
            "nulll",
            "1 2",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "[1 2]",
            "{\"a\" 1}",
            "{,}",
            "[,1]",
            "[}",
            "{]",
        ] {
            assert!(!is_json(text), "{text}");
            assert_eq!(scan(text), None, "{text}");
        }
        assert_eq!(scan(&"[".repeat(100)), None);
        assert_eq!(scan(&format!("{}{}", "[".repeat(64), "]".repeat(64))), Some(false));
    }

    proptest! {
        #[test]
        fn it_never_vouches_for_what_the_parser_refuses(
            text in r#"([\[\]{},:"\\ \n0-9eE.+-]|true|null|"a"|"b":|\\u00e4){0,24}"#,
        ) {
            if scan(&text).is_some() {
                prop_assert!(is_json(&text), "{}", text);
            }
        }
    }
}
