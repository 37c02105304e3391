//! Files that clients send serialized: a `FileDescriptorProto` in base64, with its options turned into what they would be as text.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, Value};
use prost_types::uninterpreted_option::NamePart;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, EnumValueOptions, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, FileOptions, MessageOptions, MethodOptions, OneofOptions, ServiceOptions, UninterpretedOption,
};

use super::known;
use super::option::quoted;

/// Options that Confluent's registry prints in another order than that of their numbers.
const ORDER: [&str; 9] = [
    "java_package",
    "java_outer_classname",
    "java_multiple_files",
    "java_generate_equals_and_hash",
    "java_string_check_utf8",
    "ctype",
    "packed",
    "jstype",
    "deprecated",
];

/// The file; none where the text is no such thing.
pub(super) fn read(text: &str) -> Option<FileDescriptorProto> {
    written(&STANDARD.decode(text.trim()).ok()?)
}

/// A serialized file as it would be written.
pub(super) fn written(bytes: &[u8]) -> Option<FileDescriptorProto> {
    let mut file = FileDescriptorProto::decode(bytes).ok()?;
    let kind = descriptors().get_message_by_name("google.protobuf.FileDescriptorProto")?;
    let dynamic = DynamicMessage::decode(kind, bytes).ok()?;
    file.source_code_info = None;
    file.options = options(&dynamic).map(|given| FileOptions { uninterpreted_option: given, ..FileOptions::default() });
    each(&mut file.message_type, &dynamic, "message_type", message);
    each(&mut file.enum_type, &dynamic, "enum_type", enumeration);
    each(&mut file.extension, &dynamic, "extension", field);
    each(&mut file.service, &dynamic, "service", |service, dynamic| {
        service.options =
            options(dynamic).map(|given| ServiceOptions { uninterpreted_option: given, ..ServiceOptions::default() });
        each(&mut service.method, dynamic, "method", |method, dynamic| {
            method.options =
                options(dynamic).map(|given| MethodOptions { uninterpreted_option: given, ..MethodOptions::default() });
        });
    });
    Some(file)
}

/// What files are described by, with Confluent's options.
fn descriptors() -> &'static DescriptorPool {
    static POOL: OnceLock<DescriptorPool> = OnceLock::new();
    POOL.get_or_init(|| {
        let mut pool = DescriptorPool::global();
        let meta = known::file("confluent/meta.proto").into_iter();
        pool.add_file_descriptor_protos(meta).expect("the files that are known fit together");
        pool
    })
}

fn message(message: &mut DescriptorProto, dynamic: &DynamicMessage) {
    message.options =
        options(dynamic).map(|given| MessageOptions { uninterpreted_option: given, ..MessageOptions::default() });
    each(&mut message.field, dynamic, "field", field);
    each(&mut message.extension, dynamic, "extension", field);
    each(&mut message.enum_type, dynamic, "enum_type", enumeration);
    each(&mut message.oneof_decl, dynamic, "oneof_decl", |oneof, dynamic| {
        oneof.options = options(dynamic).map(|given| OneofOptions { uninterpreted_option: given });
    });
    each(&mut message.nested_type, dynamic, "nested_type", self::message);
}

fn field(field: &mut FieldDescriptorProto, dynamic: &DynamicMessage) {
    field.options =
        options(dynamic).map(|given| FieldOptions { uninterpreted_option: given, ..FieldOptions::default() });
}

fn enumeration(declared: &mut EnumDescriptorProto, dynamic: &DynamicMessage) {
    declared.options =
        options(dynamic).map(|given| EnumOptions { uninterpreted_option: given, ..EnumOptions::default() });
    each(&mut declared.value, dynamic, "value", |value, dynamic| {
        value.options = options(dynamic)
            .map(|given| EnumValueOptions { uninterpreted_option: given, ..EnumValueOptions::default() });
    });
}

/// Goes through both forms of a list side by side.
fn each<T>(list: &mut [T], dynamic: &DynamicMessage, name: &str, mut of: impl FnMut(&mut T, &DynamicMessage)) {
    let inner = dynamic.get_field_by_name(name);
    let inner = inner.as_ref().and_then(|inner| inner.as_list()).unwrap_or_default();
    list.iter_mut().zip(inner.iter().filter_map(Value::as_message)).for_each(|(one, dynamic)| of(one, dynamic));
}

