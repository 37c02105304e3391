//! Options of a file, a message, a field … as Confluent's registry reads and prints them: by their form, whoever declares them.
//!
//! An option may belong to a file that nobody has registered (of a linter, of a validator), so values are kept as they are written: a word,
//! a text, or a tree of both.

use std::collections::HashMap;

use indexmap::IndexMap;
use prost_types::UninterpretedOption;

/// How deep the value of an option may go.
const DEPTH_MAX: usize = 32;

/// The value of an option.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// A number, a truth value or a symbol.
    Word(String),
    Text(Vec<u8>),
    Map(IndexMap<String, Value>),
    List(Vec<Value>),
}

/// An option as it is printed: its name, with parentheses where somebody else than Google declares it, and its value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Setting {
    pub(super) name: String,
    pub(super) value: Value,
}

impl Setting {
    /// An option as it is written.
    pub(super) fn of(option: &UninterpretedOption) -> Self {
        let mut name = String::new();
        for (place, part) in option.name.iter().enumerate() {
            let dot = if place > 0 { "." } else { "" };
            let (open, close) = if part.is_extension { ("(", ")") } else { ("", "") };
            name.push_str(&format!("{dot}{open}{}{close}", part.name_part));
        }
        Self { name, value: Value::of(option) }
    }

    /// The same, with what stands behind the parentheses as part of the value: `(a).b = 1` is `(a) = {b: 1}`.
    pub(super) fn folded(option: &UninterpretedOption) -> Self {
        let [declared, inner @ ..] = option.name.as_slice() else { return Self::of(option) };
        if !declared.is_extension {
            return Self::of(option);
        }
        let value = inner.iter().rev().flat_map(|part| part.name_part.rsplit('.'));
        let value = value.fold(Value::of(option), |value, name| Value::Map(IndexMap::from([(name.to_owned(), value)])));
        Self { name: format!("({})", declared.name_part.trim_start_matches('.')), value }
    }

    /// `name = value`.
    pub(super) fn print(&self, normal: bool) -> String {
        format!("{} = {}", self.name, self.value.print(normal))
    }
}

/// Options of one kind that say what they say together, such as tags one by one.
pub(super) fn merged(settings: Vec<Setting>) -> Vec<Setting> {
    let mut merged: Vec<Setting> = Vec::new();
    let mut places = HashMap::new();
    for setting in settings {
        let known = places.get(&setting.name).and_then(|place: &usize| merged.get_mut(*place));
        match (known, setting.value) {
            (Some(Setting { value: Value::Map(known), .. }), Value::Map(entries)) => {
                entries.into_iter().for_each(|(key, value)| add(known, key, value));
            }
            (_, value) => {
                places.entry(setting.name.clone()).or_insert(merged.len());
                merged.push(Setting { name: setting.name, value });
            }
        }
    }
    merged
}

impl Value {
    fn of(option: &UninterpretedOption) -> Self {
        if let Some(text) = &option.string_value {
            return Self::Text(text.clone());
        }
        if let Some(tree) = &option.aggregate_value {
            let map = map(&mut Tokens(tree), None, DEPTH_MAX);
            return map.map_or_else(|| Self::Word(format!("{{ {tree} }}")), Self::Map);
        }
        let numbers = [
            option.identifier_value.clone(),
            option.positive_int_value.map(|number| number.to_string()),
            option.negative_int_value.map(|number| number.to_string()),
            option.double_value.map(float),
        ];
        Self::Word(numbers.into_iter().flatten().next().unwrap_or_default())
    }

    /// The word, where it is one.
    pub(super) fn word(&self) -> Option<&str> {
        match self {
            Self::Word(word) => Some(word),
            _ => None,
        }
    }

    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => String::from_utf8(text.clone()).ok(),
            _ => None,
        }
    }

    /// An entry of a tree.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Map(entries) => entries.get(key),
            _ => None,
        }
    }

    /// All of a list, or the only one there is.
    pub(super) fn each(&self) -> &[Self] {
        match self {
            Self::List(values) => values,
            one => std::slice::from_ref(one),
        }
    }

    fn print(&self, normal: bool) -> String {
        match self {
            Self::Word(word) if normal => normal_number(word),
            Self::Word(word) => word.clone(),
            Self::Text(text) => quoted(text),
            Self::List(values) if normal && values.len() == 1 => {
                values.iter().map(|value| value.print(normal)).collect()
            }
            Self::List(values) => {
                format!("[\n{}]", listed(values.iter().map(|value| value.print(normal)).collect()))
            }
            Self::Map(entries) => {
                let mut entries: Vec<_> = entries.iter().collect();
                if normal {
                    entries.sort_by_key(|(key, _)| *key);
                }
                let entries = entries.into_iter().map(|(key, value)| format!("{key}: {}", value.print(normal)));
                format!("{{\n{}}}", listed(entries.collect()))
            }
        }
    }
}

/// `[name = value, …]` behind a field, one a line where there are several.
pub(super) fn brackets(settings: &[Setting], normal: bool) -> String {
    match settings {
        [] => String::new(),
        [only] => format!(" [{}]", only.print(normal)),
        several => format!(" [\n{}]", listed(several.iter().map(|setting| setting.print(normal)).collect())),
    }
}

