//! Connect's schema as a file of proto3: names, numbers and types as ProtobufData writes them.

use std::collections::HashMap;

use towpath_model::{Field, Schema, Type};

use super::{
    DATE_MESSAGE, DECIMAL_MESSAGE, ENTRY, ENUM, PRECISION, TAG, TIME_MESSAGE, TIMESTAMP_MESSAGE, TYPE, UNION, WRAPPERS,
};
use crate::definition::avro::is_name;
use crate::definition::protobuf::known_text;
use crate::fault::Fault;
use crate::json::DECIMAL;
use crate::registered::settings::Protobuf;
use crate::registered::{DATE, TIME, TIMESTAMP, scrubbed};

/// What Confluent's converter calls messages without a name, before their number.
const DEFAULT_NAME: &str = "ConnectDefault";
const WRAPPERS_FILE: &str = "google/protobuf/wrappers.proto";

/// A file, and the full name of the message in it under which data of a schema are stored.
pub(in crate::registered) struct Rendered {
    pub(in crate::registered) text: String,
    pub(in crate::registered) message: String,
}

/// Renders a schema.
pub(in crate::registered) fn from_connect(
    schema: &Schema,
    settings: Protobuf,
    scrubs: bool,
) -> Result<Rendered, Fault> {
    let Type::Struct(fields) = &schema.kind else {
        let message = wrapper(&schema.kind, None).ok_or_else(|| {
            Fault::schema("Protobuf stores messages and scalars: an array or a map must be a field of a struct")
        })?;
        let text = known_text(WRAPPERS_FILE).ok_or_else(|| Fault::schema("a file of Google's is missing"))?;
        return Ok(Rendered { text, message: message.to_owned() });
    };
    let mut rendering = Rendering { settings, scrubs, package: String::new(), imports: Vec::new(), nameless: 0 };
    let full = rendering.name_or_default(schema.name.as_deref());
    let (package, name) = full.rsplit_once('.').unwrap_or(("", &full));
    let parts: Result<Vec<String>, Fault> =
        package.split('.').filter(|part| !part.is_empty()).map(|part| rendering.allowed(part)).collect();
    rendering.package = parts?.join(".");
    let name = rendering.allowed(name)?;
    let message = rendering.message(&name, fields)?;
    let Rendering { package, imports, .. } = rendering;
    let declared = if package.is_empty() { String::new() } else { format!("package {package};\n") };
    let imports: String = imports.iter().map(|file| format!("import \"{file}\";\n")).collect();
    let dot = if package.is_empty() { "" } else { "." };
    Ok(Rendered {
        text: format!("syntax = \"proto3\";\n{declared}{imports}{message}"),
        message: format!("{package}{dot}{name}"),
    })
}

/// Whether a struct stands for a oneof.
pub(super) fn is_union(schema: &Schema) -> bool {
    matches!(schema.kind, Type::Struct(_)) && schema.name.as_deref().is_some_and(|name| name.starts_with(UNION))
}

/// The name of a field in Protobuf.
pub(super) fn field_name(name: &str, scrubs: bool) -> String {
    if scrubs && !name.is_empty() && (name.starts_with('_') || !is_name(name)) {
        let name = scrubbed(name);
        return if name.starts_with('_') { format!("x{name}") } else { name };
    }
    name.to_owned()
}

/// The message that holds one scalar of this type.
fn wrapper(kind: &Type, type_name: Option<&str>) -> Option<&'static str> {
    let place = match (kind, type_name) {
        (Type::Float64, _) => 0,
        (Type::Float32, _) => 1,
        (Type::Int64, Some("uint64" | "fixed64")) => 3,
        (Type::Int64, Some("uint32" | "fixed32")) => 5,
        (Type::Int64, _) => 2,
        (Type::Int8 | Type::Int16 | Type::Int32, _) => 4,
        (Type::Boolean, _) => 6,
        (Type::String, _) => 7,
        (Type::Bytes, _) => 8,
        (Type::Array(_) | Type::Map(..) | Type::Struct(_), _) => return None,
    };
    WRAPPERS.get(place).copied()
}

/// Keys and values of `confluent.field_meta`.
type Noted = Vec<(&'static str, String)>;

struct Rendering {
    settings: Protobuf,
    scrubs: bool,
    package: String,
    imports: Vec<&'static str>,
    /// How many messages without a name there were.
    nameless: usize,
}

/// What a message holds, section by section.
#[derive(Default)]
struct Body<'a> {
    fields: String,
    nested: String,
    /// The schemas behind nested types, by which the same one is declared once.
    declared: HashMap<String, &'a Schema>,
    /// The highest number that was given so far where the schema gives none.
    number: u32,
}

