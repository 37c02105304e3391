//! HeaderFrom: copies or moves fields into headers.

use std::sync::Arc;

use towpath_model::{ConfigKey, Importance, Record, Schema, ValueType};

use super::part::{Added, Of, Out, Reshape, Written};
use super::structs::Copied;
use super::{Settings, nulls_key, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::json::ObjectWriter;
use crate::keys::key;

pub(crate) fn keys() -> Vec<ConfigKey> {
    let doc = "copy: the fields stay. move: they are taken out.";
    let mut operation = key("operation", ValueType::String, Importance::High, doc);
    operation.valid_values = ["move", "copy"].map(str::to_owned).to_vec();
    vec![
        key("fields", ValueType::List, Importance::High, "Fields whose values become headers."),
        key("headers", ValueType::List, Importance::High, "Names of the headers, in the order of `fields`."),
        operation,
        nulls_key(),
    ]
}

/// Makes headers of fields.
pub(crate) struct HeaderFrom {
    fields: Vec<String>,
    headers: Vec<Arc<str>>,
    moves: bool,
    nulls_take_defaults: bool,
}

/// What of a struct becomes a header, and what stays when fields move.
pub(crate) struct Shape {
    headers: Vec<(Arc<str>, Copied)>,
    rest: Option<(Arc<str>, Vec<Copied>)>,
}

impl HeaderFrom {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let fields = settings.some("fields")?;
        let headers: Vec<Arc<str>> = settings.some("headers")?.iter().map(|name| name.as_str().into()).collect();
        if fields.len() != headers.len() {
            let reason = format!(
                "'fields' config must have the same number of elements as 'headers' config; there are {} and {}.",
                fields.len(),
                headers.len()
            );
            return Err(Error::value(settings.key("headers"), reason));
        }
        let moves = match settings.required("operation")? {
            "move" => true,
            "copy" => false,
            _ => return Err(Error::value(settings.key("operation"), "String must be one of: move, copy")),
        };
        Ok(Self { fields, headers, moves, nulls_take_defaults: settings.nulls_take_defaults()? })
    }

    fn purpose(&self) -> &'static str {
        if self.moves { "header move" } else { "header copy" }
    }
}

impl Reshape for HeaderFrom {
    type Shape = Shape;

    fn compile(&self, schema: &Schema) -> Result<Shape, Fault> {
        structs::require(schema, self.purpose())?;
        let fields = schema.fields();
        let header = |(field, name): (&String, &Arc<str>)| {
            let missing =
                || Fault::transform(format!("there is no field {field}, of which the header {name} is to be made"));
            let index = structs::position(fields, field).ok_or_else(missing)?;
            Ok((structs::text(&fields[index].schema), Copied::new(fields, index, self.nulls_take_defaults)?))
        };
        let headers = self.fields.iter().zip(&self.headers).map(header).collect::<Result<_, Fault>>()?;
        let rest = self.moves.then(|| {
            let stay =
                (0..fields.len()).filter(|index| !self.fields.iter().any(|moved| **moved == *fields[*index].name));
            let stay: Vec<usize> = stay.collect();
            let schema = structs::with_fields(schema, stay.iter().map(|index| fields[*index].clone()).collect())?;
            let copied = stay.iter().map(|index| Copied::new(fields, *index, self.nulls_take_defaults));
            Ok::<_, Fault>((structs::text(&schema), copied.collect::<Result<Vec<_>, Fault>>()?))
        });
        Ok(Shape { headers, rest: rest.transpose()? })
    }

    fn datum(&mut self, of: Of<'_, Shape>, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        structs::fields(of.schema, of.datum, &mut out.ranges)?;
        for ((schema, copied), name) in of.shape.headers.iter().zip(&self.headers) {
            let value = copied.of(of.datum, &out.ranges).to_vec();
            out.headers.push(Added { name: name.clone(), schema: Some(schema.clone()), value: Some(value) });
        }
        let Some((after, copied)) = &of.shape.rest else { return Ok(Written::Same) };
        for copied in copied {
            out.bytes.extend_from_slice(copied.of(of.datum, &out.ranges));
        }
        Ok(Written::Datum(after.clone()))
    }

    fn json(&mut self, text: &str, _: &Record<'_>, out: &mut Out) -> Result<Written, Fault> {
        let entries = structs::entries(text, self.purpose())?;
        for (field, name) in self.fields.iter().zip(&self.headers) {
            let value = entries.iter().rfind(|(known, _)| **known == **field).map(|(_, value)| value.get());
            let value = value.filter(|value| *value != "null").map(|value| value.as_bytes().to_vec());
            out.headers.push(Added { name: name.clone(), schema: None, value });
        }
        if !self.moves {
            return Ok(Written::Same);
        }
        let mut object = ObjectWriter::new(&mut out.bytes);
        let rest = entries.iter().filter(|(name, _)| !self.fields.iter().any(|moved| **moved == **name));
        rest.for_each(|(name, value)| object.raw(name, value.get()));
        object.end();
        Ok(Written::Json)
    }

    fn unfit_null(&self, fault: &Fault) -> Result<Written, Fault> {
        Err(fault.clone())
    }

    fn null(&mut self, of: Option<Of<'_, Shape>>, _: &mut Out) -> Result<Written, Fault> {
        Err(structs::null_found(self.purpose(), of.is_some()))
    }
}
