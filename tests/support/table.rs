//! Tables rebuilt from change events, in a form in which they can be compared with Postgres's own `to_jsonb`.
//!
//! Debezium writes a `numeric` as base64 of its unscaled bytes, a `date` as days and so on. [`Table::row`] turns a row of an event
//! into what `to_jsonb` prints of the same row in a session whose time zone is UTC.

use std::collections::BTreeMap;

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use tokio_postgres::Client;

/// What stands for a TOASTed value that an update did not touch.
const UNAVAILABLE: &str = "__debezium_unavailable_value";

/// How the events of a column are brought into the form of `to_jsonb`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Same,
    Decimal { scale: u32 },
    Date,
    Instant,
    Json,
    Bytes,
}

/// A table: its key and how to read its columns.
#[derive(Clone, Debug)]
pub struct Table {
    /// `schema.name`.
    pub name: String,
    /// The columns of the primary key, or those by which the tests tell rows of a table without one apart.
    pub key: Vec<String>,
    /// The columns that it always has; others may come and go.
    columns: BTreeMap<String, Kind>,
}

impl Table {
    /// Reads the definition of `schema.name` from the catalog.
    pub async fn describe(client: &Client, name: &str) -> Result<Self> {
        let rows = client
            .query(
                "select a.attname, t.typname, a.atttypmod, coalesce(a.attnum = any(i.indkey), false)
                   from pg_attribute a join pg_type t on t.oid = a.atttypid
                   left join pg_index i on i.indrelid = a.attrelid and i.indisprimary
                  where a.attrelid = $1::text::regclass and a.attnum > 0 and not a.attisdropped order by a.attnum",
                &[&name],
            )
            .await
            .with_context(|| format!("describing {name}"))?;
        let mut table = Self { name: name.to_owned(), key: Vec::new(), columns: BTreeMap::new() };
        for row in rows {
            let (column, type_name, modifier, in_key): (String, String, i32, bool) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?);
            let kind = match type_name.as_str() {
                "numeric" => Kind::Decimal { scale: u32::try_from((modifier - 4) & 0xffff)? },
                "date" => Kind::Date,
                "timestamptz" => Kind::Instant,
                "json" | "jsonb" => Kind::Json,
                "bytea" => Kind::Bytes,
                _ => Kind::Same,
            };
            if in_key {
                table.key.push(column.clone());
            }
            table.columns.insert(column, kind);
        }
        Ok(table)
    }

    #[cfg(test)]
    pub(crate) fn without_columns(name: &str) -> Self {
        Self { name: name.to_owned(), key: Vec::new(), columns: BTreeMap::new() }
    }

    /// A table without a primary key, whose rows the tests tell apart by these columns.
    #[must_use]
    pub fn told_apart_by(mut self, columns: &[&str]) -> Self {
        self.key = columns.iter().map(|column| (*column).to_owned()).collect();
        self
    }

    /// Whether two rows are the same but for columns that came or went in between.
    pub fn is_same_but_for_columns(&self, one: &Value, other: &Value) -> bool {
        let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
        let within = |one: &Map<String, Value>, other: &Map<String, Value>| {
            one.iter().all(|(column, value)| match other.get(column) {
                Some(known) => known == value || Self::is_unavailable(value) || Self::is_unavailable(known),
                None => !self.columns.contains_key(column),
            })
        };
        within(one, other) && within(other, one)
    }

    /// The columns of a row's key, as text that can be compared.
    pub fn key_of(&self, row: &Value) -> Result<String> {
        let parts = self
            .key
            .iter()
            .map(|column| row.get(column).map(Value::to_string).ok_or_else(|| anyhow!("no {column} in {row}")));
        Ok(parts.collect::<Result<Vec<_>>>()?.join(","))
    }

    /// A row of an event in the form of `to_jsonb`. What the event does not hold is taken from the `previous` row.
    pub fn row(&self, event: &Value, previous: Option<&Value>) -> Result<Value> {
        let fields = event.as_object().ok_or_else(|| anyhow!("{event} is no row"))?;
        let mut row = Map::new();
        for (column, value) in fields {
            let kind = self.columns.get(column).copied().unwrap_or(Kind::Same);
            let value = if Self::is_unavailable(value) {
                previous.and_then(|row| row.get(column)).cloned().unwrap_or_else(|| value.clone())
            } else {
                convert(kind, value).with_context(|| format!("column {column} of {}", self.name))?
            };
            row.insert(column.clone(), value);
        }
        if let Some(column) = self.columns.keys().find(|column| !row.contains_key(*column)) {
            bail!("a row of {} is without its column {column}", self.name);
        }
        Ok(Value::Object(row))
    }

    /// Whether the value only says that it did not change.
    pub(crate) fn is_unavailable(value: &Value) -> bool {
        value.as_str().is_some_and(|text| text == UNAVAILABLE || text == STANDARD.encode(UNAVAILABLE))
    }

    /// The rows of the source by key, in the form of [`canonical`].
    pub async fn rows(&self, client: &Client) -> Result<BTreeMap<String, Value>> {
        client.batch_execute("set time zone 'UTC'").await?;
        let query = format!("select to_jsonb(t)::text from {} t", self.name);
        let mut rows = BTreeMap::new();
        for row in client.query(&query, &[]).await? {
            let row = canonical(&serde_json::from_str(row.try_get::<_, &str>(0)?)?);
            rows.insert(self.key_of(&row)?, row);
        }
        Ok(rows)
    }
}

