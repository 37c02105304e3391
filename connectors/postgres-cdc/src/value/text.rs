//! Types that are text with a grammar: money, "char", hstore.

use std::fmt::Write;

use md5::{Digest, Md5};
use towpath_model::datum;

use super::Fault;

/// The number within `-$1,234.56`. The connection asks for the C locale, whose separators are known.
pub(super) fn money(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')).collect()
}

/// The one byte of a "char". One beyond ASCII is shown as `\377`, as newer servers show it themselves.
pub(super) fn write_char(text: &[u8], out: &mut Vec<u8>) {
    match text {
        [byte] if !byte.is_ascii() => datum::write_bytes(out, format!("\\{byte:03o}").as_bytes()),
        text => datum::write_bytes(out, text),
    }
}

/// `"k"=>"v", "n"=>NULL` as a JSON object.
pub(super) fn write_hstore(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let entries = hstore(text)?;
    write_object(entries.iter().map(|(key, value)| (key.as_bytes(), value.as_ref().map(String::as_bytes))), out);
    Ok(())
}

/// Keys and values as a JSON object.
pub(super) fn write_object<'a>(entries: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>, out: &mut Vec<u8>) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let entries = entries.into_iter().map(|(key, value)| (text(key), value.map(text).into()));
    let object: serde_json::Map<String, serde_json::Value> = entries.collect();
    datum::write_bytes(out, serde_json::Value::Object(object).to_string().as_bytes());
}

/// The same as a map.
pub(super) fn write_hstore_map(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    let entries = hstore(text)?;
    write_map(entries.iter().map(|(key, value)| (key.as_bytes(), value.as_ref().map(String::as_bytes))), out);
    Ok(())
}

/// A map from strings to strings that may be null.
pub(super) fn write_map<'a>(
    entries: impl IntoIterator<IntoIter: ExactSizeIterator<Item = (&'a [u8], Option<&'a [u8]>)>>,
    out: &mut Vec<u8>,
) {
    let entries = entries.into_iter();
    if entries.len() > 0 {
        datum::write_long(out, entries.len() as i64);
        for (key, value) in entries {
            datum::write_bytes(out, key);
            datum::write_long(out, i64::from(value.is_some()));
            if let Some(value) = value {
                datum::write_bytes(out, value);
            }
        }
    }
    datum::write_long(out, 0);
}

/// The UUID that Java makes of a name: version 3, without a namespace.
pub(super) fn named_uuid(name: &[u8]) -> String {
    let mut uuid = String::new();
    for (place, byte) in Md5::digest(name).into_iter().enumerate() {
        let byte = match place {
            6 => byte & 0x0f | 0x30,
            8 => byte & 0x3f | 0x80,
            _ => byte,
        };
        if matches!(place, 4 | 6 | 8 | 10) {
            uuid.push('-');
        }
        // Writing to a string does not fail.
        let _ = write!(uuid, "{byte:02x}");
    }
    uuid
}

fn hstore(text: &[u8]) -> Result<Vec<(String, Option<String>)>, Fault> {
    const FAULT: Fault = Fault::Text("not an hstore");
    let mut rest = std::str::from_utf8(text).map_err(|_| FAULT)?;
    let mut entries = Vec::new();
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or(FAULT)?;
        let after = after.strip_prefix("=>").ok_or(FAULT)?;
        let (value, after) = match after.strip_prefix("NULL") {
            Some(after) => (None, after),
            None => {
                let (value, after) = quoted(after).ok_or(FAULT)?;
                (Some(value), after)
            }
        };
        entries.push((key, value));
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    Ok(entries)
}

fn quoted(text: &str) -> Option<(String, &str)> {
    let text = text.strip_prefix('"')?;
    let mut unescaped = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((unescaped, text.get(at + 1..)?)),
            '\\' => unescaped.push(characters.next()?.1),
            other => unescaped.push(other),
        }
    }
    None
}
