//! The configuration keys of converters and transforms, for the checker and for forms.

use towpath_model::ConfigKey;

/// A built-in transform.
#[derive(Clone, Debug)]
pub struct TransformType {
    /// Names under which `transforms.<alias>.type` finds it: the short one first, then Java classes.
    pub names: Vec<String>,
    /// Its keys, without the `transforms.<alias>.` in front.
    pub keys: Vec<ConfigKey>,
}

/// Names that `key.converter` and `value.converter` take: short ones and Java classes.
pub fn converters() -> Vec<String> {
    unimplemented!()
}

/// Names that `header.converter` takes.
pub fn header_converters() -> Vec<String> {
    unimplemented!()
}

/// The built-in transforms.
pub fn transforms() -> Vec<TransformType> {
    unimplemented!()
}

/// The keys that converters read, such as `value.converter.schemas.enable`.
pub fn keys() -> Vec<ConfigKey> {
    unimplemented!()
}
