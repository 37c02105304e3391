//! Redacts JSON text: what is kept is copied byte by byte, so numbers, spaces and the order of keys stay as they are.
//!
//! Masked strings become the replacement, numbers 0, booleans false, arrays empty; an object is masked key by key and a null stays a
//! null. The scanner checks no more than it needs to find its way; a text in which it cannot is refused.

use crate::Error;
use crate::datum::DEPTH_MAX;
use crate::paths::{Paths, Step};

/// Writes `text` to `out` with the values at the paths replaced. `replacement` is a JSON string, quotes included.
pub(crate) fn redact(text: &[u8], fields: &[String], replacement: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut scanner = Scanner { text, at: 0, copied: 0, replacement, out };
    scanner.value(&Step::Into(Paths::new(fields)), 0)?;
    scanner.blanks();
    if scanner.at < text.len() {
        return Err(scanner.fault("the end"));
    }
    scanner.copy_to_here();
    Ok(())
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// All before is in `out`.
    copied: usize,
    replacement: &'a str,
    out: &'a mut Vec<u8>,
}

impl<'a> Scanner<'a> {
    fn value(&mut self, step: &Step<'_>, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Depth(DEPTH_MAX));
        }
        self.blanks();
        match (self.peek(), step) {
            (Some(b'{'), _) => self.object(step, depth),
            (Some(b'['), Step::Mask) => self.replaced(b"[]", |scanner| scanner.array(&Step::Keep, depth)),
            (Some(b'['), _) => self.array(step, depth),
            (Some(b'"'), Step::Mask) => {
                let replacement = self.replacement;
                self.replaced(replacement.as_bytes(), |scanner| scanner.string().map(drop))
            }
            (Some(b'"'), _) => self.string().map(drop),
            (Some(b't' | b'f'), Step::Mask) => self.replaced(b"false", Self::word),
            (Some(b't' | b'f' | b'n'), _) => self.word(),
            (Some(b'-' | b'0'..=b'9'), Step::Mask) => self.replaced(b"0", Self::word),
            (Some(b'-' | b'0'..=b'9'), _) => self.word(),
            _ => Err(self.fault("a value")),
        }
    }

    fn object(&mut self, step: &Step<'_>, depth: usize) -> Result<(), Error> {
        self.at += 1;
        if self.takes(b'}') {
            return Ok(());
        }
        loop {
            self.blanks();
            let key = self.string()?;
            let inner = match step {
                Step::Keep => Step::Keep,
                Step::Mask => Step::Mask,
                Step::Into(paths) => paths.step(&key_text(key).ok_or_else(|| self.fault("a key in UTF-8"))?),
            };
            self.expect(b':', "a colon")?;
            self.value(&inner, depth + 1)?;
            if self.takes(b'}') {
                return Ok(());
            }
            self.expect(b',', "a comma")?;
        }
    }

    fn array(&mut self, step: &Step<'_>, depth: usize) -> Result<(), Error> {
        self.at += 1;
        if self.takes(b']') {
            return Ok(());
        }
        loop {
            self.value(step, depth + 1)?;
            if self.takes(b']') {
                return Ok(());
            }
            self.expect(b',', "a comma")?;
        }
    }

    /// Passes over a string; returns it with its quotes.
    fn string(&mut self) -> Result<&'a [u8], Error> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.fault("a string"));
        }
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.fault("the end of a string")),
            }
        }
        self.at += 1;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Passes over a number or a literal.
    fn word(&mut self) -> Result<(), Error> {
        while let Some(b'+' | b'-' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E') = self.peek() {
            self.at += 1;
        }
        Ok(())
    }

    /// Writes `instead` for what `pass` passes over.
    fn replaced(&mut self, instead: &[u8], pass: impl FnOnce(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        self.copy_to_here();
        pass(self)?;
        self.out.extend_from_slice(instead);
        self.copied = self.at;
        Ok(())
    }

    fn copy_to_here(&mut self) {
        self.out.extend_from_slice(self.text.get(self.copied..self.at).unwrap_or_default());
        self.copied = self.at;
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.blanks();
        let takes = self.peek() == Some(byte);
        self.at += usize::from(takes);
        takes
    }

    fn expect(&mut self, byte: u8, what: &'static str) -> Result<(), Error> {
        if self.takes(byte) { Ok(()) } else { Err(self.fault(what)) }
    }

    fn fault(&self, what: &'static str) -> Error {
        Error::Json { at: self.at, what }
    }
}

