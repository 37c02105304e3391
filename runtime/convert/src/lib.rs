//! Converters and transforms: everything between what a connector speaks and the bytes that a topic stores. Pure, no tokio.
//!
//! A source task takes a [`SourcePath`]: connector forms, transforms, converters, bytes. A sink task takes a [`SinkPath`]:
//! bytes, converters, transforms, forms that the sink accepts. Transforms that are components are named by
//! [`plugin_transforms`]; the worker instantiates them and hands them in by alias. Failures are per record, never per batch.
//!
//! Without a setting keys and values are JSON without schemas (`key.converter`, `value.converter`: `json`,
//! `schemas.enable=false`), headers go through `simple`; Connect would take the worker's defaults.
//!
//! Invariant 6: values pass unchanged. What is already in the wanted form is copied byte for byte.

mod converter;
pub mod definition;
mod draft;
mod error;
mod fault;
mod java;
mod json;
mod keys;
mod lines;
mod number;
mod outcome;
mod page;
mod path;
mod registered;
mod shape;
mod text;
mod transform;

pub use error::Error;
pub use java::in_java;
pub use keys::{TransformType, converters, header_converters, keys, predicates, transforms};
pub use lines::{LineError, read_lines, write_line};
pub use outcome::{Converted, Failure, Stage};
pub use page::transforms_page;
pub use path::{
    Content, Outcome, Passage, Rehearsal, Seen, SinkPath, SourcePath, Station, Stop, Watched, check_predicates,
    plugin_transforms,
};
pub use registered::{
    REGISTRY_UNREACHABLE, RegisteredSchema, RegistryAddress, RegistryFault, SchemaRegistries, SchemaRegistry,
    Unconnected,
};
pub use transform::PluginTransform;
