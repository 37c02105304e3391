//! Flatten: fields of structs in structs become fields of one struct, with names put together.

use std::collections::HashSet;
use std::sync::Arc;

use serde_json::Value;
use towpath_model::datum::{Reader, write_long};
use towpath_model::{ConfigKey, Field, Importance, Record, Schema, Type, ValueType};

use super::part::{Of, Out, Reshape, Written};
use super::{Settings, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::default_key;

const PURPOSE: &str = "flattening";

pub(crate) fn keys() -> Vec<ConfigKey> {
    let doc = "Stands between the names of outer and inner fields.";
    vec![default_key("delimiter", ValueType::String, ".", Importance::Medium, doc)]
}

/// Flattens.
pub(crate) struct Flatten {
    delimiter: String,
}

/// The flat schema, and the way through the old one.
pub(crate) struct Shape {
    after: Arc<str>,
    fields: Vec<Node>,
}

/// A field of a struct.
enum Node {
    Leaf(Leaf),
    Struct { optional_null: Option<i64>, fields: Vec<Node> },
}

struct Leaf {
    schema: Arc<Schema>,
    after: Arc<Schema>,
    /// What stands for a null of a field with a default.
    default: Option<Vec<u8>>,
}

impl Flatten {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self { delimiter: settings.get("delimiter").unwrap_or(".").to_owned() })
    }

    fn name(&self, prefix: &str, name: &str) -> String {
        if prefix.is_empty() { name.to_owned() } else { format!("{prefix}{}{name}", self.delimiter) }
    }

    /// Looks at the fields of a struct. Whatever is optional or has a default on the way is so in the end.
    fn nodes(
        &self,
        schema: &Schema,
        prefix: &str,
        optional: bool,
        default: Option<&Value>,
        flat: &mut Vec<Field>,
    ) -> Result<Vec<Node>, Fault> {
        let node = |field: &Field| {
            let name = self.name(prefix, &field.name);
            let optional = optional || field.schema.optional;
            let default = field.schema.default.as_ref().or_else(|| default?.get(&*field.name));
            let default = default.filter(|default| !default.is_null());
            match &field.schema.kind {
                Type::Struct(_) => {
                    let fields = self.nodes(&field.schema, &name, optional, default, flat)?;
                    let optional_null = field.schema.optional.then(|| field.schema.null_branch());
                    Ok(Node::Struct { optional_null, fields })
                }
                Type::Map(..) => Err(Fault::transform(format!(
                    "Flatten transformation does not support MAP for record with schemas (for field {name})."
                ))),
                _ => {
                    let after = Schema { optional, default: default.cloned(), ..(*field.schema).clone() };
                    let after = Arc::new(after);
                    flat.push(Field { name: name.into(), schema: after.clone() });
                    let default = structs::default_datum(&field.schema)?;
                    Ok(Node::Leaf(Leaf { schema: field.schema.clone(), after, default }))
                }
            }
        };
        schema.fields().iter().map(node).collect()
    }

    fn flatten_json(&self, text: &str, prefix: &str, out: &mut Vec<(String, String)>) -> Result<(), Fault> {
        for (name, value) in structs::entries(text, PURPOSE)? {
            let name = self.name(prefix, &name);
            if value.get().starts_with('{') {
                self.flatten_json(value.get(), &name, out)?;
            } else {
                out.push((name, value.get().to_owned()));
            }
        }
        Ok(())
    }
}

impl Node {
    fn write(&self, reader: &mut Reader<'_>, datum: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        match self {
            Self::Leaf(leaf) => {
                let start = reader.position();
                structs::skip(&leaf.schema, reader)?;
                leaf.write(datum.get(start..reader.position()).unwrap_or_default(), out)
            }
            Self::Struct { optional_null, fields } => {
                if let Some(null) = optional_null
                    && reader.long()? == *null
                {
                    fields.iter().for_each(|field| field.write_null(out));
                    return Ok(());
                }
                fields.iter().try_for_each(|field| field.write(reader, datum, out))
            }
        }
    }

    /// The struct around is null, so that the field is optional.
    fn write_null(&self, out: &mut Vec<u8>) {
        match self {
            Self::Leaf(leaf) => write_long(out, leaf.after.null_branch()),
            Self::Struct { fields, .. } => fields.iter().for_each(|field| field.write_null(out)),
        }
    }
}

impl Leaf {
    fn write(&self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
        let bytes = match &self.default {
            Some(default) if bytes == [2] => default,
            _ => bytes,
        };
        match structs::inner(&self.schema, bytes)? {
            None => write_long(out, self.after.null_branch()),
            Some(inner) => {
                if self.after.optional {
                    write_long(out, 1 - self.after.null_branch());
                }
                out.extend_from_slice(inner);
            }
        }
        Ok(())
    }
}

impl Reshape for Flatten {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        structs::require(schema, PURPOSE)?;
        let mut flat = Vec::new();
        let fields = self.nodes(schema, "", schema.optional, schema.default.as_ref(), &mut flat)?;
        Ok(Shape { after: structs::text(&structs::with_fields(schema, flat)?), fields })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let mut reader = Reader::new(of.datum);
        if of.schema.optional {
            reader.long()?;
        }
        of.shape.fields.iter().try_for_each(|field| field.write(&mut reader, of.datum, &mut out.bytes))?;
        Ok(Written::Datum(of.shape.after.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let mut flat = Vec::new();
        self.flatten_json(text, "", &mut flat)?;
        let mut names = HashSet::with_capacity(flat.len());
        if let Some((twice, _)) = flat.iter().find(|(name, _)| !names.insert(name.as_str())) {
            return Err(Fault::transform(format!("two fields would be named {twice}")));
        }
        let mut object = ObjectWriter::new(&mut out.bytes);
        flat.iter().for_each(|(name, value)| object.raw(name, value));
        object.end();
        Ok(Written::Json)
    }
}
