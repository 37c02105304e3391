//! Which columns are shown and how: filters, keys of one's own, masks, names, and what the source calls them.

use super::Filter;
use super::reader::{Reader, fault};
use crate::error::Error;
use crate::schema::{Adjustment, Names};
use crate::value::Hash;

/// How a column is masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnMask {
    /// By the same text for every value.
    Fixed(String),
    /// To so many characters.
    Truncated(usize),
    /// To a hash.
    Hashed(Hash),
}

/// What the keys of masks begin with.
const TRUNCATE: &str = "column.truncate.to.";
const MASK: &str = "column.mask.with.";
const HASH: &str = "column.mask.hash.";
/// The beginnings of keys whose names hold a number or a salt.
pub(super) const OPEN_PREFIXES: [&str; 3] = [TRUNCATE, MASK, HASH];

/// More characters than any column holds.
const CHARACTERS_MAX: usize = 1 << 30;

impl Reader<'_> {
    pub(super) fn names(&self, prefix: &str) -> Result<Names, Error> {
        Ok(Names {
            prefix: prefix.into(),
            delimiter: self.text("topic.delimiter")?.into(),
            columns: self.filter("column.include.list", "column.exclude.list")?,
            keys: self.keys()?,
            masks: self.masks()?,
            typed_columns: self.list("column.propagate.source.type")?,
            typed_types: self.list("datatype.propagate.source.type")?,
            schema_names: self.adjustment("schema.name.adjustment.mode")?,
            field_names: self.adjustment("field.name.adjustment.mode")?,
        })
    }

    fn list(&self, key: &'static str) -> Result<Option<Filter>, Error> {
        let Some(list) = self.optional(key).map(str::trim).filter(|list| !list.is_empty()) else { return Ok(None) };
        Filter::new(Some(list), None).map(Some).map_err(|reason| fault(key, reason))
    }

    fn adjustment(&self, key: &'static str) -> Result<Adjustment, Error> {
        Ok(match self.choice(key)? {
            "avro" => Adjustment::Avro,
            "avro_unicode" => Adjustment::AvroUnicode,
            _ => Adjustment::None,
        })
    }

    /// `schema.table:column,column;schema.table:column`: one filter for each column, so that the order stays.
    fn keys(&self) -> Result<Vec<Filter>, Error> {
        const KEY: &str = "message.key.columns";
        let text = self.optional(KEY).unwrap_or_default();
        let mut filters = Vec::new();
        for entry in text.split(';').map(str::trim).filter(|entry| !entry.is_empty()) {
            let (table, columns) = entry
                .rsplit_once(':')
                .ok_or_else(|| fault(KEY, format!("`{entry}` is not of the form schema.table:column,column")))?;
            for column in columns.split(',').map(str::trim).filter(|column| !column.is_empty()) {
                let expression = format!("(?:{})\\.(?:{column})", table.trim());
                filters.push(Filter::whole(&expression).map_err(|reason| fault(KEY, reason))?);
            }
        }
        Ok(filters)
    }

    fn masks(&self) -> Result<Vec<(Filter, ColumnMask)>, Error> {
        let mut masks = Vec::new();
        for (key, columns) in self.config.iter() {
            let (prefix, mask) = if let Some(rest) = key.strip_prefix(TRUNCATE) {
                (TRUNCATE, characters(rest).map(ColumnMask::Truncated))
            } else if let Some(rest) = key.strip_prefix(MASK) {
                (MASK, characters(rest).map(|count| ColumnMask::Fixed("*".repeat(count.min(1 << 16)))))
            } else if let Some(rest) = key.strip_prefix(HASH) {
                (HASH, hash(rest).map(ColumnMask::Hashed))
            } else {
                continue;
            };
            let mask = mask.ok_or_else(|| {
                let reason = format!(
                    "`{key}` is none of {TRUNCATE}N.chars, {MASK}N.chars and {HASH}[v2.]ALGORITHM.with.salt.SALT, where the \
                     algorithm is MD5, SHA-224, SHA-256, SHA-384 or SHA-512"
                );
                fault(prefix, reason)
            })?;
            masks.push((Filter::new(Some(columns), None).map_err(|reason| fault(prefix, reason))?, mask));
        }
        Ok(masks)
    }
}

/// The number in `N.chars`.
fn characters(rest: &str) -> Option<usize> {
    rest.strip_suffix(".chars")?.parse().ok().filter(|count| *count <= CHARACTERS_MAX)
}

/// `SHA-256.with.salt.CzQMA0cB5K`, perhaps with `v2.` ahead.
fn hash(rest: &str) -> Option<Hash> {
    let (plain, rest) = rest.strip_prefix("v2.").map_or((false, rest), |rest| (true, rest));
    let (algorithm, salt) = rest.split_once(".with.salt.")?;
    Hash::named(algorithm, salt, plain)
}
