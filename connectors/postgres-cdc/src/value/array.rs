//! Arrays: `{1,NULL,"a \"b\""}`, nested for each dimension, perhaps with bounds ahead: `[0:1]={1,2}`.
//!
//! A column may hold arrays of any number of dimensions, whatever it declares, but a schema has one number. A value of another
//! number is refused with its own, so that a schema for it can be made.

use towpath_model::datum;

use super::{Codec, Fault, Written};

const FAULT: Fault = Fault::Text("not an array");

/// How the elements of an array are written.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// How one element is.
    pub element: Codec,
    /// Whether an element may be null.
    pub optional: bool,
    /// What stands between elements.
    pub delimiter: u8,
}

/// One element as it stands in the text.
enum Element<'a> {
    Null,
    Plain(&'a [u8]),
    Quoted(&'a [u8]),
    Nested(&'a [u8]),
}

impl Array {
    pub(super) fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let text = match text {
            [b'[', ..] => {
                let bounds = text.iter().position(|byte| *byte == b'=').ok_or(FAULT)?;
                text.get(bounds + 1..).unwrap_or_default()
            }
            text => text,
        };
        let inner = text.strip_prefix(b"{").and_then(|text| text.strip_suffix(b"}")).ok_or(FAULT)?;
        // Elements that begin with a brace are quoted, so that braces at the front are dimensions. `{}` has none, and fits.
        let dimensions = text.iter().take_while(|byte| **byte == b'{').count();
        if !inner.is_empty() && dimensions != self.dimensions() {
            return Err(u16::try_from(dimensions).map_or(FAULT, Fault::Dimensions));
        }
        let mut count = 0i64;
        each(inner, self.delimiter, |_| {
            count += 1;
            Ok(())
        })?;
        if count > 0 {
            datum::write_long(out, count);
            let mut unescaped = Vec::new();
            each(inner, self.delimiter, |element| self.write_element(&element, &mut unescaped, out))?;
        }
        datum::write_long(out, 0);
        Ok(())
    }

    fn dimensions(&self) -> usize {
        match &self.element {
            Codec::Array(inner) => 1 + inner.dimensions(),
            _ => 1,
        }
    }

    fn write_element(&self, element: &Element<'_>, unescaped: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), Fault> {
        let nested = matches!(self.element, Codec::Array(_));
        let text = match element {
            Element::Null if self.optional => {
                datum::write_long(out, 0);
                return Ok(());
            }
            Element::Null => return Err(Fault::NullElement),
            Element::Nested(text) if nested => text,
            Element::Plain(text) if !nested => text,
            Element::Quoted(text) if !nested => {
                if text.contains(&b'\\') {
                    unescape(text, unescaped);
                    unescaped.as_slice()
                } else {
                    text
                }
            }
            _ => return Err(FAULT),
        };
        let at = out.len();
        if self.optional {
            datum::write_long(out, 1);
        }
        if self.element.write(text, out)? == Written::Nothing {
            if !self.optional {
                return Err(Fault::NullElement);
            }
            out.truncate(at);
            datum::write_long(out, 0);
        }
        Ok(())
    }

    /// One element for text; for numbers the bytes of the placeholder, one an element, as Debezium has it.
    pub(super) fn write_placeholder(&self, placeholder: &[u8], out: &mut Vec<u8>) -> Written {
        let branch = |out: &mut Vec<u8>| {
            if self.optional {
                datum::write_long(out, 1);
            }
        };
        if matches!(self.element, Codec::Integer | Codec::Date) {
            datum::write_long(out, placeholder.len() as i64);
            for byte in placeholder {
                branch(out);
                datum::write_long(out, i64::from(*byte));
            }
        } else {
            datum::write_long(out, 1);
            branch(out);
            if self.element.write_placeholder(placeholder, out) == Written::Nothing {
                return Written::Nothing;
            }
        }
        datum::write_long(out, 0);
        Written::Value
    }
}

fn unescape(text: &[u8], out: &mut Vec<u8>) {
    out.clear();
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        let byte = if *byte == b'\\' { bytes.next().unwrap_or(byte) } else { byte };
        out.push(*byte);
    }
}

fn each<'a>(
    mut text: &'a [u8],
    delimiter: u8,
    mut visit: impl FnMut(Element<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    while !text.is_empty() {
        let end = match text.first() {
            Some(b'"') => quoted_end(text, 0)? + 1,
            Some(b'{') => nested_end(text)? + 1,
            _ => text.iter().position(|byte| *byte == delimiter).unwrap_or(text.len()),
        };
        let (element, rest) = text.split_at(end);
        visit(match element {
            [b'"', inner @ .., b'"'] => Element::Quoted(inner),
            [b'{', ..] => Element::Nested(element),
            b"NULL" => Element::Null,
            plain => Element::Plain(plain),
        })?;
        text = match rest {
            [] => rest,
            [first, rest @ ..] if *first == delimiter && !rest.is_empty() => rest,
            _ => return Err(FAULT),
        };
    }
    Ok(())
}

/// The place of the quote that ends the one at `start`.
fn quoted_end(text: &[u8], start: usize) -> Result<usize, Fault> {
    let mut at = start + 1;
    loop {
        match text.get(at).ok_or(FAULT)? {
            b'"' => return Ok(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The place of the brace that ends the one at the front.
fn nested_end(text: &[u8]) -> Result<usize, Fault> {
    let (mut at, mut depth) = (0, 0usize);
    loop {
        match text.get(at).ok_or(FAULT)? {
            b'"' => at = quoted_end(text, at)?,
            b'{' => depth += 1,
            b'}' if depth == 1 => return Ok(at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
}
