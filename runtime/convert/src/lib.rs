//! Converters and transforms: everything between what a connector speaks and the bytes that a topic stores. Pure, no tokio.
//!
//! A source task takes a [`SourcePath`]: connector forms, transforms, converters, bytes. A sink task takes a [`SinkPath`]:
//! bytes, converters, transforms, forms that the sink accepts. Transforms that are components are named by
//! [`plugin_transforms`]; the worker instantiates them and hands them in by alias. Failures are per record, never per batch.
//!
//! Invariant 6: values pass unchanged. What is already in the wanted form is copied byte for byte.

mod error;
mod keys;
mod outcome;
mod path;

pub use error::Error;
pub use keys::{TransformType, converters, header_converters, keys, transforms};
pub use outcome::{Converted, Failure, Stage};
pub use path::{PluginTransform, SinkPath, SourcePath, plugin_transforms};
