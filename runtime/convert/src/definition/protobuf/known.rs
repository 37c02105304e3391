//! Files that schemas may import without anybody registering them: Google's types, and Confluent's.

use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorProto;

use super::{binary, print};

/// Names and texts of those that do not come with the library.
const KNOWN: [(&str, &str); 19] = [
    ("confluent/meta.proto", include_str!("known/confluent/meta.proto")),
    ("confluent/type/decimal.proto", include_str!("known/confluent/type/decimal.proto")),
    ("confluent/type/variant.proto", include_str!("known/confluent/type/variant.proto")),
    ("google/type/calendar_period.proto", include_str!("known/google/type/calendar_period.proto")),
    ("google/type/color.proto", include_str!("known/google/type/color.proto")),
    ("google/type/date.proto", include_str!("known/google/type/date.proto")),
    ("google/type/datetime.proto", include_str!("known/google/type/datetime.proto")),
    ("google/type/dayofweek.proto", include_str!("known/google/type/dayofweek.proto")),
    ("google/type/decimal.proto", include_str!("known/google/type/decimal.proto")),
    ("google/type/expr.proto", include_str!("known/google/type/expr.proto")),
    ("google/type/fraction.proto", include_str!("known/google/type/fraction.proto")),
    ("google/type/interval.proto", include_str!("known/google/type/interval.proto")),
    ("google/type/latlng.proto", include_str!("known/google/type/latlng.proto")),
    ("google/type/money.proto", include_str!("known/google/type/money.proto")),
    ("google/type/month.proto", include_str!("known/google/type/month.proto")),
    ("google/type/phone_number.proto", include_str!("known/google/type/phone_number.proto")),
    ("google/type/postal_address.proto", include_str!("known/google/type/postal_address.proto")),
    ("google/type/quaternion.proto", include_str!("known/google/type/quaternion.proto")),
    ("google/type/timeofday.proto", include_str!("known/google/type/timeofday.proto")),
];

/// A file that is known by its name.
pub(super) fn file(name: &str) -> Option<FileDescriptorProto> {
    if let Some((_, text)) = KNOWN.iter().find(|(known, _)| *known == name) {
        return Some(protox_parse::parse(name, text).expect("the files that are known can be read"));
    }
    let file = DescriptorPool::global().get_file_by_name(name)?;
    Some(file.file_descriptor_proto().clone())
}

/// The text of one that comes with the library.
pub(super) fn text(name: &str) -> Option<String> {
    let file = DescriptorPool::global().get_file_by_name(name)?;
    let mut written = binary::written(&file.encode_to_vec())?;
    for message in &mut written.message_type {
        message.field.iter_mut().for_each(|field| field.json_name = None);
    }
    Some(print::canonical(&written))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_that_are_known_fit_together() {
        let mut pool = DescriptorPool::global();
        let known = pool.files().len();
        pool.add_file_descriptor_protos(KNOWN.iter().filter_map(|(name, _)| file(name))).expect("they fit");
        assert_eq!(pool.files().len(), known + KNOWN.len());
    }
}
