//! A tapped record for people: what it was, then for each step what it changed.

use serde_json::Value;
use towpath_rest::v1::{Tapped, TappedError, TappedKind, TappedOutcome, TappedRecord, TappedStep};

use crate::lines::{clock_time, grouped};

const BOLD: &str = "\x1b[1m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// One part of a record: what it is called, what it reads, and the schema it is under.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    name: String,
    text: String,
    schema: Option<String>,
}

/// The lines of a record, with an empty one at the end.
pub(super) fn lines(tapped: &Tapped, colours: bool) -> Vec<String> {
    let toned = |text: &str, tone: &str| match colours {
        true if !tone.is_empty() => format!("{tone}{text}{RESET}"),
        _ => text.to_owned(),
    };
    let (word, tone) = match tapped.outcome {
        TappedOutcome::Passed => ("passed", ""),
        TappedOutcome::Filtered => ("filtered", YELLOW),
        TappedOutcome::Failed => ("failed", RED),
        TappedOutcome::Held => ("held", RED),
    };
    let name = toned(&format!("{}-{}", tapped.connector, tapped.task), BOLD);
    let mut lines = Vec::new();
    if tapped.missed > 0 {
        lines.push(format!("{} records were missed: they came faster than they were read", grouped(tapped.missed)));
    }
    lines.push(format!("{name}  {}  {}", clock_time(tapped.at_ms), toned(word, tone)));
    let width = tapped.steps.iter().map(|step| title(step).chars().count()).max().unwrap_or_default();
    let mut before: Option<&TappedRecord> = None;
    for step in &tapped.steps {
        let said = said(step, before);
        for (index, line) in said.iter().enumerate() {
            let title = if index == 0 { title(step) } else { "" };
            lines.push(format!("  {title:width$}  {line}"));
        }
        before = step.records.first().or(before);
    }
    lines.extend(tapped.error.as_ref().map(|error| format!("  {}", toned(&reason("the batch was held", error), RED))));
    lines.push(String::new());
    lines
}

fn title(step: &TappedStep) -> &str {
    match (step.step, &step.name) {
        (_, Some(name)) => name,
        (TappedKind::Source, None) => "source",
        (TappedKind::Log, None) => "log",
        (TappedKind::Transform, None) => "transform",
        (TappedKind::Converter, None) => "converter",
        (TappedKind::Sink, None) => "sink",
    }
}

/// What there is to say of a step, given a record before it.
fn said(step: &TappedStep, before: Option<&TappedRecord>) -> Vec<String> {
    let mut said = Vec::new();
    if !step.applied {
        said.push("left alone by its predicate".to_owned());
    }
    for (index, record) in step.records.iter().enumerate() {
        let changed = changes(before, record);
        if step.records.len() > 1 {
            said.push(format!("record {} of {}", index + 1, step.records.len() as u64 + step.more));
        } else if changed.is_empty() && step.applied {
            said.push("changed nothing".to_owned());
        }
        let width = changed.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        said.extend(changed.iter().map(|(name, text)| format!("{name:width$}  {text}")));
    }
    match &step.error {
        Some(error) => said.push(reason("failed", error)),
        None if step.records.is_empty() => said.push("filtered".to_owned()),
        None => {}
    }
    said
}

fn reason(what: &str, error: &TappedError) -> String {
    format!("{what}: {} [{}]", one_line(&error.reason), error.code)
}

/// The parts of a record that are other than before; all of them where there was none.
fn changes(before: Option<&TappedRecord>, now: &TappedRecord) -> Vec<(String, String)> {
    let (old, new) = (before.map(parts).unwrap_or_default(), parts(now));
    let mut changes = Vec::new();
    for part in &new {
        let old = old.iter().find(|old| old.name == part.name);
        if old == Some(part) {
            continue;
        }
        let schema = part.schema.as_ref().map(|schema| format!("({schema})"));
        let text = match old {
            Some(old) if old.text == part.text => {
                format!("the same {}", schema.as_deref().unwrap_or("without a schema"))
            }
            _ => [Some(part.text.clone()), schema].into_iter().flatten().collect::<Vec<_>>().join("  "),
        };
        changes.push((part.name.clone(), text));
    }
    let gone = old.iter().filter(|old| !new.iter().any(|new| new.name == old.name));
    changes.extend(gone.map(|gone| (gone.name.clone(), "gone".to_owned())));
    changes
}

