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

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use prost::Message as _;
use prost_reflect::FileDescriptor;
use prost_types::{DescriptorProto, FileDescriptorProto};

pub(crate) use self::compatibility::cannot_read;
use super::{Invalid, Referenced};

/// A file in Protobuf's language.
#[derive(Clone, Debug)]
pub struct ProtobufSchema {
    written: FileDescriptorProto,
    file: FileDescriptor,
    name: Option<String>,
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

    /// The full name of the first message, or else of the first enum.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
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
