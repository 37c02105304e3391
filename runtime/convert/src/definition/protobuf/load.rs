//! From a text, and those of its imports, to messages whose types are known.
//!
//! ```text
//! text or base64 ─▶ written (names and options as they stand there) ─▶ plain (options that change how data are read) ─▶ pool
//! ```
//! As in Confluent's registry an import that nobody knows is passed over: most of them declare options. A type that it would have declared is
//! told of as missing.

use std::collections::{HashMap, HashSet};

use indexmap::IndexSet;
use prost_reflect::{DescriptorError, DescriptorPool};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldDescriptorProto, FieldOptions, FileDescriptorProto,
    MessageOptions, UninterpretedOption,
};

use super::option::{Setting, merged};
use super::{Params, ProtobufSchema, binary, known};
use crate::definition::{Invalid, Referenced};

/// The name of the file itself, by which nothing can import it.
const ROOT: &str = "<schema>";
/// How many imports that nobody knows are told of.
const MISSING_TOLD_MAX: usize = 10;
/// More files than any schema imports.
const FILES_MAX: usize = 2000;
/// What Confluent's clients note of a field.
const FIELD_META: &str = "(confluent.field_meta)";

/// Reads a schema.
pub(super) fn load(text: &str, referenced: &[Referenced]) -> Result<ProtobufSchema, Invalid> {
    let written = read(text)?;
    let texts = referenced.iter().map(|referenced| (referenced.name.as_str(), referenced.text.as_ref())).collect();
    let mut loading = Loading { texts, pool: DescriptorPool::new(), params: HashMap::new(), missing: IndexSet::new() };
    let mut root = loading.plain(&written, ROOT);
    loading.imports(&root)?;
    loading.keep_found(&mut root);
    let added = loading.pool.add_file_descriptor_proto(root);
    added.map_err(|error| loading.refused(&error))?;
    let Loading { pool, params, .. } = loading;
    let file = pool.get_file_by_name(ROOT).ok_or_else(|| Invalid::new("a file declares nothing"))?;
    let first = file.messages().next().map(|message| message.full_name().to_owned());
    let name = first.or_else(|| file.enums().next().map(|first| first.full_name().to_owned()));
    Ok(ProtobufSchema { written, file, name, params })
}

/// A file as it is written: as a text, or serialized.
fn read(text: &str) -> Result<FileDescriptorProto, Invalid> {
    let error = match protox_parse::parse(ROOT, text) {
        Ok(file) => return Ok(file),
        Err(error) => error,
    };
    if let Some(printed) = binary::read(text) {
        return protox_parse::parse(ROOT, &super::print::canonical(&printed))
            .map_err(|error| Invalid::new(format!("the serialized file is none that can be written: {error}")));
    }
    let place = error.span().map(|span| place(text, span.start)).unwrap_or_default();
    Err(Invalid::new(format!("{place}{error}")))
}

/// `line 3, column 5: `
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|character| *character != '\n').count() + 1;
    format!("line {line}, column {column}: ")
}

struct Loading<'a> {
    texts: HashMap<&'a str, &'a str>,
    pool: DescriptorPool,
    params: HashMap<(String, u32), Params>,
    /// Imports that nobody knows.
    missing: IndexSet<String>,
}

/// A file that waits for what it imports.
enum Open {
    Wanted(String),
    Read(Box<FileDescriptorProto>),
}

