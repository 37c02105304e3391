//! Protobuf: schemas as `.proto` files, what their imports lead to, and Confluent's rules of compatibility.
//!
//! A file is kept twice: as it is written, which is what the canonical text is printed of, and with the types that its names lead to, which is
//! what schemas are compared by and data are read by. Reading and linking are the libraries' (protox-parse, prost-reflect); both bound how
//! deep messages may be nested.
//!
//! ```text
//! text + referenced texts ─▶ load ─▶ written ─▶ print ─▶ canonical text          linked ─▶ compatibility
//! ```

mod binary;
mod compatibility;
mod known;
mod load;
mod normal;
mod option;
mod print;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use indexmap::IndexMap;
use prost::Message as _;
use prost_reflect::{FieldDescriptor, FileDescriptor, MessageDescriptor};
use prost_types::{DescriptorProto, FileDescriptorProto};

pub(crate) use self::compatibility::cannot_read;
use super::{Invalid, Referenced};

/// What `confluent.field_meta` notes of a field.
pub(crate) type Params = IndexMap<String, String>;

/// Whether a text is no file but a serialized one.
pub(crate) fn is_serialized(text: &str) -> bool {
    binary::read(text).is_some()
}

/// The text of a file of Google's that is known by its name.
pub(crate) fn known_text(name: &str) -> Option<String> {
    known::text(name)
}

/// A file in Protobuf's language.
#[derive(Clone, Debug)]
pub struct ProtobufSchema {
    written: FileDescriptorProto,
    file: FileDescriptor,
    name: Option<String>,
    /// By the full name of the message and the number of the field.
    params: HashMap<(String, u32), Params>,
}

impl ProtobufSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// What is wrong with it, and where.
    pub(crate) fn parse(text: &str, referenced: &[Referenced]) -> Result<Self, Invalid> {
        load::load(text, referenced)
    }

    /// The text as Confluent's registry prints it.
    pub(crate) fn canonical(&self) -> String {
        print::canonical(&self.written)
    }

    /// The text with names in full, and in order where order says nothing.
    pub(crate) fn normalized(&self) -> String {
        print::normalized(&normal::named(self))
    }

    /// The file as a `FileDescriptorProto` in base64, which is how some clients ask for it. Of its options it has those alone that change
    /// how data are read.
    pub(crate) fn serialized(&self) -> String {
        let mut file = self.file.file_descriptor_proto().clone();
        (file.name, file.source_code_info) = (Some("default".to_owned()), None);
        for (message, written) in file.message_type.iter_mut().zip(&self.written.message_type) {
            name_as_written(message, written);
        }
        STANDARD.encode(file.encode_to_vec())
    }

    /// The message that a list of places leads to, from the file inwards. Entries of maps count where they are written as messages.
    pub(crate) fn message_at(&self, places: &[i32]) -> Option<MessageDescriptor> {
        let mut messages = self.written.message_type.as_slice();
        let mut name = self.file.package_name().to_owned();
        for place in places {
            let declared = messages.iter().filter(|message| !is_implied(message));
            let message = declared.into_iter().nth(usize::try_from(*place).ok()?)?;
            let dot = if name.is_empty() { "" } else { "." };
            name = format!("{name}{dot}{}", message.name());
            messages = &message.nested_type;
        }
        self.message(&name)
    }

    /// A message of the file, by its full name.
    pub(crate) fn message(&self, name: &str) -> Option<MessageDescriptor> {
        self.file.parent_pool().get_message_by_name(name).filter(|message| message.parent_file() == self.file)
    }

    /// The list of places that leads to a message of the file.
    pub(crate) fn places_of(&self, message: &MessageDescriptor) -> Option<Vec<i32>> {
        let local = message.full_name().strip_prefix(self.file.package_name())?.trim_start_matches('.');
        let mut messages = self.written.message_type.as_slice();
        let mut places = Vec::new();
        for part in local.split('.') {
            let mut declared = (0i32..).zip(messages.iter().filter(|message| !is_implied(message)));
            let (place, message) = declared.find(|(_, message)| message.name() == part)?;
            places.push(place);
            messages = &message.nested_type;
        }
        Some(places)
    }

    /// What is noted of a field.
    pub(crate) fn params(&self, field: &FieldDescriptor) -> Option<&Params> {
        self.params.get(&(field.parent_message().full_name().to_owned(), field.number()))
    }

    /// The full name of the first message, or else of the first enum.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

/// Whether nobody has written this message: it stands for the entries of a map.
fn is_implied(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

/// Linking gives every field a name in JSON.
fn name_as_written(message: &mut DescriptorProto, written: &DescriptorProto) {
    for (field, written) in message.field.iter_mut().zip(&written.field) {
        field.json_name.clone_from(&written.json_name);
    }
    for (nested, written) in message.nested_type.iter_mut().zip(&written.nested_type) {
        name_as_written(nested, written);
    }
}