impl Rendering {
    fn message(&mut self, name: &str, fields: &[Field]) -> Result<String, Fault> {
        let mut body = Body::default();
        for field in fields {
            let line = self.field(field, &mut body).map_err(|fault| fault.in_field(&field.name))?;
            body.fields.push_str(&line);
        }
        Ok(format!("message {name} {{\n{}{}}}\n", body.fields, body.nested))
    }

    /// The line of a field, or a oneof; what it is of is declared in the message.
    fn field<'a>(&mut self, field: &'a Field, body: &mut Body<'a>) -> Result<String, Fault> {
        let schema = field.schema.as_ref();
        if is_union(schema) {
            let name = schema.name.as_deref().unwrap_or_default();
            let name = name.rsplit('.').next().unwrap_or_default();
            let name = self.allowed(name)?;
            let members = schema.fields().iter().map(|member| {
                let line = self.field(member, body).map_err(|fault| fault.in_field(&member.name))?;
                Ok(line.strip_prefix("optional ").map_or(line.clone(), str::to_owned))
            });
            return Ok(format!("oneof {name} {{\n{}}}\n", members.collect::<Result<String, Fault>>()?));
        }
        let number = match schema.parameters.get(TAG) {
            Some(tag) => tag.parse().map_err(|_| Fault::schema(format!("the parameter {TAG} is no number")))?,
            None => {
                body.number += 1;
                body.number
            }
        };
        let name = self.allowed(&field.name)?;
        let (label, of) = match &schema.kind {
            Type::Array(items) => ("repeated ", items.as_ref()),
            Type::Map(..) => ("repeated ", schema),
            _ if self.settings.optional_nullables && schema.optional => ("optional ", schema),
            _ => ("", schema),
        };
        let label = if is_union(of) { return Err(Fault::schema("an array cannot hold unions")) } else { label };
        let (kind, params) = self.kind(of, &name, matches!(schema.kind, Type::Array(_)), body)?;
        // Confluent's registry has the value of some before the key.
        let entry = |(key, value): &(&str, String)| match *key {
            "connect.type" => format!("{{ key: \"{key}\", value: {value:?} }}"),
            _ => format!("{{ value: {value:?}, key: \"{key}\" }}"),
        };
        let entries: Vec<String> = params.iter().map(entry).collect();
        let meta = if entries.is_empty() {
            String::new()
        } else {
            format!(" [(confluent.field_meta) = {{ params: [ {} ] }}]", entries.join(", "))
        };
        Ok(format!("{label}{kind} {name} = {number}{meta};\n"))
    }

    /// The type of a field, and what is noted beside it.
    fn kind<'a>(
        &mut self,
        schema: &'a Schema,
        field: &str,
        in_array: bool,
        body: &mut Body<'a>,
    ) -> Result<(String, Noted), Fault> {
        let mut params = Vec::new();
        match schema.name.as_deref() {
            Some(DECIMAL) => {
                let noted = [("precision", PRECISION), ("scale", "scale")];
                let noted = noted.map(|(key, parameter)| Some((key, schema.parameters.get(parameter)?.clone())));
                params.extend(noted.into_iter().flatten());
                return Ok((self.imported(DECIMAL_MESSAGE, "confluent/type/decimal.proto"), params));
            }
            Some(DATE) => return Ok((self.imported(DATE_MESSAGE, "google/type/date.proto"), params)),
            Some(TIME) => return Ok((self.imported(TIME_MESSAGE, "google/type/timeofday.proto"), params)),
            Some(TIMESTAMP) => {
                return Ok((self.imported(TIMESTAMP_MESSAGE, "google/protobuf/timestamp.proto"), params));
            }
            _ => {}
        }
        let type_name = schema.parameters.get(TYPE).map(String::as_str);
        let plain = match &schema.kind {
            Type::Array(_) => return Err(Fault::schema("Protobuf has no arrays of arrays")),
            Type::Map(..) if in_array => return Err(Fault::schema("Protobuf has no arrays of maps")),
            Type::Map(keys, values) => {
                let name = entry_name(&self.short_name(schema)?);
                let part = |name: &str, schema| Field { name: name.into(), schema };
                let message = self.message(&name, &[part("key", keys.clone()), part("value", values.clone())])?;
                declare(&name, schema, message, body)?;
                return Ok((name, params));
            }
            Type::Struct(fields) => {
                let name = self.short_name(schema)?;
                let name = if name == field { format!("{name}Message") } else { name };
                if body.declared.get(&name).is_none_or(|known| *known != schema) {
                    let message = self.message(&name, fields)?;
                    declare(&name, schema, message, body)?;
                }
                return Ok((name, params));
            }
            Type::String | Type::Int32 if schema.parameters.contains_key(ENUM) => {
                let name = self.allowed(schema.parameters.get(ENUM).map_or("", |name| name))?;
                let declared = body.declared.get(&name).is_some_and(|known| symbols(known) == symbols(schema));
                if !declared {
                    declare(&name, schema, enumeration(&name, schema)?, body)?;
                }
                return Ok((name, params));
            }
            Type::Int8 => "int32",
            Type::Int16 => "int32",
            Type::Int32 => type_name.unwrap_or("int32"),
            Type::Int64 => type_name.unwrap_or("int64"),
            Type::Float32 => "float",
            Type::Float64 => "double",
            Type::Boolean => "bool",
            Type::String => "string",
            Type::Bytes => "bytes",
        };
        if matches!(schema.kind, Type::Int8 | Type::Int16) {
            params.push(("connect.type", schema.kind.name().to_owned()));
        }
        let wrapped = self.settings.wrapped_nullables && schema.optional;
        let wrapped = wrapper(&schema.kind, type_name).filter(|_| wrapped);
        Ok((wrapped.map_or_else(|| plain.to_owned(), |message| self.imported(message, WRAPPERS_FILE)), params))
    }

    /// The name of a message of another file, which is imported.
    fn imported(&mut self, message: &str, file: &'static str) -> String {
        if !self.imports.contains(&file) {
            self.imports.push(file);
        }
        // A package like io.confluent would be looked into first.
        let first = message.split('.').next();
        let hidden = self.package.split('.').any(|part| Some(part) == first);
        format!("{}{message}", if hidden { "." } else { "" })
    }

    fn name_or_default(&mut self, name: Option<&str>) -> String {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => {
                self.nameless += 1;
                format!("{DEFAULT_NAME}{}", self.nameless)
            }
        }
    }

    fn short_name(&mut self, schema: &Schema) -> Result<String, Fault> {
        let full = self.name_or_default(schema.name.as_deref());
        self.allowed(full.rsplit('.').next().unwrap_or_default())
    }

    /// A name that Protobuf allows.
    fn allowed(&self, name: &str) -> Result<String, Fault> {
        let allowed = field_name(name, self.scrubs);
        if is_name(&allowed) {
            return Ok(allowed);
        }
        Err(Fault::schema(format!(
            "{name:?} is no name that Protobuf allows. Set scrub.invalid.names=true of the converter, or rename it."
        )))
    }
}