/// The text of a key, which may be written with escapes.
fn key_text(quoted: &[u8]) -> Option<std::borrow::Cow<'_, str>> {
    if quoted.contains(&b'\\') {
        return serde_json::from_slice::<String>(quoted).ok().map(Into::into);
    }
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    std::str::from_utf8(inner).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, fields: &[&str], expected: &str) {
        let fields: Vec<String> = fields.iter().map(|field| (*field).to_owned()).collect();
        let mut out = Vec::new();
        let outcome = redact(text.as_bytes(), &fields, "\"****\"", &mut out);
        let shown = outcome.map_or_else(|error| error.to_string(), |()| String::from_utf8(out).unwrap());
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn fields_are_replaced_by_the_zero_of_their_type_and_nothing_else_changes() {
        check(r#"{"a":"x","b":1.50,"c":"\"a\""}"#, &["a"], r#"{"a":"****","b":1.50,"c":"\"a\""}"#);
        check(
            "{ \"n\" : -1.5e3 ,\n \"t\" : true, \"z\": null }",
            &["n", "t", "z"],
            "{ \"n\" : 0 ,\n \"t\" : false, \"z\": null }",
        );
        check(r#"{"o":{"s":"x","l":[1,"]"],"d":{"n":2}}}"#, &["o"], r#"{"o":{"s":"****","l":[],"d":{"n":0}}}"#);
        check(r#"{"big":12345678901234567890.10,"x":1}"#, &["x"], r#"{"big":12345678901234567890.10,"x":0}"#);
    }

    #[test]
    fn paths_go_into_objects_and_through_arrays() {
        check(
            r#"{"after":{"mail":"x","id":1},"mail":"y"}"#,
            &["after.mail"],
            r#"{"after":{"mail":"****","id":1},"mail":"y"}"#,
        );
        check(r#"{"l":[{"p":1,"q":2},{"p":3}],"p":4}"#, &["l.p"], r#"{"l":[{"p":0,"q":2},{"p":0}],"p":4}"#);
        check(r#"[{"p":"x"},[{"p":"y"}],7]"#, &["p"], r#"[{"p":"****"},[{"p":"****"}],7]"#);
        check(r#"{"a.b":"x","a":{"b":"y"}}"#, &["a.b"], r#"{"a.b":"****","a":{"b":"****"}}"#);
    }

    #[test]
    fn neither_escapes_nor_repeated_keys_hide_a_field() {
        check(
            r#"{"c\u0061rd":"x","card":"y","card":"z"}"#,
            &["card"],
            r#"{"c\u0061rd":"****","card":"****","card":"****"}"#,
        );
    }

    #[test]
    fn other_values_pass() {
        for text in ["null", "\"card\"", " 12 ", "{}", "[ ]", "{\"x\": {} }"] {
            check(text, &["card"], text);
        }
    }

    #[test]
    fn texts_without_a_way_through_are_refused() {
        check(r#"{"a":"x"#, &["a"], "JSON is malformed at byte 7: expected the end of a string");
        check(r#"{"a" "x"}"#, &["a"], "JSON is malformed at byte 5: expected a colon");
        check(r#"{"a":1}{"#, &["a"], "JSON is malformed at byte 7: expected the end");
        check("", &["a"], "JSON is malformed at byte 0: expected a value");
        check("{\"a\":\"\\", &["a"], "JSON is malformed at byte 8: expected the end of a string");
        check(&"[".repeat(1000), &["a"], "value is nested deeper than 128 levels");
    }
}
