//! A column as its values need it: its codec, and the bytes that stand where there is no value.

use towpath_model::{Schema, Type, datum};

use super::default::{datum_to_json, evaluate, write, zero};
use super::facts::{ColumnFacts, MisfitKind};
use super::names::Names;
use super::types::TypeRegistry;
use crate::config::ValueSettings;
use crate::value::{Codec, Fault, Written};

/// A column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name in the table.
    pub name: String,
    /// Its place in tuples.
    pub(super) place: usize,
    codec: Codec,
    /// The byte ahead of a value, for columns that may be null.
    branch: Option<u8>,
    /// What stands for null; none where null cannot be.
    pub(super) null: Option<Vec<u8>>,
    /// What stands for a value that the old row of a change leaves out.
    pub(super) absent: Vec<u8>,
    /// What stands for a large value that was not sent; none where nothing can.
    pub(super) unchanged: Option<Vec<u8>>,
    /// Whether what its representation has no room for is an error.
    special_fails: bool,
}

/// Why a value was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The column's schema has no room for it.
    Misfit(MisfitKind),
    /// It cannot be represented.
    Value(&'static str),
}

impl Column {
    /// A column and the schema of its field; none when its type is not known. `path` is `schema.table`.
    pub(super) fn new(
        facts: &ColumnFacts,
        path: &str,
        types: &TypeRegistry,
        names: &Names,
        set: &ValueSettings,
    ) -> Option<(Self, Schema)> {
        let (mut codec, mut schema) = types.map(facts, set)?;
        let type_name = types.base_name(facts.type_oid).unwrap_or_default();
        let mut absent = match codec.zero() {
            Some(text) => write(&codec, text).unwrap_or_default(),
            None => zero(&schema),
        };
        let own_type = types.name(facts.type_oid).unwrap_or_default();
        if let Some(datum) = evaluate(facts, own_type, &codec, &schema) {
            schema.default = datum_to_json(&schema, &mut datum::Reader::new(&datum)).ok();
            absent = datum;
        }
        schema.optional = facts.optional;
        let column_path = format!("{path}.{}", facts.name);
        let mask =
            names.masks.iter().find(|(filter, _)| matches!(schema.kind, Type::String) && filter.wants(&column_path));
        if let Some((_, mask)) = mask {
            let length = usize::try_from(facts.modifier - 4).ok().filter(|_| matches!(type_name, "varchar" | "bpchar"));
            codec = mask.over(codec, length);
            schema.parameters.insert("masked".into(), "true".into());
        }
        if names.tells_type(path, facts, types) {
            super::source_type::add(&mut schema, facts, types);
        }
        Some((Self::of_codec(facts, codec, &schema, absent, set), schema))
    }

    fn of_codec(facts: &ColumnFacts, codec: Codec, schema: &Schema, mut absent: Vec<u8>, set: &ValueSettings) -> Self {
        let mut branch = None;
        let mut null = None;
        let mut unchanged = Vec::new();
        if facts.optional {
            absent.clear();
            datum::write_long(&mut absent, schema.null_branch());
            null = Some(absent.clone());
            // Zig-zag: 0 is 0, 1 is 2.
            let value_branch = if schema.null_branch() == 0 { 2 } else { 0 };
            branch = Some(value_branch);
            unchanged.push(value_branch);
        }
        let unchanged = match codec.write_placeholder(&set.placeholder, &mut unchanged) {
            Written::Value => Some(unchanged),
            Written::Nothing => null.clone(),
        };
        if let Some(mask) = codec.fixed() {
            absent.clear();
            absent.extend(branch);
            datum::write_bytes(&mut absent, mask.as_bytes());
            null = Some(absent.clone());
        }
        let special_fails = !set.special_is_null;
        Self { name: facts.name.clone(), place: facts.place, codec, branch, null, absent, unchanged, special_fails }
    }

    /// Whether it may hold NaN or infinity, for which its representation has no room.
    pub(super) fn may_be_no_number(&self) -> bool {
        matches!(self.codec, Codec::Decimal(_) | Codec::VariableDecimal) && !self.special_fails
    }

    #[inline]
    pub(super) fn write(&self, text: &[u8], out: &mut Vec<u8>) -> Result<(), Refusal> {
        let at = out.len();
        out.extend(self.branch);
        match self.codec.write(text, out) {
            Ok(Written::Value) => Ok(()),
            Ok(Written::Nothing) => self.write_special(at, out),
            Err(fault) => Err(match fault {
                Fault::Text(reason) => Refusal::Value(reason),
                Fault::Label => Refusal::Misfit(MisfitKind::Label),
                Fault::NullElement => Refusal::Misfit(MisfitKind::NullElement),
                Fault::Dimensions(count) => Refusal::Misfit(MisfitKind::Dimensions(count)),
            }),
        }
    }

    /// Null for what the representation has no room for.
    #[cold]
    fn write_special(&self, at: usize, out: &mut Vec<u8>) -> Result<(), Refusal> {
        if self.special_fails {
            let reason = match self.codec {
                Codec::Timestamp(_) => {
                    "a moment beyond 64 bits of nanoseconds; set `numeric.special` to `null`, or `time.precision.mode` to \
                     `microseconds` or `isostring`"
                }
                _ => {
                    "NaN or infinity in a decimal; set `numeric.special` to `null`, or `decimal.handling.mode` to `string` or \
                     `double`"
                }
            };
            return Err(Refusal::Value(reason));
        }
        let null = self.null.as_ref().ok_or(Refusal::Misfit(MisfitKind::Null))?;
        out.truncate(at);
        out.extend_from_slice(null);
        Ok(())
    }
}
