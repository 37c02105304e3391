//! SetSchemaMetadata: gives the schema of keys or values another name or version. The data stay as they are, byte for byte,
//! unless a null is to become its field's default.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Batch, ConfigKey, Encoding, Importance, Record, Run, Schema, ValueType};

use super::part::{Of, OfPart, Out, Part, Reshape, Written};
use super::structs::Copied;
use super::{Rewrite, Settings, nulls_key, structs};
use crate::draft::Rewritten;
use crate::error::Error;
use crate::fault::Fault;
use crate::keys::optional_key;
use crate::shape::Shapes;

pub(crate) fn keys() -> Vec<ConfigKey> {
    vec![
        optional_key("schema.name", ValueType::String, Importance::High, "The schema's new name."),
        optional_key("schema.version", ValueType::Int, Importance::High, "The schema's new version."),
        nulls_key(),
    ]
}

/// Renames schemas.
#[derive(Clone)]
struct Metadata {
    name: Option<Arc<str>>,
    version: Option<i32>,
    nulls_take_defaults: bool,
}

/// Renames schemas, by their entries in the batch where that is enough.
pub(crate) struct SetSchemaMetadata {
    metadata: Metadata,
    renamed: Shapes<Option<Arc<str>>>,
    one_by_one: OfPart<Metadata>,
}

/// The new schema, and the fields where nulls may have to be replaced.
struct Shape {
    after: Arc<str>,
    copied: Option<Vec<Copied>>,
}

impl SetSchemaMetadata {
    pub(crate) fn new(settings: &Settings<'_>, part: Part) -> Result<Self, Error> {
        let version = settings.get("schema.version").map(|text| {
            text.trim().parse().map_err(|_| Error::value(settings.key("schema.version"), "Not a number of type INT"))
        });
        let metadata = Metadata {
            name: settings.get("schema.name").map(Into::into),
            version: version.transpose()?,
            nulls_take_defaults: settings.nulls_take_defaults()?,
        };
        if metadata.name.is_none() && metadata.version.is_none() {
            return Err(Error::value(settings.key("type"), "Neither schema name nor version configured"));
        }
        let one_by_one = OfPart::new(part, metadata.clone());
        Ok(Self { metadata, renamed: Shapes::default(), one_by_one })
    }

    /// The batch with other schemas, where no record needs a look.
    fn at_once(&mut self, batch: &Batch) -> Option<Batch> {
        self.renamed.begin(batch);
        let part = self.one_by_one.part();
        let mut columns = batch.columns().clone();
        let mut moved: HashMap<u32, u32> = HashMap::new();
        for run in &mut columns.runs {
            let form = match part {
                Part::Key => &mut run.key,
                Part::Value => &mut run.value,
            };
            let index = form.schema.filter(|_| form.encoding == Encoding::Connect)?;
            let metadata = &self.metadata;
            let compile = |schema: Schema| {
                let shape = metadata.compile(&schema)?;
                Ok(shape.copied.is_none().then_some(shape.after))
            };
            let renamed = self.renamed.get(batch, Some(index), compile).ok()?.clone()?;
            let schemas = &mut columns.schemas;
            let to = *moved.entry(index).or_insert_with(|| {
                schemas.push(renamed);
                schemas.len() as u32 - 1
            });
            form.schema = Some(to);
        }
        coalesce(&mut columns.runs);
        Batch::new(columns).ok()
    }
}

/// Runs that have become alike are one.
fn coalesce(runs: &mut Vec<Run>) {
    runs.dedup_by(|next, last| {
        let alike = Run { records: 0, ..*next } == Run { records: 0, ..*last };
        if alike {
            last.records += next.records;
        }
        alike
    });
}

impl Rewrite for SetSchemaMetadata {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        match self.at_once(batch) {
            Some(renamed) => Rewritten::unchanged(renamed),
            None => self.one_by_one.apply(batch),
        }
    }
}

impl Reshape for Metadata {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        let after = Schema {
            name: self.name.clone().or_else(|| schema.name.clone()),
            version: self.version.or(schema.version),
            ..schema.clone()
        };
        let has_defaults = schema.fields().iter().any(|field| field.schema.optional && field.schema.default.is_some());
        let copied = (has_defaults && self.nulls_take_defaults).then(|| Copied::all(schema.fields(), true));
        Ok(Shape { after: structs::text(&after), copied: copied.transpose()? })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        match &of.shape.copied {
            None => out.bytes.extend_from_slice(of.datum),
            Some(copied) => {
                structs::fields(of.schema, of.datum, &mut out.ranges)?;
                out.bytes.extend_from_slice(structs::branch(of.schema, of.datum));
                for copied in copied {
                    out.bytes.extend_from_slice(copied.of(of.datum, &out.ranges));
                }
            }
        }
        Ok(Written::Datum(of.shape.after.clone()))
    }

    fn json(&mut self, _: &str, _: &Record<'_>, _: &mut Out) -> Result<Written, Fault> {
        Err(Fault::transform("Schema required for [updating schema metadata]"))
    }

    fn null(&mut self, of: Option<Of<'_, Shape>>, out: &mut Out) -> Result<Written, Fault> {
        let Some(of) = of else { return Ok(Written::Same) };
        out.bytes.extend_from_slice(of.datum);
        Ok(Written::Datum(of.shape.after.clone()))
    }
}
