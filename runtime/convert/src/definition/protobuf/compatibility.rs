//! Whether data of one file can be read under another, by Confluent's rules: fields are the same by their numbers, messages by their names.
//!
//! What is nested is walked; messages of other files are compared as pairs, each once, which wait in a queue. So neither long chains of
//! imported messages nor messages that contain each other can exhaust the stack. A field whose pair has changed incompatibly is told of, too,
//! and so on to the fields that lead there.

use std::collections::{BTreeMap, HashSet};

use indexmap::IndexSet;
use prost_reflect::{FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, OneofDescriptor, Syntax};
use prost_types::field_descriptor_proto::Label;

use super::ProtobufSchema;
use crate::definition::Difference;

/// More pairs of messages than any two schemas have.
const PAIRS_MAX: usize = 20_000;
/// More changes than anybody reads.
const TOLD_MAX: usize = 1000;

/// Why `reader` does not take all that `writer` allows; nothing where it does.
pub(crate) fn cannot_read(reader: &ProtobufSchema, writer: &ProtobufSchema) -> Vec<Difference> {
    let mut comparison = Comparison {
        files: [&writer.file, &reader.file],
        pairs: IndexSet::new(),
        changes: Vec::new(),
        uses: Vec::new(),
        at: None,
    };
    comparison.types(writer.file.messages(), reader.file.messages(), "#");
    while let Some((old, new)) = comparison.next() {
        let path = local_name(&old).split('.').fold("#".to_owned(), |path, part| format!("{path}/{part}"));
        comparison.messages(&old, &new, &path);
        if comparison.pairs.len() > PAIRS_MAX {
            let description = format!(
                "The {{reader}} and the {{writer}} schema cannot be compared: they import messages that meet in more than {PAIRS_MAX} ways"
            );
            return vec![Difference { kind: "COMPARISON_TOO_LARGE", description, detail: None }];
        }
    }
    comparison.told()
}

struct Comparison<'a> {
    /// What data were written under, and what reads them.
    files: [&'a FileDescriptor; 2],
    /// Messages of other files that fields lead to.
    pairs: IndexSet<(MessageName, MessageName)>,
    changes: Vec<Change>,
    /// Which fields lead to which pair.
    uses: Vec<Use>,
    /// The pair that is being compared; none for the files themselves.
    at: Option<usize>,
}

/// The full name of a message.
type MessageName = String;

/// A change that keeps old data from being read.
struct Change {
    within: Option<usize>,
    kind: &'static str,
    path: String,
}

/// A field that leads to a pair.
struct Use {
    within: Option<usize>,
    pair: usize,
    path: String,
}

