//! The transforms that are built in: names, keys, and how each is made.

use towpath_model::ConfigKey;

use super::by_logical_table_router::ByLogicalTableRouter;
use super::cast::Cast;
use super::drop_headers::DropHeaders;
use super::event_router::EventRouter;
use super::expression::Scripted;
use super::extract_field::ExtractField;
use super::extract_new_record_state::ExtractNewRecordState;
use super::filter::Filter;
use super::flatten::Flatten;
use super::header_from::HeaderFrom;
use super::hoist_field::HoistField;
use super::insert_field::InsertField;
use super::insert_header::InsertHeader;
use super::mask_field::MaskField;
use super::part::{OfPart, Part};
use super::regex_router::RegexRouter;
use super::replace_field::ReplaceField;
use super::set_schema_metadata::SetSchemaMetadata;
use super::timestamp_converter::TimestampConverter;
use super::timestamp_router::TimestampRouter;
use super::value_to_key::ValueToKey;
use super::{
    Rewrite, Settings, by_logical_table_router, cast, drop_headers, event_router, expression, extract_field,
    extract_new_record_state, flatten, header_from, hoist_field, insert_field, insert_header, mask_field, regex_router,
    replace_field, set_schema_metadata, timestamp_converter, timestamp_router, value_to_key,
};
use crate::TransformType;
use crate::error::Error;

type Make = fn(&Settings<'_>) -> Result<Box<dyn Rewrite>, Error>;

/// A transform that is built in.
pub(super) struct BuiltIn {
    names: &'static [&'static str],
    doc: &'static str,
    keys: fn() -> Vec<ConfigKey>,
    pub(super) make: Make,
}