/// Items one below the other, with commas between them.
fn listed(items: Vec<String>) -> String {
    let last = items.len().saturating_sub(1);
    let comma = |place: usize| if place < last { "," } else { "" };
    items.iter().enumerate().map(|(place, item)| indented(&format!("{item}{}", comma(place)))).collect()
}

/// The lines of a text, each a step further in.
pub(super) fn indented(text: &str) -> String {
    text.trim_end_matches('\n').split('\n').map(|line| format!("  {line}\n")).collect()
}

/// A text in quotes.
pub(super) fn quoted(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '\u{7}' => out.push_str("\\a"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{b}' => out.push_str("\\v"),
                '\\' | '\'' | '"' => out.extend(['\\', character]),
                other => out.push(other),
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("\\{byte:03o}")));
    }
    out.push('"');
    out
}

fn float(number: f64) -> String {
    if number.fract() == 0.0 { format!("{number:.1}") } else { number.to_string() }
}

/// A number with at most three digits behind the point, as Java's `DecimalFormat` writes it; any other word as it is.
fn normal_number(word: &str) -> String {
    match word.parse::<f64>() {
        Ok(number) if number.is_finite() && word.contains(['.', 'e', 'E']) => {
            let digits = format!("{number:.3}");
            digits.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => word.to_owned(),
    }
}

/// Adds an entry; what is given several times is a list.
fn add(entries: &mut IndexMap<String, Value>, key: String, value: Value) {
    let Some(known) = entries.get_mut(&key) else {
        entries.insert(key, value);
        return;
    };
    let mut values = match std::mem::replace(known, Value::Word(String::new())) {
        Value::List(values) => values,
        one => vec![one],
    };
    match value {
        Value::List(more) => values.extend(more),
        one => values.push(one),
    }
    *known = Value::List(values);
}

/// The tokens of a tree, between which the parser leaves spaces.
struct Tokens<'a>(&'a str);

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start();
        if rest.is_empty() {
            return None;
        }
        let end = match rest.strip_prefix('"') {
            Some(text) => {
                let mut escaped = false;
                let closing = text.bytes().position(|byte| {
                    let closes = byte == b'"' && !escaped;
                    escaped = byte == b'\\' && !escaped;
                    closes
                });
                closing.map_or(rest.len(), |closing| closing + 2)
            }
            None => rest.find(char::is_whitespace).unwrap_or(rest.len()),
        };
        let (token, rest) = rest.split_at(end);
        self.0 = rest;
        Some(token)
    }
}

impl<'a> Tokens<'a> {
    fn peek(&self) -> Option<&'a str> {
        Tokens(self.0).next()
    }
}

fn map(tokens: &mut Tokens<'_>, close: Option<&str>, depth: usize) -> Option<IndexMap<String, Value>> {
    let depth = depth.checked_sub(1)?;
    let mut entries = IndexMap::new();
    loop {
        let key = match tokens.next() {
            end if end == close => return Some(entries),
            Some("," | ";") => continue,
            Some("[") => {
                let name: String = tokens.by_ref().take_while(|token| *token != "]").collect();
                format!("[{name}]")
            }
            Some(key) => key.to_owned(),
            None => return None,
        };
        if tokens.peek() == Some(":") {
            tokens.next();
        }
        let value = value(tokens, depth)?;
        add(&mut entries, key, value);
    }
}

fn value(tokens: &mut Tokens<'_>, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match tokens.next()? {
        "{" => Value::Map(map(tokens, Some("}"), depth)?),
        "<" => Value::Map(map(tokens, Some(">"), depth)?),
        "[" => {
            let mut values = Vec::new();
            loop {
                match tokens.peek()? {
                    "]" => {
                        tokens.next();
                        break;
                    }
                    "," => drop(tokens.next()),
                    _ => values.push(value(tokens, depth)?),
                }
            }
            Value::List(values)
        }
        "-" => Value::Word(format!("-{}", tokens.next()?)),
        text if text.starts_with('"') => {
            let mut bytes = unquoted(text);
            while let Some(more) = tokens.peek().filter(|token| token.starts_with('"')) {
                bytes.extend(unquoted(more));
                tokens.next();
            }
            Value::Text(bytes)
        }
        word => Value::Word(word.to_owned()),
    })
}

/// The bytes of a quoted text, as the parser of schemas writes it into a tree.
fn unquoted(token: &str) -> Vec<u8> {
    let inner = token.strip_prefix('"').map_or(token, |inner| inner.strip_suffix('"').unwrap_or(inner));
    let mut bytes = inner.bytes().peekable();
    let mut out = Vec::with_capacity(inner.len());
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        match bytes.next() {
            Some(b'n') => out.push(b'\n'),
            Some(b'r') => out.push(b'\r'),
            Some(b't') => out.push(b'\t'),
            Some(b'a') => out.push(7),
            Some(b'b') => out.push(8),
            Some(b'v') => out.push(11),
            Some(b'f') => out.push(12),
            Some(b'x') => {
                let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).unwrap_or_default();
                out.push((digit() * 16 + digit()) as u8);
            }
            Some(first @ b'0'..=b'7') => {
                let mut byte = u32::from(first - b'0');
                while let Some(digit) = bytes.next_if(|next| (b'0'..=b'7').contains(next)) {
                    byte = byte * 8 + u32::from(digit - b'0');
                }
                out.push(byte as u8);
            }
            other => out.extend(other),
        }
    }
    out
}
