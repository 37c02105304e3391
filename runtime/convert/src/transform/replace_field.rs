//! ReplaceField: leaves fields out and renames them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use towpath_model::{ConfigKey, Field, Importance, Record, Schema, ValueType};

use super::part::{Of, Out, Reshape, Written};
use super::structs::Copied;
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::default_key;

const PURPOSE: &str = "field replacement";

pub(crate) fn keys() -> Vec<ConfigKey> {
    let list = |name: &str, doc: &str| default_key(name, ValueType::List, "", Importance::Medium, doc);
    vec![
        list("exclude", "Fields to leave out. Goes before `include`."),
        list("include", "Fields to keep; all when empty."),
        list("renames", "Fields to rename, as `old:new`."),
        nulls_key(),
    ]
}

/// Leaves out and renames.
pub(crate) struct ReplaceField {
    exclude: HashSet<String>,
    include: HashSet<String>,
    renames: HashMap<String, Arc<str>>,
    nulls_take_defaults: bool,
}

/// What of a struct goes where.
pub(crate) struct Shape {
    after: Arc<str>,
    copied: Vec<Copied>,
}

impl ReplaceField {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let set = |name: &str| Ok(settings.distinct(name)?.into_iter().collect());
        let rename = |mapping: &str| match mapping.split(':').collect::<Vec<_>>().as_slice() {
            [old, new] if !new.is_empty() => Ok(((*old).to_owned(), (*new).into())),
            _ => {
                Err(Error::value(settings.key("renames"), format!("Invalid rename mapping: {mapping}. Write old:new.")))
            }
        };
        Ok(Self {
            exclude: set("exclude")?,
            include: set("include")?,
            renames: settings.list("renames").map(rename).collect::<Result<_, _>>()?,
            nulls_take_defaults: settings.nulls_take_defaults()?,
        })
    }

    /// The new name of a field that stays.
    fn name<'a>(&'a self, field: &'a str) -> Option<&'a str> {
        let stays = !self.exclude.contains(field) && (self.include.is_empty() || self.include.contains(field));
        stays.then(|| self.renames.get(field).map_or(field, |new| &**new))
    }
}

impl Reshape for ReplaceField {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        structs::require(schema, PURPOSE)?;
        let mut fields = Vec::new();
        let mut copied = Vec::new();
        for (index, field) in schema.fields().iter().enumerate() {
            if let Some(name) = self.name(&field.name) {
                fields.push(Field { name: name.into(), schema: field.schema.clone() });
                copied.push(Copied::new(schema.fields(), index, self.nulls_take_defaults)?);
            }
        }
        Ok(Shape { after: structs::text(&structs::with_fields(schema, fields)?), copied })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        structs::fields(of.schema, of.datum, &mut out.ranges)?;
        for copied in &of.shape.copied {
            out.bytes.extend_from_slice(copied.of(of.datum, &out.ranges));
        }
        Ok(Written::Datum(of.shape.after.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let entries = structs::entries(text, PURPOSE)?;
        let mut object = ObjectWriter::new(&mut out.bytes);
        let mut names = HashSet::with_capacity(entries.len());
        for (field, value) in &entries {
            let Some(name) = self.name(field) else { continue };
            if !self.renames.is_empty() && !names.insert(name) {
                return Err(Fault::transform(format!("two fields would be named {name}")));
            }
            object.raw(name, value.get());
        }
        object.end();
        Ok(Written::Json)
    }
}