impl Comparison<'_> {
    /// The next pair that waits.
    fn next(&mut self) -> Option<(MessageDescriptor, MessageDescriptor)> {
        let next = self.at.map_or(0, |at| at + 1);
        let (old, new) = self.pairs.get_index(next)?;
        self.at = Some(next);
        let [old_file, new_file] = self.files;
        let find = |file: &FileDescriptor, name: &str| file.parent_pool().get_message_by_name(name);
        find(old_file, old).zip(find(new_file, new))
    }

    fn change(&mut self, kind: &'static str, path: String) {
        self.changes.push(Change { within: self.at, kind, path });
    }

    fn types(
        &mut self,
        old: impl Iterator<Item = MessageDescriptor>,
        new: impl Iterator<Item = MessageDescriptor>,
        path: &str,
    ) {
        let new: BTreeMap<String, MessageDescriptor> =
            new.map(|message| (message.name().to_owned(), message)).collect();
        // Entries of maps are compared with their fields.
        for old in old.filter(|message| !message.is_map_entry()) {
            let path = format!("{path}/{}", old.name());
            match new.get(old.name()) {
                Some(new) => self.messages(&old, new, &path),
                None => self.change("MESSAGE_REMOVED", path),
            }
        }
    }

    fn messages(&mut self, old: &MessageDescriptor, new: &MessageDescriptor, path: &str) {
        for oneof in new.oneofs().filter(|oneof| !oneof.is_synthetic()) {
            let before = oneof.fields().filter_map(|field| old.get_field(field.number()));
            let (existing, moved): (Vec<_>, Vec<_>) = before.partition(|field| of_oneof(field).is_some());
            let kind = match moved.len() {
                0 => continue,
                1 if existing.is_empty() => continue,
                1 => "FIELD_MOVED_TO_EXISTING_ONEOF",
                _ => "MULTIPLE_FIELDS_MOVED_TO_ONEOF",
            };
            self.change(kind, format!("{path}/{}", oneof.name()));
        }
        let remaining: HashSet<String> = new.oneofs().map(|oneof| oneof.name().to_owned()).collect();
        for field in old.fields() {
            let within = of_oneof(&field);
            let Some(after) = new.get_field(field.number()) else {
                self.removed(&field, within.as_ref(), &remaining, path);
                continue;
            };
            let same = within.filter(|within| of_oneof(&after).is_some_and(|after| after.name() == within.name()));
            let path = match same {
                Some(oneof) => format!("{path}/{}/{}", oneof.name(), field.number()),
                None => format!("{path}/{}", field.number()),
            };
            self.fields((&field, label(&field)), (&after, label(&after)), &path);
        }
        for field in new.fields().filter(|field| label(field) == Some(Label::Required)) {
            if old.get_field(field.number()).is_none_or(|before| of_oneof(&before).is_some()) {
                self.change("REQUIRED_FIELD_ADDED", format!("{path}/{}", field.number()));
            }
        }
        self.types(old.child_messages(), new.child_messages(), path);
    }

    fn removed(
        &mut self,
        field: &FieldDescriptor,
        within: Option<&OneofDescriptor>,
        remaining: &HashSet<String>,
        path: &str,
    ) {
        let number = field.number();
        match within {
            // Where the oneof itself is gone, all of it may go.
            Some(oneof) if remaining.contains(oneof.name()) => {
                self.change("ONEOF_FIELD_REMOVED", format!("{path}/{}/{number}", oneof.name()));
            }
            None if label(field) == Some(Label::Required) => {
                self.change("REQUIRED_FIELD_REMOVED", format!("{path}/{number}"));
            }
            _ => {}
        }
    }

    fn fields(
        &mut self,
        (old, old_label): (&FieldDescriptor, Option<Label>),
        (new, new_label): (&FieldDescriptor, Option<Label>),
        path: &str,
    ) {
        match (shape(old), shape(new)) {
            (Shape::Scalar(was), Shape::Scalar(is)) if was != is => {
                self.change("FIELD_SCALAR_KIND_CHANGED", path.to_owned());
            }
            (Shape::Scalar(kind), Shape::Scalar(_)) => {
                let changed = old_label.zip(new_label).is_some_and(|(was, is)| was != is);
                if changed && kind != Wire::TextOrBytes {
                    self.change("FIELD_NUMERIC_LABEL_CHANGED", path.to_owned());
                }
            }
            (Shape::Map(was), Shape::Map(is)) => {
                for (was, is) in was.fields().zip(is.fields()) {
                    self.fields((&was, None), (&is, None), path);
                }
            }
            (Shape::Message(was), Shape::Message(is)) => self.named(&was, &is, path),
            _ => self.change("FIELD_KIND_CHANGED", path.to_owned()),
        }
    }

    /// Two messages that a field leads to.
    fn named(&mut self, old: &MessageDescriptor, new: &MessageDescriptor, path: &str) {
        if local_name(old) != local_name(new) {
            self.change("FIELD_NAMED_TYPE_CHANGED", path.to_owned());
            return;
        }
        let [old_file, new_file] = self.files;
        // Those of the files themselves are compared anyway.
        if old.parent_file() != *old_file || new.parent_file() != *new_file {
            let (pair, _) = self.pairs.insert_full((old.full_name().to_owned(), new.full_name().to_owned()));
            self.uses.push(Use { within: self.at, pair, path: path.to_owned() });
        }
    }

    /// All changes, and the fields that lead to pairs that have changed.
    fn told(self) -> Vec<Difference> {
        let mut leading: Vec<Vec<usize>> = vec![Vec::new(); self.pairs.len()];
        for (place, used) in self.uses.iter().enumerate() {
            if let Some(uses) = leading.get_mut(used.pair) {
                uses.push(place);
            }
        }
        let mut differences: Vec<Difference> =
            self.changes.iter().map(|change| difference(change.kind, &change.path)).collect();
        let mut changed: IndexSet<usize> = self.changes.iter().filter_map(|change| change.within).collect();
        let mut next = 0;
        while let Some(pair) = changed.get_index(next).copied() {
            next += 1;
            for used in leading.get(pair).into_iter().flatten().filter_map(|place| self.uses.get(*place)) {
                differences.push(difference("FIELD_NAMED_TYPE_CHANGED", &used.path));
                changed.extend(used.within);
            }
        }
        differences.truncate(TOLD_MAX);
        differences
    }
}

