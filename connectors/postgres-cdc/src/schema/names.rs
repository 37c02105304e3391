//! How topics, schemas and fields are named, and which columns are wanted and how.

use super::facts::{ColumnFacts, TableFacts};
use super::types::TypeRegistry;
use crate::config::{ColumnMask, Filter};
use crate::value::{Codec, Hash, Mask};

/// How topics are named, and which columns are wanted.
#[derive(Clone, Debug)]
pub struct Names {
    /// `topic.prefix`.
    pub prefix: String,
    /// `topic.delimiter`.
    pub delimiter: String,
    /// Which columns are wanted, by `schema.table.column`.
    pub columns: Filter,
    /// `message.key.columns`: the columns of keys, by `schema.table.column`, in the order of the keys.
    pub keys: Vec<Filter>,
    /// Columns that are masked, by `schema.table.column`; the first that fits counts.
    pub masks: Vec<(Filter, ColumnMask)>,
    /// Columns whose schemas say what they are in the source, by `schema.table.column`.
    pub typed_columns: Option<Filter>,
    /// The same, by `schema.table.type`.
    pub typed_types: Option<Filter>,
    /// `schema.name.adjustment.mode`.
    pub schema_names: Adjustment,
    /// `field.name.adjustment.mode`.
    pub field_names: Adjustment,
}

impl Names {
    /// A topic that belongs to no table.
    pub fn topic_of(&self, what: &str) -> String {
        [&self.prefix, what].join(&self.delimiter)
    }

    /// The topic of a table: whatever a topic's name cannot hold becomes an underscore.
    pub fn topic(&self, schema: &str, table: &str) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        [&self.prefix, schema, table].join(&self.delimiter).chars().map(plain).collect()
    }

    /// The columns of a table's key: those that the configuration names, or else the table's own.
    pub(super) fn key(&self, path: &str, facts: &TableFacts) -> Vec<String> {
        let named = self.keys.iter().flat_map(|filter| {
            let names = facts.columns.iter().map(|column| &column.name);
            names.filter(move |name| filter.wants(&format!("{path}.{name}"))).cloned()
        });
        let named: Vec<String> = named.collect();
        if named.is_empty() { facts.key.clone() } else { named }
    }

    /// Whether a column's schema is to say what the column is in the source.
    pub(super) fn tells_type(&self, path: &str, column: &ColumnFacts, types: &TypeRegistry) -> bool {
        let wants = |filter: &Option<Filter>, name: &str| {
            filter.as_ref().is_some_and(|filter| filter.wants(&format!("{path}.{name}")))
        };
        wants(&self.typed_columns, &column.name)
            || types.base_name(column.type_oid).is_some_and(|name| wants(&self.typed_types, name))
    }
}

/// How names that Avro does not allow are changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Adjustment {
    /// Not at all.
    #[default]
    None,
    /// Underscores stand for what is not allowed.
    Avro,
    /// Underscore, u and the hexadecimal code stand for what is not allowed, and for underscores.
    AvroUnicode,
}

impl Adjustment {
    /// A schema's name, in which dots divide.
    pub fn schema(self, name: &str) -> String {
        self.adjust(name, true)
    }

    /// A field's name.
    pub fn field(self, name: &str) -> String {
        self.adjust(name, false)
    }

    fn adjust(self, name: &str, dots: bool) -> String {
        if self == Self::None {
            return name.to_owned();
        }
        let unicode = self == Self::AvroUnicode;
        let mut adjusted = String::with_capacity(name.len());
        for (place, unit) in name.encode_utf16().enumerate() {
            let byte = u8::try_from(unit).unwrap_or(b'?');
            let letter = byte.is_ascii_alphabetic() || byte == b'_' && !unicode;
            let later = place > 0 && (byte.is_ascii_digit() || byte == b'.' && dots);
            match (letter || later, unicode) {
                (true, _) => adjusted.push(byte as char),
                (false, true) => adjusted.push_str(&format!("_u{unit:04x}")),
                // A digit at the front is kept, so that names that differ in nothing else stay apart.
                (false, false) if byte.is_ascii_digit() => adjusted.extend(['_', byte as char]),
                (false, false) => adjusted.push('_'),
            }
        }
        adjusted
    }
}

impl ColumnMask {
    /// A mask over what `codec` writes; `length` is how many characters the column holds at most.
    pub(super) fn over(&self, codec: Codec, length: Option<usize>) -> Codec {
        let mask = match self {
            Self::Fixed(text) => Mask::Fixed(text.clone()),
            Self::Truncated(count) => Mask::Truncated(codec, *count),
            Self::Hashed(hash) => Mask::Hashed(codec, Hash::clone(hash), length.unwrap_or(usize::MAX)),
        };
        Codec::Masked(Box::new(mask))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Debezium's own adjusters answer.
    #[test]
    fn names_are_adjusted_as_debezium_adjusts_them() {
        let check = |name: &str, [avro, unicode, field, unicode_field]: [&str; 4]| {
            assert_eq!(Adjustment::Avro.schema(name), avro);
            assert_eq!(Adjustment::AvroUnicode.schema(name), unicode);
            assert_eq!(Adjustment::Avro.field(name), field);
            assert_eq!(Adjustment::AvroUnicode.field(name), unicode_field);
            assert_eq!(Adjustment::None.field(name), name);
        };
        check(
            "a-b.c d.é.1x.Value",
            [
                "a_b.c_d._.1x.Value",
                "a_u002db.c_u0020d._u00e9.1x.Value",
                "a_b_c_d___1x_Value",
                "a_u002db_u002ec_u0020d_u002e_u00e9_u002e1x_u002eValue",
            ],
        );
        check("1a", ["_1a", "_u0031a", "_1a", "_u0031a"]);
        check("a..b", ["a..b", "a..b", "a__b", "a_u002e_u002eb"]);
        check("_x", ["_x", "_u005fx", "_x", "_u005fx"]);
        check("é", ["_", "_u00e9", "_", "_u00e9"]);
    }
}
