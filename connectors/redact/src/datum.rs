//! Redacts data in Avro's binary encoding: what is kept is copied as it stands, without decoding it.
//!
//! A schema is compiled once into a plan that says for each field whether to keep, mask, or go in. Masked strings become the
//! replacement; anything else becomes the zero of its type, as Kafka's MaskField does it: 0, false, no bytes, no items; a struct
//! is masked field by field. A null stays a null.

use std::sync::Arc;

use towpath_model::datum::{Reader, write_boolean, write_bytes, write_double, write_float, write_long};
use towpath_model::{Schema, Type};

use crate::Error;
use crate::paths::{Paths, Step};

/// Neither schemas nor data are followed deeper.
pub(crate) const DEPTH_MAX: usize = 128;
/// A number of any precision as bytes: its zero is one byte, not none.
const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";
const VARIABLE_DECIMAL: &str = "io.debezium.data.VariableScaleDecimal";

/// What to do with a value.
#[derive(Debug)]
pub(crate) enum Plan {
    Keep,
    Mask,
    /// One for each field.
    Struct(Vec<Plan>),
    Items(Box<Plan>),
    /// Paths for the keys, which only the data tell.
    Entries(Vec<String>),
}

impl Plan {
    /// What the paths mean under a schema.
    pub(crate) fn new(schema: &Schema, fields: &[String]) -> Self {
        Self::at(schema, &Paths::new(fields), 0)
    }

    /// Whether nothing is to be done.
    pub(crate) fn keeps_all(&self) -> bool {
        matches!(self, Self::Keep)
    }

    fn at(schema: &Schema, paths: &Paths<'_>, depth: usize) -> Self {
        if depth > DEPTH_MAX {
            return Self::Keep;
        }
        match &schema.kind {
            Type::Struct(fields) => {
                let plans: Vec<Self> =
                    fields.iter().map(|field| Self::of_step(paths.step(&field.name), &field.schema, depth)).collect();
                if plans.iter().all(Self::keeps_all) { Self::Keep } else { Self::Struct(plans) }
            }
            Type::Array(items) => match Self::at(items, paths, depth + 1) {
                Self::Keep => Self::Keep,
                plan => Self::Items(Box::new(plan)),
            },
            Type::Map(keys, _) if keys.kind == Type::String => Self::Entries(paths.texts()),
            _ => Self::Keep,
        }
    }

    fn of_step(step: Step<'_>, schema: &Schema, depth: usize) -> Self {
        match step {
            Step::Keep => Self::Keep,
            Step::Mask => Self::Mask,
            Step::Into(paths) => Self::at(schema, &paths, depth + 1),
        }
    }
}

/// Writes `datum` to `out` as the plan says.
pub(crate) fn redact(
    schema: &Schema,
    plan: &Plan,
    datum: &[u8],
    replacement: &str,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let mut walk = Walk { datum, reader: Reader::new(datum), replacement, out };
    walk.value(schema, plan, 0)?;
    if !walk.reader.is_at_end() {
        return Err(towpath_model::datum::Malformed { at: walk.reader.position(), what: "the end" }.into());
    }
    Ok(())
}

struct Walk<'a> {
    datum: &'a [u8],
    reader: Reader<'a>,
    replacement: &'a str,
    out: &'a mut Vec<u8>,
}