/// What a field holds.
enum Shape {
    Scalar(Wire),
    Map(MessageDescriptor),
    Message(MessageDescriptor),
}

/// Types whose bytes may be taken for each other's.
#[derive(Clone, Copy, PartialEq)]
enum Wire {
    Number,
    Signed,
    TextOrBytes,
    Fixed32,
    Fixed64,
    Float,
    Double,
}

fn shape(field: &FieldDescriptor) -> Shape {
    Shape::Scalar(match field.kind() {
        Kind::Message(message) if field.is_map() => return Shape::Map(message),
        Kind::Message(message) => return Shape::Message(message),
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Bool | Kind::Enum(_) => Wire::Number,
        Kind::Sint32 | Kind::Sint64 => Wire::Signed,
        Kind::String | Kind::Bytes => Wire::TextOrBytes,
        Kind::Fixed32 | Kind::Sfixed32 => Wire::Fixed32,
        Kind::Fixed64 | Kind::Sfixed64 => Wire::Fixed64,
        Kind::Float => Wire::Float,
        Kind::Double => Wire::Double,
    })
}

/// The oneof that a field is declared in.
fn of_oneof(field: &FieldDescriptor) -> Option<OneofDescriptor> {
    field.containing_oneof().filter(|oneof| !oneof.is_synthetic())
}

/// The label that stands in the text; where none stands, changes of it are passed over.
fn label(field: &FieldDescriptor) -> Option<Label> {
    let proto = field.field_descriptor_proto();
    match proto.label() {
        _ if of_oneof(field).is_some() => None,
        Label::Optional if proto.proto3_optional() => Some(Label::Optional),
        Label::Optional if field.parent_file().syntax() == Syntax::Proto3 => None,
        label => Some(label),
    }
}

/// The name without the package.
fn local_name(message: &MessageDescriptor) -> &str {
    let name = message.full_name();
    let local = name.strip_prefix(message.package_name()).and_then(|local| local.strip_prefix('.'));
    local.unwrap_or(name)
}

/// What the registry's clients are told of a change.
fn difference(kind: &'static str, path: &str) -> Difference {
    let description = match kind {
        "MESSAGE_REMOVED" => {
            format!("The {{reader}} schema lacks the message at path '{path}' of the {{writer}} schema")
        }
        "FIELD_KIND_CHANGED" => format!(
            "The field at path '{path}' is a scalar, a message or a map in the {{reader}} schema and another of them in the {{writer}} schema"
        ),
        "FIELD_SCALAR_KIND_CHANGED" => format!(
            "The type of the field at path '{path}' in the {{reader}} schema has other bytes than that in the {{writer}} schema"
        ),
        "FIELD_NUMERIC_LABEL_CHANGED" => format!(
            "The label of the number at path '{path}' in the {{reader}} schema is not that in the {{writer}} schema"
        ),
        "REQUIRED_FIELD_ADDED" => format!(
            "The {{reader}} schema requires the field at path '{path}', which the {{writer}} schema does not have"
        ),
        "REQUIRED_FIELD_REMOVED" => {
            format!("The {{reader}} schema lacks the field at path '{path}', which the {{writer}} schema requires")
        }
        "ONEOF_FIELD_REMOVED" => {
            format!("The {{reader}} schema lacks the field of a oneof at path '{path}' of the {{writer}} schema")
        }
        "MULTIPLE_FIELDS_MOVED_TO_ONEOF" => format!(
            "Several fields of the oneof at path '{path}' in the {{reader}} schema stand by themselves in the {{writer}} schema"
        ),
        "FIELD_MOVED_TO_EXISTING_ONEOF" => format!(
            "A field of the oneof at path '{path}' in the {{reader}} schema stands outside of it in the {{writer}} schema"
        ),
        _ => format!(
            "The message that the field at path '{path}' holds in the {{reader}} schema is not that in the {{writer}} schema"
        ),
    };
    Difference { kind, description, detail: None }
}
