//! Lines for the worker's log. The host adds connector and task and strips secrets; contents of records do not belong here.

use crate::bindings::imports::towpath::connect::logging::{self as wit, Level};

/// Follows single steps; off in production.
pub fn trace(message: impl AsRef<str>) {
    wit::log(Level::Trace, message.as_ref());
}

/// For whoever looks into a fault.
pub fn debug(message: impl AsRef<str>) {
    wit::log(Level::Debug, message.as_ref());
}

/// Something worth knowing happened, such as a snapshot's end.
pub fn info(message: impl AsRef<str>) {
    wit::log(Level::Info, message.as_ref());
}

/// Something is wrong that mends itself or does not stop the task.
pub fn warn(message: impl AsRef<str>) {
    wit::log(Level::Warn, message.as_ref());
}

/// Something is wrong that does not mend itself.
pub fn error(message: impl AsRef<str>) {
    wit::log(Level::Error, message.as_ref());
}
