//! A record as `tail` gets it: whether it is wanted, and how it is shown.

use std::io;

use serde::Deserialize;
use serde_json::Value;

use crate::lines::clock_time;

/// Which records are shown; those that pass all of these.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Filter {
    /// Only records of this partition.
    #[arg(long, env = "TOWPATH_PARTITION", value_name = "N")]
    partition: Option<i32>,
    /// Only records with this key.
    #[arg(long, env = "TOWPATH_KEY", value_name = "TEXT")]
    key: Option<String>,
    /// Only records whose key or value contains this text.
    #[arg(long, env = "TOWPATH_CONTAINS", value_name = "TEXT")]
    contains: Option<String>,
    /// Only records with this header, KEY or KEY=VALUE.
    #[arg(long, env = "TOWPATH_HEADER", value_name = "KEY[=VALUE]")]
    header: Option<String>,
}

/// A record.
#[derive(Deserialize)]
pub(super) struct Record {
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    key: Value,
    value: Value,
    headers: Vec<Header>,
}

#[derive(Deserialize)]
struct Header {
    key: String,
    value: Value,
}

impl Filter {
    /// Whether everything passes.
    pub(super) fn is_open(&self) -> bool {
        let Self { partition, key, contains, header } = self;
        partition.is_none() && key.is_none() && contains.is_none() && header.is_none()
    }

    /// Whether a record passes.
    pub(super) fn lets_pass(&self, record: &Record) -> bool {
        let holds = |payload: &Value, part: &str| payload.as_str().is_some_and(|text| text.contains(part));
        let has = |wanted: &str| {
            let (key, value) = wanted.split_once('=').map_or((wanted, None), |(key, value)| (key, Some(value)));
            let fits =
                |header: &Header| header.key == key && value.is_none_or(|value| header.value.as_str() == Some(value));
            record.headers.iter().any(fits)
        };
        self.partition.is_none_or(|partition| partition == record.partition)
            && self.key.as_ref().is_none_or(|key| record.key.as_str() == Some(key))
            && self.contains.as_ref().is_none_or(|part| holds(&record.key, part) || holds(&record.value, part))
            && self.header.as_ref().is_none_or(|wanted| has(wanted))
    }
}

impl Record {
    /// A line for people.
    pub(super) fn write_for_people(&self, out: &mut impl io::Write) -> io::Result<()> {
        let time = self.timestamp.map_or_else(|| "-".to_owned(), clock_time);
        write!(out, "{}:{}  {time}  {}  {}", self.partition, self.offset, text(&self.key), text(&self.value))?;
        for header in &self.headers {
            write!(out, "  {}={}", header.key, text(&header.value))?;
        }
        writeln!(out)
    }

    /// A line in a form of the user's.
    pub(super) fn write_as(&self, out: &mut impl io::Write, format: &str) -> io::Result<()> {
        let mut characters = format.chars();
        while let Some(character) = characters.next() {
            let mark = if matches!(character, '%' | '\\') { characters.next() } else { None };
            match (character, mark) {
                ('%', Some('t')) => write!(out, "{}", self.topic)?,
                ('%', Some('p')) => write!(out, "{}", self.partition)?,
                ('%', Some('o')) => write!(out, "{}", self.offset)?,
                ('%', Some('T')) => write!(out, "{}", self.timestamp.unwrap_or(-1))?,
                ('%', Some('k')) => write!(out, "{}", text(&self.key))?,
                ('%', Some('s')) => write!(out, "{}", text(&self.value))?,
                ('%', Some('h')) => {
                    let all = self.headers.iter().map(|header| format!("{}={}", header.key, text(&header.value)));
                    write!(out, "{}", all.collect::<Vec<_>>().join(","))?;
                }
                ('%', Some('%')) => write!(out, "%")?,
                ('\\', Some('n')) => writeln!(out)?,
                ('\\', Some('t')) => write!(out, "\t")?,
                (character, mark) => {
                    write!(out, "{character}")?;
                    mark.map_or(Ok(()), |mark| write!(out, "{mark}"))?;
                }
            }
        }
        writeln!(out)
    }
}

/// A payload as it is; null and bytes that are no text stand in brackets.
fn text(payload: &Value) -> String {
    match payload {
        Value::String(text) => text.clone(),
        Value::Object(map) => format!("[base64 {}]", map.get("base64").and_then(Value::as_str).unwrap_or_default()),
        _ => "[null]".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        serde_json::from_str(
            r#"{"topic":"t","partition":1,"offset":42,"timestamp":3723004,"key":"k","value":null,"headers":[{"key":"h","value":"x"},{"key":"b","value":{"base64":"/w=="}}]}"#,
        )
        .unwrap()
    }

    fn written(write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_record_reads_as_one_line_or_as_the_user_wants() {
        let people = written(|out| record().write_for_people(out));
        assert_eq!(people, "1:42  01:02:03.004  k  [null]  h=x  b=[base64 /w==]\n");
        let format = r"%t/%p@%o %T\t%k=%s 100%% %h %x";
        assert_eq!(
            written(|out| record().write_as(out, format)),
            "t/1@42 3723004\tk=[null] 100% h=x,b=[base64 /w==] %x\n"
        );
    }

    #[test]
    fn a_record_passes_all_filters_or_is_left_out() {
        let passes = |filter: Filter| filter.lets_pass(&record());
        let owned = |text: &str| Some(text.to_owned());
        assert!(passes(Filter::default()) && Filter::default().is_open());
        assert!(passes(Filter { partition: Some(1), key: owned("k"), ..Filter::default() }));
        assert!(!passes(Filter { partition: Some(0), ..Filter::default() }));
        assert!(!passes(Filter { key: owned("K"), ..Filter::default() }));
        assert!(passes(Filter { contains: owned("k"), ..Filter::default() }));
        assert!(!passes(Filter { contains: owned("null"), ..Filter::default() }), "null contains nothing");
        for (header, expected) in [("h", true), ("h=x", true), ("h=y", false), ("x", false)] {
            assert_eq!(passes(Filter { header: owned(header), ..Filter::default() }), expected, "{header}");
        }
    }
}
