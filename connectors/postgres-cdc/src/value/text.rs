//! Types that are text with a grammar: money, hstore, point.

use towpath_model::datum;

use super::Fault;

/// The number within `-$1,234.56`. The connection asks for the C locale, whose separators are known.
pub(super) fn money(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.')).collect()
}

/// `(x,y)` as a struct of coordinates, well-known binary and no reference system.
pub(super) fn write_point(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    const FAULT: Fault = Fault("not a point");
    let text = std::str::from_utf8(text).map_err(|_| FAULT)?;
    let inner = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')).ok_or(FAULT)?;
    let (x, y) = inner.split_once(',').ok_or(FAULT)?;
    let (x, y): (f64, f64) = (x.parse().map_err(|_| FAULT)?, y.parse().map_err(|_| FAULT)?);
    datum::write_double(out, x);
    datum::write_double(out, y);
    // Byte order, the kind "point", the coordinates.
    let mut binary = [0; 21];
    let parts = [(0, &[1u8, 1, 0, 0, 0][..]), (5, &x.to_le_bytes()), (13, &y.to_le_bytes())];
    for (at, part) in parts {
        binary[at..at + part.len()].copy_from_slice(part);
    }
    datum::write_long(out, 1);
    datum::write_bytes(out, &binary);
    datum::write_long(out, 0);
    Ok(())
}

/// `"k"=>"v", "n"=>NULL` as a JSON object.
pub(super) fn write_hstore(text: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    const FAULT: Fault = Fault("not an hstore");
    let mut rest = std::str::from_utf8(text).map_err(|_| FAULT)?;
    let mut object = serde_json::Map::new();
    while !rest.is_empty() {
        let (key, after) = quoted(rest).ok_or(FAULT)?;
        let after = after.strip_prefix("=>").ok_or(FAULT)?;
        let (value, after) = match after.strip_prefix("NULL") {
            Some(after) => (serde_json::Value::Null, after),
            None => {
                let (value, after) = quoted(after).ok_or(FAULT)?;
                (value.into(), after)
            }
        };
        object.insert(key, value);
        rest = after.strip_prefix(", ").unwrap_or(after);
    }
    datum::write_bytes(out, serde_json::Value::Object(object).to_string().as_bytes());
    Ok(())
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