impl Loading<'_> {
    /// Adds what a file imports, directly or through others, each after what it imports itself.
    fn imports(&mut self, root: &FileDescriptorProto) -> Result<(), Invalid> {
        let mut open: Vec<Open> = root.dependency.iter().rev().cloned().map(Open::Wanted).collect();
        let mut met = HashSet::new();
        while let Some(next) = open.pop() {
            match next {
                Open::Wanted(name) if !met.insert(name.clone()) => {
                    if self.pool.get_file_by_name(&name).is_none() && !self.missing.contains(&name) {
                        return Err(Invalid::new(format!("{name:?} imports itself, directly or through others")));
                    }
                }
                Open::Wanted(name) => {
                    let Some(file) = self.found(&name)? else {
                        self.missing.insert(name);
                        continue;
                    };
                    if met.len() > FILES_MAX {
                        return Err(Invalid::new("its imports lead to more files than any schema needs"));
                    }
                    let wanted: Vec<String> = file.dependency.iter().rev().cloned().collect();
                    open.push(Open::Read(Box::new(file)));
                    open.extend(wanted.into_iter().map(Open::Wanted));
                }
                Open::Read(mut file) => {
                    self.keep_found(&mut file);
                    let name = file.name().to_owned();
                    let added = self.pool.add_file_descriptor_proto(*file);
                    added.map_err(|error| Invalid::new(format!("in {name:?}: {}", self.refused(&error))))?;
                }
            }
        }
        Ok(())
    }

    fn found(&mut self, name: &str) -> Result<Option<FileDescriptorProto>, Invalid> {
        let written = match (known::file(name), self.texts.get(name)) {
            (Some(known), _) => known,
            (None, Some(text)) => read(text).map_err(|error| Invalid::new(format!("in {name:?}: {error}")))?,
            (None, None) => return Ok(None),
        };
        Ok(Some(self.plain(&written, name)))
    }

    /// Leaves imports out that nobody knows.
    fn keep_found(&self, file: &mut FileDescriptorProto) {
        let imported = std::mem::take(&mut file.dependency);
        let public: HashSet<i32> = file.public_dependency.drain(..).collect();
        let mut met = HashSet::new();
        for (place, name) in (0i32..).zip(imported) {
            if self.pool.get_file_by_name(&name).is_none() || !met.insert(name.clone()) {
                continue;
            }
            if public.contains(&place) {
                file.public_dependency.push(file.dependency.len() as i32);
            }
            file.dependency.push(name);
        }
    }

    fn refused(&self, error: &DescriptorError) -> Invalid {
        let place = match (error.line(), error.column()) {
            (Some(line), Some(column)) => format!("line {}, column {}: ", line + 1, column + 1),
            _ => String::new(),
        };
        let names: Vec<&str> = self.missing.iter().take(MISSING_TOLD_MAX).map(String::as_str).collect();
        let missing = match names.as_slice() {
            [] => String::new(),
            names => format!(" (neither registered as references nor known: {})", names.join(", ")),
        };
        Invalid::new(format!("{place}{error}{missing}"))
    }

    /// A file with those options alone that change how data are read. What is noted of fields is kept beside it.
    fn plain(&mut self, written: &FileDescriptorProto, name: &str) -> FileDescriptorProto {
        let mut file = FileDescriptorProto {
            name: Some(name.to_owned()),
            weak_dependency: Vec::new(),
            options: None,
            ..written.clone()
        };
        let package = file.package.clone().unwrap_or_default();
        file.message_type.iter_mut().for_each(|message| self.plain_message(message, &package));
        file.enum_type.iter_mut().for_each(plain_enum);
        file.extension.iter_mut().for_each(|field| drop(plain_field(field)));
        for service in &mut file.service {
            service.options = None;
            service.method.iter_mut().for_each(|method| method.options = None);
        }
        file
    }

    fn plain_message(&mut self, message: &mut DescriptorProto, scope: &str) {
        let name = message.name();
        let scope = if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") };
        for field in &mut message.field {
            let params = plain_field(field);
            if !params.is_empty() {
                self.params.insert((scope.clone(), field.number().unsigned_abs()), params);
            }
        }
        message.extension.iter_mut().for_each(|field| drop(plain_field(field)));
        message.enum_type.iter_mut().for_each(plain_enum);
        message.extension_range.iter_mut().for_each(|range| range.options = None);
        message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
        if let Some(options) = message.options.take() {
            let given = |name: &str| truth(&options.uninterpreted_option, name);
            let plain = MessageOptions {
                map_entry: given("map_entry").or(options.map_entry),
                message_set_wire_format: given("message_set_wire_format").or(options.message_set_wire_format),
                ..MessageOptions::default()
            };
            message.options = Some(plain).filter(|plain| *plain != MessageOptions::default());
        }
        message.nested_type.iter_mut().for_each(|nested| self.plain_message(nested, &scope));
    }
}

fn plain_enum(declared: &mut EnumDescriptorProto) {
    declared.value.iter_mut().for_each(|value| value.options = None);
    if let Some(options) = declared.options.take() {
        let allow_alias = truth(&options.uninterpreted_option, "allow_alias").or(options.allow_alias);
        declared.options = allow_alias.map(|_| EnumOptions { allow_alias, ..EnumOptions::default() });
    }
}

fn plain_field(field: &mut FieldDescriptorProto) -> Params {
    let Some(options) = field.options.take() else { return Params::default() };
    let packed = truth(&options.uninterpreted_option, "packed").or(options.packed);
    field.options = packed.map(|_| FieldOptions { packed, ..FieldOptions::default() });
    let settings = merged(options.uninterpreted_option.iter().map(Setting::folded).collect());
    let meta = settings.iter().find(|setting| setting.name == FIELD_META);
    let entries = meta.and_then(|meta| meta.value.get("params")).map(|params| params.each()).unwrap_or_default();
    let entries = entries.iter().filter_map(|entry| Some((entry.get("key")?.text()?, entry.get("value")?.text()?)));
    entries.collect()
}

/// What an option says that is either true or false.
fn truth(options: &[UninterpretedOption], name: &str) -> Option<bool> {
    let setting = options.iter().map(Setting::of).rfind(|setting| setting.name == name)?;
    setting.value.word()?.parse().ok()
}