fn parts(record: &TappedRecord) -> Vec<Part> {
    let plain = |name: &str, text: String| Part { name: name.to_owned(), text, schema: None };
    let mut parts = vec![plain("topic", one_line(&record.topic))];
    if let (Some(partition), Some(offset)) = (record.partition, record.offset) {
        parts.push(plain("place", format!("{partition}:{offset}")));
    }
    parts.extend(record.timestamp.map(|timestamp| plain("time", clock_time(timestamp))));
    for (name, payload, schema) in
        [("key", &record.key, &record.key_schema), ("value", &record.value, &record.value_schema)]
    {
        parts.push(Part { name: name.to_owned(), text: text(payload), schema: schema.clone() });
    }
    let headers = record.headers.iter().map(|header| plain(&format!("header {}", header.key), text(&header.value)));
    parts.extend(headers);
    parts
}

/// A payload on one line; null and bytes that are no text stand in brackets.
fn text(payload: &Value) -> String {
    match payload {
        Value::String(text) => one_line(text),
        Value::Object(map) => format!("[base64 {}]", map.get("base64").and_then(Value::as_str).unwrap_or_default()),
        _ => "[null]".to_owned(),
    }
}

/// A text without what would move the cursor.
fn one_line(text: &str) -> String {
    let escaped = |character: char| match character.is_control() {
        true => character.escape_default().collect::<String>(),
        false => character.to_string(),
    };
    text.chars().map(escaped).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(tapped: &str) -> String {
        lines(&serde_json::from_str(tapped).expect("a tapped record"), false).join("\n")
    }

    #[test]
    fn only_what_a_step_changed_is_spelled_out() {
        let text = shown(
            r#"{"connector":"orders","task":0,"at_ms":3723004,"missed":1200,"outcome":"passed","steps":[
            {"step":"source","applied":true,"records":[{"topic":"shop.a","partition":null,"offset":null,"timestamp":1,"key":"1","key_schema":"int32","value":"{\"id\":1}","value_schema":"Row","headers":[{"key":"h","value":null}]}]},
            {"step":"transform","name":"route","class":"RegexRouter","applied":true,"records":[{"topic":"a","partition":null,"offset":null,"timestamp":1,"key":"1","key_schema":"int32","value":"{\"id\":1}","value_schema":"Row","headers":[]}]},
            {"step":"transform","name":"mask","class":"MaskField$Value","applied":false,"records":[{"topic":"a","partition":null,"offset":null,"timestamp":1,"key":"1","key_schema":"int32","value":"{\"id\":1}","value_schema":"Row","headers":[]}]},
            {"step":"transform","name":"cast","class":"Cast$Value","applied":true,"records":[{"topic":"a","partition":null,"offset":null,"timestamp":1,"key":"1","key_schema":"int32","value":"{\"id\":1}","value_schema":"Row","headers":[]}]},
            {"step":"converter","applied":true,"records":[{"topic":"a","partition":null,"offset":null,"timestamp":1,"key":"1","value":{"base64":"/w=="},"headers":[]}]}]}"#,
        );
        let expected = "\
1,200 records were missed: they came faster than they were read
orders-0  01:02:03.004  passed
  source     topic     shop.a
             time      00:00:00.001
             key       1  (int32)
             value     {\"id\":1}  (Row)
             header h  [null]
  route      topic     a
             header h  gone
  mask       left alone by its predicate
  cast       changed nothing
  converter  key    the same without a schema
             value  [base64 /w==]
";
        assert_eq!(text, expected, "{text}");
    }

    #[test]
    fn an_end_on_the_way_says_where_and_why() {
        let record = r#"{"topic":"t","partition":0,"offset":7,"timestamp":1,"key":null,"value":"a\nb","headers":[]}"#;
        let filtered = shown(&format!(
            r#"{{"connector":"s","task":1,"at_ms":0,"outcome":"filtered","steps":[{{"step":"log","applied":true,"records":[{record}]}},
            {{"step":"transform","name":"drop","class":"Filter","applied":true,"records":[]}}]}}"#
        ));
        assert!(
            filtered.starts_with("s-1  00:00:00.000  filtered\n  log   topic  t\n        place  0:7\n"),
            "{filtered}"
        );
        assert!(filtered.ends_with("        value  a\\nb\n  drop  filtered\n"), "{filtered}");
        let failed = shown(&format!(
            r#"{{"connector":"s","task":1,"at_ms":0,"outcome":"failed","steps":[{{"step":"log","applied":true,"records":[{record}]}},
            {{"step":"converter","applied":true,"records":[],"error":{{"stage":"VALUE_CONVERTER","code":"convert.json","reason":"not JSON"}}}}]}}"#
        ));
        assert!(failed.ends_with("  converter  failed: not JSON [convert.json]\n"), "{failed}");
        let held = shown(
            r#"{"connector":"s","task":1,"at_ms":0,"outcome":"held","steps":[],"error":{"code":"convert.registry","reason":"away"}}"#,
        );
        assert!(held.ends_with("  the batch was held: away [convert.registry]\n"), "{held}");
    }
}