impl Walk<'_> {
    fn value(&mut self, schema: &Schema, plan: &Plan, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Depth(DEPTH_MAX));
        }
        if plan.keeps_all() {
            let start = self.reader.position();
            self.skip(schema, depth)?;
            self.out.extend_from_slice(self.datum.get(start..self.reader.position()).unwrap_or_default());
            return Ok(());
        }
        if schema.optional {
            let branch = self.reader.long()?;
            write_long(self.out, branch);
            if branch == schema.null_branch() {
                return Ok(());
            }
        }
        match (plan, &schema.kind) {
            (Plan::Struct(plans), Type::Struct(fields)) => {
                fields.iter().zip(plans).try_for_each(|(field, plan)| self.value(&field.schema, plan, depth + 1))
            }
            (Plan::Items(plan), Type::Array(items)) => self.blocks(|walk| walk.value(items, plan, depth + 1)),
            (Plan::Entries(paths), Type::Map(_, values)) => self.blocks(|walk| {
                let key = walk.reader.string()?;
                write_bytes(walk.out, key.as_bytes());
                let plan = Plan::of_step(Paths::new(paths).step(key), values, depth);
                walk.value(values, &plan, depth + 1)
            }),
            _ => self.mask(schema, depth),
        }
    }

    /// Copies the counts of blocks; each item writes itself. A block's size in bytes is left out, as it may change.
    fn blocks(&mut self, mut item: impl FnMut(&mut Self) -> Result<(), Error>) -> Result<(), Error> {
        loop {
            let count = self.reader.block()?;
            write_long(self.out, i64::try_from(count).unwrap_or(i64::MAX));
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                item(self)?;
            }
        }
    }

    /// Reads a value that is not null and writes the zero of its type.
    fn mask(&mut self, schema: &Schema, depth: usize) -> Result<(), Error> {
        if let Type::Struct(fields) = &schema.kind {
            let is_number = schema.name.as_deref() == Some(VARIABLE_DECIMAL);
            for field in fields {
                if is_number && field.schema.kind == Type::Bytes {
                    self.skip(&field.schema, depth + 1)?;
                    write_bytes(self.out, &[0]);
                } else {
                    self.value(&field.schema, &Plan::Mask, depth + 1)?;
                }
            }
            return Ok(());
        }
        self.skip_present(schema, depth)?;
        match &schema.kind {
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => write_long(self.out, 0),
            Type::Float32 => write_float(self.out, 0.0),
            Type::Float64 => write_double(self.out, 0.0),
            Type::Boolean => write_boolean(self.out, false),
            Type::String => write_bytes(self.out, self.replacement.as_bytes()),
            Type::Bytes if schema.name.as_deref() == Some(DECIMAL) => write_bytes(self.out, &[0]),
            Type::Bytes => write_bytes(self.out, &[]),
            Type::Array(_) | Type::Map(..) | Type::Struct(_) => write_long(self.out, 0),
        }
        Ok(())
    }

    fn skip(&mut self, schema: &Schema, depth: usize) -> Result<(), Error> {
        if schema.optional && self.reader.long()? == schema.null_branch() {
            return Ok(());
        }
        self.skip_present(schema, depth)
    }

    fn skip_present(&mut self, schema: &Schema, depth: usize) -> Result<(), Error> {
        if depth > DEPTH_MAX {
            return Err(Error::Depth(DEPTH_MAX));
        }
        match &schema.kind {
            Type::Int8 | Type::Int16 | Type::Int32 | Type::Int64 => self.reader.long().map(drop)?,
            Type::Float32 => self.reader.float().map(drop)?,
            Type::Float64 => self.reader.double().map(drop)?,
            Type::Boolean => self.reader.boolean().map(drop)?,
            Type::String | Type::Bytes => self.reader.bytes().map(drop)?,
            Type::Struct(fields) => fields.iter().try_for_each(|field| self.skip(&field.schema, depth + 1))?,
            Type::Array(items) => self.skip_blocks(&[items], depth)?,
            Type::Map(keys, values) => self.skip_blocks(&[keys, values], depth)?,
        }
        Ok(())
    }

    fn skip_blocks(&mut self, item: &[&Arc<Schema>], depth: usize) -> Result<(), Error> {
        loop {
            let count = self.reader.block()?;
            if count == 0 {
                return Ok(());
            }
            for _ in 0..count {
                item.iter().try_for_each(|schema| self.skip(schema, depth + 1))?;
            }
        }
    }
}