/// One that Connect has for keys and for values; under its short name it is for values.
macro_rules! of_parts {
    ($name:literal, $doc:literal, $keys:expr, $make:expr) => {{
        const MAKE: fn(&Settings<'_>, Part) -> Result<Box<dyn Rewrite>, Error> = $make;
        [
            BuiltIn {
                names: &[
                    concat!($name, "$Value"),
                    $name,
                    concat!("org.apache.kafka.connect.transforms.", $name, "$Value"),
                ],
                doc: $doc,
                keys: $keys,
                make: |settings| MAKE(settings, Part::Value),
            },
            BuiltIn {
                names: &[concat!($name, "$Key"), concat!("org.apache.kafka.connect.transforms.", $name, "$Key")],
                doc: $doc,
                keys: $keys,
                make: |settings| MAKE(settings, Part::Key),
            },
        ]
    }};
}

/// One that Connect has for whole records.
macro_rules! of_records {
    ($name:literal, $doc:literal, $keys:expr, $make:expr) => {
        [BuiltIn {
            names: &[$name, concat!("org.apache.kafka.connect.transforms.", $name)],
            doc: $doc,
            keys: $keys,
            make: $make,
        }]
    };
}

const FAMILIES: &[&[BuiltIn]] = &[
    &of_parts!("Cast", "Gives fields, or the whole, another type.", cast::keys, |settings, part| Ok(Box::new(
        OfPart::new(part, Cast::new(settings)?)
    ))),
    &of_records!("DropHeaders", "Takes headers out.", drop_headers::keys, |settings| Ok(Box::new(DropHeaders::new(
        settings
    )?))),
    &of_parts!("ExtractField", "Puts a field in the place of what holds it.", extract_field::keys, |settings, part| {
        Ok(Box::new(OfPart::new(part, ExtractField::new(settings)?)))
    }),
    &of_records!("Filter", "Drops records; meant to stand under a predicate.", Vec::new, |_| Ok(Box::new(Filter))),
    &of_parts!("Flatten", "Makes one struct or object of nested ones.", flatten::keys, |settings, part| Ok(Box::new(
        OfPart::new(part, Flatten::new(settings)?)
    ))),
    &of_parts!("HeaderFrom", "Copies or moves fields into headers.", header_from::keys, |settings, part| Ok(Box::new(
        OfPart::new(part, HeaderFrom::new(settings)?)
    ))),
    &of_parts!("HoistField", "Wraps the whole into a field.", hoist_field::keys, |settings, part| Ok(Box::new(
        OfPart::new(part, HoistField::new(settings)?)
    ))),
    &of_parts!(
        "InsertField",
        "Adds topic, partition, offset, timestamp or a fixed text as fields.",
        insert_field::keys,
        |settings, part| Ok(Box::new(OfPart::new(part, InsertField::new(settings)?)))
    ),
    &of_records!("InsertHeader", "Adds a header.", insert_header::keys, |settings| Ok(Box::new(InsertHeader::new(
        settings
    )?))),
    &of_parts!("MaskField", "Hides the values of fields.", mask_field::keys, |settings, part| Ok(Box::new(
        OfPart::new(part, MaskField::new(settings)?)
    ))),
    &of_records!("RegexRouter", "Renames topics by a regular expression.", regex_router::keys, |settings| Ok(
        Box::new(RegexRouter::new(settings)?)
    )),
    &of_parts!("ReplaceField", "Leaves fields out and renames them.", replace_field::keys, |settings, part| Ok(
        Box::new(OfPart::new(part, ReplaceField::new(settings)?))
    )),
    &of_parts!(
        "SetSchemaMetadata",
        "Gives schemas another name or version.",
        set_schema_metadata::keys,
        |settings, part| Ok(Box::new(SetSchemaMetadata::new(settings, part)?))
    ),
    &of_parts!(
        "TimestampConverter",
        "Turns points in time into texts, numbers or Connect's types.",
        timestamp_converter::keys,
        |settings, part| Ok(Box::new(OfPart::new(part, TimestampConverter::new(settings)?)))
    ),
    &of_records!("TimestampRouter", "Renames topics by the records' time.", timestamp_router::keys, |settings| Ok(
        Box::new(TimestampRouter::new(settings)?)
    )),
    &of_records!("ValueToKey", "Makes the key of fields of the value.", value_to_key::keys, |settings| {
        Ok(Box::new(OfPart::between(Part::Value, Part::Key, ValueToKey::new(settings)?)))
    }),
    &[BuiltIn {
        names: &["ExtractNewRecordState", "io.debezium.transforms.ExtractNewRecordState"],
        doc: "Makes the row after the change of Debezium's envelope.",
        keys: extract_new_record_state::keys,
        make: |settings| Ok(Box::new(ExtractNewRecordState::new(settings)?)),
    }],
    &[
        BuiltIn {
            names: &["EventRouter", "io.debezium.transforms.outbox.EventRouter"],
            doc: "Makes events of the rows of an outbox table.",
            keys: event_router::keys,
            make: |settings| Ok(Box::new(EventRouter::new(settings)?)),
        },
        BuiltIn {
            names: &["ByLogicalTableRouter", "io.debezium.transforms.ByLogicalTableRouter"],
            doc: "Lets several tables share a topic.",
            keys: by_logical_table_router::keys,
            make: |settings| Ok(Box::new(ByLogicalTableRouter::new(settings)?)),
        },
        BuiltIn {
            names: &["io.debezium.transforms.Filter"],
            doc: "Keeps the records for which a condition holds.",
            keys: expression::filter_keys,
            make: |settings| Ok(Box::new(Scripted::filter(settings)?)),
        },
        BuiltIn {
            names: &["ContentBasedRouter", "io.debezium.transforms.ContentBasedRouter"],
            doc: "Renames topics by an expression.",
            keys: expression::router_keys,
            make: |settings| Ok(Box::new(Scripted::router(settings)?)),
        },
    ],
];

/// The built-in transforms.
pub(crate) fn types() -> Vec<TransformType> {
    let describe = |built_in: &BuiltIn| TransformType {
        names: built_in.names.iter().map(|name| (*name).to_owned()).collect(),
        doc: built_in.doc.to_owned(),
        keys: (built_in.keys)(),
    };
    FAMILIES.iter().copied().flatten().map(describe).collect()
}

/// The built-in transform of this name.
pub(super) fn built_in(class: &str) -> Option<&'static BuiltIn> {
    FAMILIES.iter().copied().flatten().find(|built_in| built_in.names.contains(&class))
}
