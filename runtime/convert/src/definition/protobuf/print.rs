//! The text of a file as Confluent's registry prints it: without comments, messages before enums, fields before oneofs.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::source_code_info::Location;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, OneofDescriptorProto,
    ServiceDescriptorProto, UninterpretedOption,
};

use super::is_implied;
use super::option::{Setting, Value, brackets, indented, merged};

/// The highest number of a field; what goes beyond has no end.
const NUMBER_MAX: i32 = 536_870_911;
/// Numbers of fields of descriptors, which lead to where something stands in the text.
const SYNTAX: i32 = 12;
const FILE_MESSAGES: i32 = 4;
const FILE_ENUMS: i32 = 5;
const MESSAGE_NESTED: i32 = 3;
const MESSAGE_ENUMS: i32 = 4;
const MESSAGE_EXTENSIONS: i32 = 5;
const MESSAGE_RESERVED: [i32; 2] = [9, 10];
const ENUM_RESERVED: [i32; 2] = [4, 5];

/// A file as it is written.
pub(super) fn canonical(file: &FileDescriptorProto) -> String {
    Printer::new(file, false).file(file)
}

/// A file whose names are in full already, in order where order says nothing.
pub(super) fn normalized(file: &FileDescriptorProto) -> String {
    Printer::new(file, true).file(file)
}

/// The messages that are declared beside a field, by their names.
type Nested<'a> = HashMap<&'a str, &'a DescriptorProto>;

struct Printer<'a> {
    normal: bool,
    proto3: bool,
    /// Where things stand, by their paths. A statement that lists several has the path of the list.
    places: HashMap<&'a [i32], Vec<Span>>,
}

/// Start and end as line and column.
type Span = [(i32, i32); 2];

/// A range or a name, with the place of its statement's list and its own place in there.
struct Item {
    list: i32,
    index: i32,
    start: i32,
    text: String,
}

impl<'a> Printer<'a> {
    fn new(file: &'a FileDescriptorProto, normal: bool) -> Self {
        let mut places: HashMap<&[i32], Vec<Span>> = HashMap::new();
        for location in file.source_code_info.iter().flat_map(|places| &places.location) {
            if let Some(span) = span(location) {
                places.entry(&location.path).or_default().push(span);
            }
        }
        Self { normal, proto3: file.syntax() == "proto3", places }
    }

    fn file(&self, file: &FileDescriptorProto) -> String {
        let mut out = String::new();
        let given = self.places.contains_key([SYNTAX].as_slice());
        match file.syntax.as_deref() {
            Some(syntax) if !self.normal || self.proto3 => out.push_str(&format!("syntax = \"{syntax}\";\n")),
            None if given && !self.normal => out.push_str("syntax = \"proto2\";\n"),
            _ => {}
        }
        if let Some(package) = file.package.as_ref().filter(|package| !package.is_empty()) {
            out.push_str(&format!("package {package};\n"));
        }
        let (public, private): (Vec<_>, Vec<_>) =
            (0i32..).zip(&file.dependency).partition(|(place, _)| file.public_dependency.contains(place));
        let imports = |imports: Vec<(i32, &String)>, word: &str| {
            let mut names: Vec<_> = imports.into_iter().map(|(_, name)| name).collect();
            if self.normal {
                names.sort();
                names.dedup();
            }
            names.iter().map(|name| format!("import {word}\"{name}\";\n")).collect::<String>()
        };
        section(&mut out, &(imports(private, "") + &imports(public, "public ")));
        let options = file.options.as_ref().map(|options| self.options(&options.uninterpreted_option));
        section(&mut out, &options.unwrap_or_default());
        let groups: HashSet<&str> = grouped(&file.extension).collect();
        let types = self.messages(&file.message_type, &groups, &mut vec![FILE_MESSAGES]);
        let types = types + &self.enumerations(&file.enum_type, &[FILE_ENUMS]);
        section(&mut out, &types);
        section(&mut out, &self.extends(&file.extension, &named(&file.message_type)));
        section(&mut out, &file.service.iter().map(|service| self.service(service)).collect::<String>());
        out
    }

    /// Messages, but for those of groups and maps, which stand with their fields. `path` leads to their list.
    fn messages(&self, messages: &[DescriptorProto], groups: &HashSet<&str>, path: &mut Vec<i32>) -> String {
        let mut out = String::new();
        let shown = |message: &DescriptorProto| !is_implied(message) && !groups.contains(message.name());
        for (place, message) in (0i32..).zip(messages).filter(|(_, message)| shown(message)) {
            path.push(place);
            out.push_str(&format!("message {} {{{}}}\n", message.name(), self.message(message, path)));
            path.pop();
        }
        out
    }