/// The options of something, as they would be written; none where there are none.
fn options(dynamic: &DynamicMessage) -> Option<Vec<UninterpretedOption>> {
    let given = dynamic.get_field_by_name("options")?;
    let given = given.as_message()?;
    let place = |field: &FieldDescriptor| {
        ORDER.iter().position(|name| *name == field.name()).map_or((1, field.number()), |place| (0, place as u32))
    };
    let mut plain: Vec<_> = given.fields().collect();
    plain.sort_by_key(|(field, _)| place(field));
    let plain = plain.into_iter().map(|(field, value)| (field.name().to_owned(), false, field.kind(), value));
    let declared =
        given.extensions().map(|(extension, value)| (extension.full_name().to_owned(), true, extension.kind(), value));
    let written: Vec<_> =
        plain.chain(declared).filter_map(|(name, own, kind, value)| option(name, own, &kind, value)).collect();
    Some(written).filter(|written| !written.is_empty())
}

/// One option; what has no form of one line is left out, as Confluent's registry leaves it out.
fn option(name: String, is_extension: bool, kind: &Kind, value: &Value) -> Option<UninterpretedOption> {
    let name = vec![NamePart { name_part: name, is_extension }];
    let option = UninterpretedOption { name, ..UninterpretedOption::default() };
    Some(match value {
        Value::String(text) => UninterpretedOption { string_value: Some(text.as_bytes().to_vec()), ..option },
        Value::Bytes(bytes) => UninterpretedOption { string_value: Some(bytes.to_vec()), ..option },
        Value::Message(message) if is_extension => {
            UninterpretedOption { aggregate_value: Some(tree(message)).filter(|tree| !tree.is_empty()), ..option }
        }
        Value::Message(_) | Value::List(_) | Value::Map(_) => return None,
        scalar => UninterpretedOption { identifier_value: Some(word(kind, scalar)), ..option },
    })
}

/// A message in the form in which the parser of schemas hands over trees.
fn tree(message: &DynamicMessage) -> String {
    let entries = message.fields().map(|(field, value)| match value {
        Value::Map(entries) => {
            let sorted: BTreeMap<String, &Value> = entries.iter().map(|(key, value)| (key_word(key), value)).collect();
            let entries: Vec<String> = sorted
                .into_iter()
                .map(|(key, value)| {
                    let value = format!("value : {}", leaf(&field.kind(), value));
                    let key_first = !matches!(key.as_str(), "\"precision\"" | "\"scale\"");
                    let key = format!("key : {key}");
                    let (first, then) = if key_first { (key, value) } else { (value, key) };
                    format!("{{ {first} , {then} }}")
                })
                .collect();
            format!("{} : [ {} ]", field.name(), entries.join(" , "))
        }
        Value::List(values) => {
            let values: Vec<String> = values.iter().map(|value| leaf(&field.kind(), value)).collect();
            format!("{} : [ {} ]", field.name(), values.join(" , "))
        }
        value => format!("{} : {}", field.name(), leaf(&field.kind(), value)),
    });
    entries.collect::<Vec<_>>().join(" , ")
}

fn leaf(kind: &Kind, value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text.as_bytes()),
        Value::Bytes(bytes) => quoted(bytes),
        Value::Message(message) => format!("{{ {} }}", tree(message)),
        scalar => word(kind, scalar),
    }
}

fn key_word(key: &MapKey) -> String {
    match key {
        MapKey::String(text) => quoted(text.as_bytes()),
        MapKey::Bool(truth) => truth.to_string(),
        MapKey::I32(number) => number.to_string(),
        MapKey::I64(number) => number.to_string(),
        MapKey::U32(number) => number.to_string(),
        MapKey::U64(number) => number.to_string(),
    }
}

fn word(kind: &Kind, value: &Value) -> String {
    match value {
        Value::Bool(truth) => truth.to_string(),
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        Value::F32(number) => number.to_string(),
        Value::F64(number) => number.to_string(),
        Value::EnumNumber(number) => {
            let symbol = kind.as_enum().and_then(|declared| declared.get_value(*number));
            symbol.map_or_else(|| number.to_string(), |symbol| symbol.name().to_owned())
        }
        _ => String::new(),
    }
}