fn declare<'a>(name: &str, schema: &'a Schema, text: String, body: &mut Body<'a>) -> Result<(), Fault> {
    if body.declared.insert(name.to_owned(), schema).is_some_and(|known| known != schema) {
        return Err(Fault::schema(format!(
            "two schemas that differ are both named {name}, which Protobuf does not allow. Rename one of them."
        )));
    }
    body.nested.push_str(&text);
    Ok(())
}

/// The symbols of an enum with their numbers, zero first, as proto3 wants it.
fn symbols(schema: &Schema) -> Vec<(&str, &str)> {
    let symbols = schema.parameters.iter().filter_map(|(key, number)| {
        let symbol = key.strip_prefix(ENUM)?.strip_prefix('.')?;
        Some((symbol, number.as_str()))
    });
    let (zero, others): (Vec<_>, Vec<_>) = symbols.partition(|(_, number)| *number == "0");
    [zero, others].concat()
}

fn enumeration(name: &str, schema: &Schema) -> Result<String, Fault> {
    let lines = symbols(schema).into_iter().map(|(symbol, number)| {
        let number: i32 = number.parse().map_err(|_| Fault::schema(format!("the symbol {symbol} has no number")))?;
        Ok(format!("{symbol} = {number};\n"))
    });
    Ok(format!("enum {name} {{\n{}}}\n", lines.collect::<Result<String, Fault>>()?))
}

/// `order_lines` is `OrderLinesEntry`.
fn entry_name(name: &str) -> String {
    if !name.contains('_') {
        return format!("{name}{ENTRY}");
    }
    let camel = name.split('_').map(|word| {
        let mut characters = word.chars();
        let first = characters.next().map(|first| first.to_ascii_uppercase());
        first.into_iter().chain(characters.map(|next| next.to_ascii_lowercase())).collect::<String>()
    });
    format!("{}{ENTRY}", camel.collect::<String>())
}
