//! The names of a file in full, for its normal form.

use prost_reflect::DescriptorPool;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, UninterpretedOption,
};

use super::ProtobufSchema;

/// The file as it is written, with the names that its names lead to.
pub(super) fn named(schema: &ProtobufSchema) -> FileDescriptorProto {
    let mut file = schema.written.clone();
    let linked = schema.file.file_descriptor_proto();
    let naming = Naming { pool: schema.file.parent_pool(), package: linked.package() };
    naming.options(file.options.as_mut().map(|options| &mut options.uninterpreted_option));
    for (message, linked) in file.message_type.iter_mut().zip(&linked.message_type) {
        naming.message(message, linked);
    }
    file.enum_type.iter_mut().for_each(|declared| naming.enumeration(declared));
    naming.fields(&mut file.extension, &linked.extension);
    for (service, linked) in file.service.iter_mut().zip(&linked.service) {
        naming.options(service.options.as_mut().map(|options| &mut options.uninterpreted_option));
        for (method, linked) in service.method.iter_mut().zip(&linked.method) {
            naming.options(method.options.as_mut().map(|options| &mut options.uninterpreted_option));
            (method.input_type, method.output_type) = (linked.input_type.clone(), linked.output_type.clone());
        }
    }
    file
}

struct Naming<'a> {
    pool: &'a DescriptorPool,
    package: &'a str,
}

impl Naming<'_> {
    fn message(&self, message: &mut DescriptorProto, linked: &DescriptorProto) {
        self.fields(&mut message.field, &linked.field);
        self.fields(&mut message.extension, &linked.extension);
        self.options(message.options.as_mut().map(|options| &mut options.uninterpreted_option));
        if let Some(linked) = linked.options.as_ref().filter(|options| options.map_entry()) {
            message.options = Some(linked.clone());
        }
        for oneof in &mut message.oneof_decl {
            self.options(oneof.options.as_mut().map(|options| &mut options.uninterpreted_option));
        }
        message.enum_type.iter_mut().for_each(|declared| self.enumeration(declared));
        for (nested, linked) in message.nested_type.iter_mut().zip(&linked.nested_type) {
            self.message(nested, linked);
        }
    }

    fn fields(&self, fields: &mut [FieldDescriptorProto], linked: &[FieldDescriptorProto]) {
        for (field, linked) in fields.iter_mut().zip(linked) {
            field.type_name.clone_from(&linked.type_name);
            field.extendee.clone_from(&linked.extendee);
            self.options(field.options.as_mut().map(|options| &mut options.uninterpreted_option));
        }
    }

    fn enumeration(&self, declared: &mut EnumDescriptorProto) {
        self.options(declared.options.as_mut().map(|options| &mut options.uninterpreted_option));
        for value in &mut declared.value {
            self.options(value.options.as_mut().map(|options| &mut options.uninterpreted_option));
        }
    }

    /// Options that a file in reach declares get their names in full.
    fn options(&self, options: Option<&mut Vec<UninterpretedOption>>) {
        let declared = options.into_iter().flatten().filter_map(|option| option.name.first_mut());
        for name in declared.filter(|name| name.is_extension) {
            let mut scope = Some(self.package).filter(|_| !name.name_part.starts_with('.'));
            while let Some(outer) = scope.filter(|outer| !outer.is_empty()) {
                let full = format!("{outer}.{}", name.name_part);
                if self.pool.get_extension_by_name(&full).is_some() {
                    name.name_part = full;
                    break;
                }
                scope = outer.rsplit_once('.').map(|(outer, _)| outer);
            }
        }
    }
}
