//! The configuration keys of converters and transforms, for the checker and for forms.

use towpath_model::{ConfigKey, Importance, ValueType, Width};

use crate::converter::{CONVERTERS, Class, HEADER_CONVERTERS};

/// A built-in transform or predicate.
#[derive(Clone, Debug)]
pub struct TransformType {
    /// Names under which `transforms.<alias>.type` or `predicates.<alias>.type` finds it: the short one first, then Java classes.
    pub names: Vec<String>,
    /// What it does, in a sentence.
    pub doc: String,
    /// Its keys, without the prefix.
    pub keys: Vec<ConfigKey>,
}

/// Names that `key.converter` and `value.converter` take: short ones and Java classes.
pub fn converters() -> Vec<String> {
    names(&CONVERTERS)
}

/// Names that `header.converter` takes.
pub fn header_converters() -> Vec<String> {
    names(&HEADER_CONVERTERS)
}

/// The built-in transforms.
pub fn transforms() -> Vec<TransformType> {
    crate::transform::types()
}

/// The built-in predicates.
pub fn predicates() -> Vec<TransformType> {
    crate::transform::predicates()
}

/// The keys that converters read, such as `value.converter.schemas.enable`.
pub fn keys() -> Vec<ConfigKey> {
    let settings = |converter: &str| {
        let name = |setting: &str| format!("{converter}.{setting}");
        let mut format = default_key(
            &name("decimal.format"),
            ValueType::String,
            "BASE64",
            Importance::Low,
            "How JSON shows decimals: BASE64, exact and in Connect's own form, or NUMERIC, as numbers.",
        );
        format.valid_values = ["BASE64", "NUMERIC", "base64", "numeric"].map(str::to_owned).to_vec();
        [
            optional_key(
                &name("schemas.enable"),
                ValueType::Boolean,
                Importance::Medium,
                "Whether JSON stands in an envelope with its schema. When not set: true under the Java class name, as in \
                 Connect; false under the short name `json` and where no converter is named.",
            ),
            default_key(
                &name("schemas.cache.size"),
                ValueType::Int,
                "1000",
                Importance::Low,
                "Accepted for Connect's sake; schemas are kept compiled in any case.",
            ),
            format,
            default_key(
                &name("replace.null.with.default"),
                ValueType::Boolean,
                "true",
                Importance::Low,
                "Whether a null whose schema has a default is written as that default.",
            ),
        ]
    };
    let json = ["key.converter", "value.converter", "header.converter"].into_iter().flat_map(settings);
    json.chain(crate::registered::keys()).collect()
}

/// A required key.
pub(crate) fn key(name: &str, value_type: ValueType, importance: Importance, doc: &str) -> ConfigKey {
    ConfigKey {
        name: name.to_owned(),
        value_type,
        default: None,
        optional: false,
        importance,
        doc: doc.to_owned(),
        group: None,
        order: -1,
        width: Width::None,
        display_name: name.to_owned(),
        dependents: Vec::new(),
        valid_values: Vec::new(),
        aliases: Vec::new(),
        secret: false,
        endpoint: None,
    }
}

/// A key that may be left out.
pub(crate) fn optional_key(name: &str, value_type: ValueType, importance: Importance, doc: &str) -> ConfigKey {
    ConfigKey { optional: true, ..key(name, value_type, importance, doc) }
}

/// A key with a default.
pub(crate) fn default_key(
    name: &str,
    value_type: ValueType,
    default: &str,
    importance: Importance,
    doc: &str,
) -> ConfigKey {
    ConfigKey { default: Some(default.to_owned()), ..key(name, value_type, importance, doc) }
}

fn names(classes: &[Class]) -> Vec<String> {
    classes.iter().flat_map(|class| class.names()).map(str::to_owned).collect()
}