fn convert(kind: Kind, value: &Value) -> Result<Value> {
    let text = || value.as_str().ok_or_else(|| anyhow!("{value} is no string"));
    if value.is_null() {
        return Ok(Value::Null);
    }
    let converted = match kind {
        Kind::Same => value.clone(),
        Kind::Decimal { scale } => serde_json::from_str(&decimal(&STANDARD.decode(text()?)?, scale)?)?,
        Kind::Date => Value::String(date(value.as_i64().ok_or_else(|| anyhow!("{value} is no day"))?)),
        Kind::Instant => Value::String(text()?.to_owned()),
        Kind::Json => serde_json::from_str(text()?)?,
        Kind::Bytes => {
            let bytes = STANDARD.decode(text()?)?;
            Value::String(bytes.iter().fold("\\x".to_owned(), |hex, byte| hex + &format!("{byte:02x}")))
        }
    };
    Ok(canonical(&converted))
}

/// One spelling for values that mean the same: numbers as floats where they are not whole, instants in UTC without trailing zeros.
pub fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, value)| (name.clone(), canonical(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(canonical).collect()),
        Value::String(text) => Value::String(instant(text).unwrap_or_else(|| text.clone())),
        Value::Number(number) => match number.as_f64() {
            #[allow(clippy::cast_possible_truncation, reason = "whole and small enough")]
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => Value::from(float as i64),
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

/// `2026-01-02T03:04:05.600000+00:00` and `2026-01-02T03:04:05.6Z` are the same instant.
fn instant(text: &str) -> Option<String> {
    let local = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (day, time) = local.split_once('T')?;
    if day.len() < 10 || !time.starts_with(|digit: char| digit.is_ascii_digit()) {
        return None;
    }
    let time = if time.contains('.') { time.trim_end_matches('0').trim_end_matches('.') } else { time };
    Some(format!("{day}T{time}Z"))
}

/// Big-endian two's complement and a scale, as decimal digits.
fn decimal(bytes: &[u8], scale: u32) -> Result<String> {
    let first = *bytes.first().ok_or_else(|| anyhow!("a decimal without bytes"))?;
    if bytes.len() > 16 {
        bail!("a decimal of {} bytes is more than the tests use", bytes.len());
    }
    let start: i128 = if first & 0x80 == 0 { 0 } else { -1 };
    let unscaled = bytes.iter().fold(start, |sum, byte| (sum << 8) | i128::from(*byte));
    if scale == 0 {
        return Ok(unscaled.to_string());
    }
    let digits = format!("{:0>width$}", unscaled.unsigned_abs(), width = scale as usize + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale as usize);
    Ok(format!("{}{whole}.{fraction}", if unscaled < 0 { "-" } else { "" }))
}

/// The day that lies `days` after 1970-01-01, counted in the proleptic Gregorian calendar.
fn date(days: i64) -> String {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{canonical, date, decimal};

    #[test]
    fn decimals_are_read_from_their_bytes() {
        for (bytes, scale, expected) in
            [(&[0x30, 0x39][..], 2, "123.45"), (&[0xf1], 1, "-1.5"), (&[0x05], 2, "0.05"), (&[0x07], 0, "7")]
        {
            assert_eq!(decimal(bytes, scale).unwrap(), expected);
        }
    }

    #[test]
    fn days_are_counted_from_the_epoch() {
        for (days, expected) in [(0, "1970-01-01"), (17_702, "2018-06-20"), (-1, "1969-12-31"), (11_016, "2000-02-29")]
        {
            assert_eq!(date(days), expected);
        }
    }

    #[test]
    fn the_same_meaning_has_one_spelling() {
        let postgres = json!({"at": "2026-01-02T03:04:05.600000+00:00", "price": 12.0, "note": "Z"});
        let event = json!({"at": "2026-01-02T03:04:05.6Z", "price": 12, "note": "Z"});
        assert_eq!(canonical(&postgres), canonical(&event));
    }
}
