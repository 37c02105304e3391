//! The outbox table's columns and what becomes of them, under Debezium's keys.

use std::sync::Arc;

use towpath_model::{ConfigKey, Importance, ValueType};

use super::expand::Expand;
use crate::error::Error;
use crate::keys::{default_key, optional_key};
use crate::transform::Settings;

const OPERATIONS: [&str; 3] = ["warn", "error", "fatal"];
const NULLS: [&str; 2] = ["ignore", "optional_bytes"];
const EMPTY_ARRAYS: [&str; 2] = ["ignore", "optional_string"];
const MISSING: [&str; 2] = ["error", "ignore"];

/// Where an additional field goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Header,
    Envelope,
    Partition,
}

/// How an outbox is read.
pub(super) struct Outbox {
    pub(super) id: String,
    pub(super) key: String,
    pub(super) payload: String,
    pub(super) route_by: String,
    pub(super) timestamp: Option<String>,
    pub(super) version: Option<String>,
    /// Additional fields, where they go, and under which name.
    pub(super) placed: Vec<(String, Placed, Arc<str>)>,
    pub(super) has_envelope: bool,
    pub(super) missing_is_ignored: bool,
    pub(super) updates_fail: bool,
    pub(super) tombstones: bool,
    pub(super) expand: Option<Expand>,
}

pub(super) fn keys() -> Vec<ConfigKey> {
    let (text, low) = (ValueType::String, Importance::Low);
    let one_of = |mut key: ConfigKey, values: &[&str]| {
        key.valid_values = values.iter().map(|value| (*value).to_owned()).collect();
        key
    };
    let column =
        |name: &str, default: &str, what: &str| default_key(name, text, default, low, &format!("Column of {what}."));
    let medium = |name: &str, default: &str, doc: &str| default_key(name, text, default, Importance::Medium, doc);
    vec![
        column("table.field.event.id", "id", "the event's id, which becomes the header `id`"),
        column("table.field.event.key", "aggregateid", "the event's key"),
        column("table.field.event.type", "type", "the event's type; read by nothing, as in Debezium"),
        column("table.field.event.payload", "payload", "the event's payload"),
        optional_key(
            "table.field.event.timestamp",
            text,
            Importance::Medium,
            "Column of the event's time, a Debezium timestamp; the time of the change when not set.",
        ),
        optional_key(
            "table.fields.additional.placement",
            ValueType::List,
            Importance::High,
            "Further columns: `column:header`, `column:envelope`, `column:partition`, each with `:alias` where it is to be called otherwise.",
        ),
        one_of(
            medium(
                "table.field.additional.missing",
                "error",
                "What happens where one of these is not there: error, or ignore.",
            ),
            &MISSING,
        ),
        optional_key("table.field.event.schema.version", text, low, "Column of the version of the value's schema."),
        one_of(
            medium(
                "table.op.invalid.behavior",
                "warn",
                "What becomes of updates: warn and error drop them, fatal fails.",
            ),
            &OPERATIONS,
        ),
        default_key(
            "table.expand.json.payload",
            ValueType::Boolean,
            "false",
            Importance::Medium,
            "Whether a payload that is JSON in a text is taken apart, with a schema made after it.",
        ),
        one_of(
            medium(
                "table.json.payload.null.behavior",
                "ignore",
                "Nulls in such JSON: ignore drops the field, optional_bytes keeps it.",
            ),
            &NULLS,
        ),
        one_of(
            medium(
                "table.json.payload.empty.array.behavior",
                "ignore",
                "Empty arrays in such JSON: ignore drops the field, optional_string keeps it.",
            ),
            &EMPTY_ARRAYS,
        ),
        default_key(
            "route.by.field",
            text,
            "aggregatetype",
            Importance::High,
            "Column after which the topic is named.",
        ),
        default_key(
            "route.topic.regex",
            text,
            "(?<routedByValue>.*)",
            low,
            "Regular expression for that column's value.",
        ),
        default_key(
            "route.topic.replacement",
            text,
            "outbox.event.${routedByValue}",
            Importance::High,
            "The topic; `${routedByValue}` stands for the column's value.",
        ),
        default_key(
            "route.tombstone.on.empty.payload",
            ValueType::Boolean,
            "false",
            Importance::High,
            "Whether an empty payload makes a tombstone.",
        ),
    ]
}

impl Outbox {
    pub(super) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let column = |name: &str, default: &str| settings.get(name).unwrap_or(default).to_owned();
        let chosen = |name: &str, allowed: &[&'static str]| {
            let value = settings.get(name).unwrap_or_default().trim().to_ascii_lowercase();
            match allowed.iter().find(|known| **known == value) {
                Some(known) => Ok(*known),
                None if value.is_empty() => Ok(allowed[0]),
                None => Err(Error::value(settings.key(name), format!("Value must be one of {}", allowed.join(", ")))),
            }
        };
        let expand = settings.boolean("table.expand.json.payload", false)?;
        let nulls_stay = chosen("table.json.payload.null.behavior", &NULLS)? == NULLS[1];
        let empty_arrays_stay = chosen("table.json.payload.empty.array.behavior", &EMPTY_ARRAYS)? == EMPTY_ARRAYS[1];
        let placed = settings.list("table.fields.additional.placement").map(|text| {
            placed(text).ok_or_else(|| {
                let reason = format!("{text} is not column:placement or column:placement:alias; placements are header, envelope, partition");
                Error::value(settings.key("table.fields.additional.placement"), reason)
            })
        });
        let placed = placed.collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            id: column("table.field.event.id", "id"),
            key: column("table.field.event.key", "aggregateid"),
            payload: column("table.field.event.payload", "payload"),
            route_by: column("route.by.field", "aggregatetype"),
            timestamp: settings.get("table.field.event.timestamp").map(str::to_owned),
            version: settings.get("table.field.event.schema.version").map(str::to_owned),
            has_envelope: placed.iter().any(|(_, placed, _)| *placed == Placed::Envelope),
            placed,
            missing_is_ignored: chosen("table.field.additional.missing", &MISSING)? == "ignore",
            updates_fail: chosen("table.op.invalid.behavior", &OPERATIONS)? == "fatal",
            tombstones: settings.boolean("route.tombstone.on.empty.payload", false)?,
            expand: expand.then_some(Expand { nulls_stay, empty_arrays_stay }),
        })
    }
}

fn placed(text: &str) -> Option<(String, Placed, Arc<str>)> {
    let parts: Vec<&str> = text.split(':').map(str::trim).collect();
    let (column, place, alias) = match parts.as_slice() {
        [column, place] => (column, place, column),
        [column, place, alias] => (column, place, alias),
        _ => return None,
    };
    let place = match place.to_ascii_lowercase().as_str() {
        "header" => Placed::Header,
        "envelope" => Placed::Envelope,
        "partition" => Placed::Partition,
        _ => return None,
    };
    (!column.is_empty() && !alias.is_empty()).then(|| ((*column).to_owned(), place, (*alias).into()))
}