    /// What stands between a message's braces.
    fn message(&self, message: &DescriptorProto, path: &mut Vec<i32>) -> String {
        let mut out = String::new();
        let ranges = message.reserved_range.iter().map(|range| (range.start(), range.end() - 1));
        let reserved = items(MESSAGE_RESERVED, ranges, &message.reserved_name);
        section(&mut out, &indented_lines(&self.statements("reserved", path, &MESSAGE_RESERVED, reserved)));
        let options = message.options.as_ref().map(|options| self.options(&options.uninterpreted_option));
        section(&mut out, &indented_lines(&options.unwrap_or_default()));
        let nested = named(&message.nested_type);
        let plain = |field: &&FieldDescriptorProto| field.oneof_index.is_none() || field.proto3_optional();
        let mut fields: Vec<_> = message.field.iter().filter(plain).collect();
        if self.normal {
            fields.sort_by_key(|field| field.number());
        }
        let (groups, fields): (Vec<_>, Vec<_>) = fields.into_iter().partition(|field| field.r#type() == Type::Group);
        section(&mut out, &indented_lines(&self.fields(&fields, &nested, false)));
        section(&mut out, &indented_lines(&self.oneofs(message, &nested)));
        section(&mut out, &indented_lines(&self.fields(&groups, &nested, false)));
        let ranges = message.extension_range.iter().map(|range| (range.start(), range.end() - 1));
        let extensions = items([MESSAGE_EXTENSIONS; 2], ranges, &[]);
        let extensions = self.statements("extensions", path, &[MESSAGE_EXTENSIONS], extensions);
        section(&mut out, &indented_lines(&extensions));
        section(&mut out, &indented_lines(&self.extends(&message.extension, &nested)));
        let groups: HashSet<&str> = grouped(&message.field).chain(grouped(&message.extension)).collect();
        let enums: Vec<i32> = path.iter().copied().chain([MESSAGE_ENUMS]).collect();
        path.push(MESSAGE_NESTED);
        let types = self.messages(&message.nested_type, &groups, path) + &self.enumerations(&message.enum_type, &enums);
        path.pop();
        section(&mut out, &indented_lines(&types));
        out
    }

    fn oneofs(&self, message: &DescriptorProto, nested: &Nested<'_>) -> String {
        let mut oneofs: Vec<(&OneofDescriptorProto, Vec<&FieldDescriptorProto>)> =
            message.oneof_decl.iter().map(|oneof| (oneof, Vec::new())).collect();
        for field in message.field.iter().filter(|field| !field.proto3_optional()) {
            let place = field.oneof_index.and_then(|place| usize::try_from(place).ok());
            if let Some((_, fields)) = place.and_then(|place| oneofs.get_mut(place)) {
                fields.push(field);
            }
        }
        oneofs.retain(|(_, fields)| !fields.is_empty());
        if self.normal {
            oneofs.iter_mut().for_each(|(_, fields)| fields.sort_by_key(|field| field.number()));
            oneofs.sort_by_key(|(_, fields)| fields.first().map(|field| field.number()));
        }
        let print = |(oneof, fields): (&OneofDescriptorProto, Vec<_>)| {
            let mut body = String::new();
            let options = oneof.options.as_ref().map(|options| self.options(&options.uninterpreted_option));
            section(&mut body, &indented_lines(&options.unwrap_or_default()));
            section(&mut body, &indented_lines(&self.fields(&fields, nested, true)));
            format!("oneof {} {{{body}}}\n", oneof.name())
        };
        oneofs.into_iter().map(print).collect()
    }

    fn fields(&self, fields: &[&FieldDescriptorProto], nested: &Nested<'_>, in_oneof: bool) -> String {
        fields.iter().map(|field| self.field(field, nested, in_oneof)).collect()
    }

    fn field(&self, field: &FieldDescriptorProto, nested: &Nested<'_>, in_oneof: bool) -> String {
        let type_name = field.type_name.as_deref().unwrap_or_default();
        let local = type_name.rsplit('.').next().unwrap_or_default();
        let declared = nested.get(local).copied();
        let map = declared.filter(|message| is_implied(message) && field.label() == Label::Repeated);
        let label = match field.label() {
            _ if in_oneof || map.is_some() => "",
            Label::Repeated => "repeated ",
            Label::Optional if !self.proto3 || field.proto3_optional() => "optional ",
            Label::Required if !self.proto3 => "required ",
            Label::Optional | Label::Required => "",
        };
        if field.r#type == Some(Type::Group as i32)
            && let Some(group) = declared
        {
            let body = self.message(group, &mut vec![-1]);
            return format!("{label}group {local} = {} {{{body}}}\n", field.number());
        }
        let kind = match map.map(|entry| entry.field.as_slice()) {
            Some([key, value]) => format!("map<{}, {}>", type_of(key), type_of(value)),
            _ => type_of(field).to_owned(),
        };
        let given = field.options.as_ref().map(|options| options.uninterpreted_option.as_slice());
        let mut settings = self.settings(given.unwrap_or_default());
        if let Some(default) = field.default_value.as_ref().filter(|_| !self.proto3) {
            settings.push(Setting { name: "default".to_owned(), value: default_value(field, default) });
        }
        if let Some(name) = &field.json_name {
            settings.push(Setting { name: "json_name".to_owned(), value: Value::Text(name.clone().into_bytes()) });
        }
        if self.normal {
            settings.sort_by(|one, other| one.name.cmp(&other.name));
        }
        let options = brackets(&settings, self.normal);
        format!("{label}{kind} {} = {}{options};\n", field.name(), field.number())
    }

    fn extends(&self, fields: &[FieldDescriptorProto], nested: &Nested<'_>) -> String {
        // In the normal form one for each message, otherwise as they follow each other.
        let mut extended: IndexMap<(&str, usize), Vec<&FieldDescriptorProto>> = IndexMap::new();
        let (mut last, mut run) = ("", 0);
        for field in fields {
            if !self.normal && field.extendee() != last {
                run += 1;
            }
            last = field.extendee();
            extended.entry((last, run)).or_default().push(field);
        }
        let print = |((name, _), mut fields): ((&str, usize), Vec<&FieldDescriptorProto>)| {
            if self.normal {
                fields.sort_by_key(|field| field.number());
            }
            format!("extend {name} {{\n{}}}\n", indented_lines(&self.fields(&fields, nested, false)))
        };
        extended.into_iter().map(print).collect()
    }

    fn enumerations(&self, enums: &[EnumDescriptorProto], list: &[i32]) -> String {
        let path = |place: i32| -> Vec<i32> { list.iter().copied().chain([place]).collect() };
        (0i32..).zip(enums).map(|(place, declared)| self.enumeration(declared, &path(place))).collect()
    }

    fn enumeration(&self, declared: &EnumDescriptorProto, path: &[i32]) -> String {
        let ranges = declared.reserved_range.iter().map(|range| (range.start(), range.end()));
        let reserved = items(ENUM_RESERVED, ranges, &declared.reserved_name);
        let mut body = self.statements("reserved", path, &ENUM_RESERVED, reserved);
        if let Some(options) = &declared.options {
            body.push_str(&self.options(&options.uninterpreted_option));
        }
        let mut values: Vec<_> = declared.value.iter().collect();
        if self.normal {
            values.sort_by_key(|value| (value.number(), value.name()));
        }
        for value in values {
            let given = value.options.as_ref().map(|options| options.uninterpreted_option.as_slice());
            let options = brackets(&self.settings(given.unwrap_or_default()), self.normal);
            body.push_str(&format!("{} = {}{options};\n", value.name(), value.number()));
        }
        format!("enum {} {{\n{}}}\n", declared.name(), indented_lines(&body))
    }

    fn service(&self, service: &ServiceDescriptorProto) -> String {
        let mut body = String::new();
        let options = service.options.as_ref().map(|options| self.options(&options.uninterpreted_option));
        section(&mut body, &indented_lines(&options.unwrap_or_default()));
        let methods: String = service
            .method
            .iter()
            .map(|method| {
                let stream = |streams: bool| if streams { "stream " } else { "" };
                let (input, output) = (stream(method.client_streaming()), stream(method.server_streaming()));
                let options = method.options.as_ref().map(|options| self.options(&options.uninterpreted_option));
                let options = options.filter(|options| !options.is_empty());
                let options =
                    options.map_or_else(String::new, |options| format!(" {{\n{}}}", indented_lines(&options)));
                let (name, takes, gives) = (method.name(), method.input_type(), method.output_type());
                format!("rpc {name} ({input}{takes}) returns ({output}{gives}){options};\n")
            })
            .collect();
        section(&mut body, &indented_lines(&methods));
        format!("service {} {{{body}}}\n", service.name())
    }

    fn settings(&self, options: &[UninterpretedOption]) -> Vec<Setting> {
        if !self.normal {
            return options.iter().map(Setting::of).collect();
        }
        let mut settings = merged(options.iter().map(Setting::folded).collect());
        settings.sort_by(|one, other| one.name.cmp(&other.name));
        settings
    }

    fn options(&self, options: &[UninterpretedOption]) -> String {
        self.settings(options).iter().map(|setting| format!("option {};\n", setting.print(self.normal))).collect()
    }

    /// Statements that list ranges and names, as they are written; in the normal form one each.
    fn statements(&self, word: &str, path: &[i32], lists: &[i32], mut items: Vec<Item>) -> String {
        let place = |list: i32, index: Option<i32>| {
            let path: Vec<i32> = path.iter().copied().chain([list]).chain(index).collect();
            self.places.get(path.as_slice()).map(Vec::as_slice).unwrap_or_default()
        };
        let mut written: Vec<&Span> = lists.iter().flat_map(|list| place(*list, None)).collect();
        if self.normal || written.is_empty() {
            if self.normal {
                items.sort_by(|one, other| (one.start, &one.text).cmp(&(other.start, &other.text)));
            }
            return items.iter().map(|item| format!("{word} {};\n", item.text)).collect();
        }
        written.sort();
        let mut statements: Vec<Vec<&str>> = vec![Vec::new(); written.len()];
        for item in &items {
            let at = place(item.list, Some(item.index)).first();
            // The last statement that begins before it.
            let of = at.map(|at| written.partition_point(|span| span[0] <= at[0]).saturating_sub(1));
            if let Some(statement) = statements.get_mut(of.unwrap_or_default()) {
                statement.push(&item.text);
            }
        }
        statements.retain(|statement| !statement.is_empty());
        statements.iter().map(|statement| format!("{word} {};\n", statement.join(", "))).collect()
    }
}

fn items(lists: [i32; 2], ranges: impl Iterator<Item = (i32, i32)>, names: &[String]) -> Vec<Item> {
    let [range_list, name_list] = lists;
    let ranges = (0i32..).zip(ranges).map(|(index, (start, end))| {
        let text = match end {
            end if end == start => start.to_string(),
            end if end >= NUMBER_MAX => format!("{start} to max"),
            end => format!("{start} to {end}"),
        };
        Item { list: range_list, index, start, text }
    });
    let names = (0i32..).zip(names).map(|(index, name)| Item {
        list: name_list,
        index,
        start: i32::MAX,
        text: format!("\"{name}\""),
    });
    ranges.chain(names).collect()
}

fn span(location: &Location) -> Option<Span> {
    match *location.span.as_slice() {
        [line, column, end] => Some([(line, column), (line, end)]),
        [line, column, end_line, end] => Some([(line, column), (end_line, end)]),
        _ => None,
    }
}

/// Appends what is not empty, behind an empty line.
fn section(out: &mut String, text: &str) {
    if !text.is_empty() {
        out.push('\n');
        out.push_str(text);
    }
}

fn indented_lines(text: &str) -> String {
    if text.is_empty() { String::new() } else { indented(text) }
}

fn named(messages: &[DescriptorProto]) -> Nested<'_> {
    messages.iter().map(|message| (message.name(), message)).collect()
}

fn grouped(fields: &[FieldDescriptorProto]) -> impl Iterator<Item = &str> {
    let groups = fields.iter().filter(|field| field.r#type == Some(Type::Group as i32));
    groups.filter_map(|field| field.type_name().rsplit('.').next())
}

fn type_of(field: &FieldDescriptorProto) -> &str {
    if let Some(name) = &field.type_name {
        return name;
    }
    match field.r#type() {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int64 => "int64",
        Type::Uint64 => "uint64",
        Type::Int32 => "int32",
        Type::Fixed64 => "fixed64",
        Type::Fixed32 => "fixed32",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Uint32 => "uint32",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        Type::Group | Type::Message | Type::Enum => "",
    }
}

fn default_value(field: &FieldDescriptorProto, default: &str) -> Value {
    match field.r#type.map(|_| field.r#type()) {
        Some(Type::String) => Value::Text(default.as_bytes().to_vec()),
        // Escaped already.
        Some(Type::Bytes) => Value::Word(format!("\"{default}\"")),
        _ => Value::Word(default.to_owned()),
    }
}
