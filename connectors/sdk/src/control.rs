//! What a connector may ask of the runtime itself.

use crate::bindings::imports::towpath::connect::control as wit;

/// Says that the plan of this connector should change, for instance because a table appeared: it is asked for again.
pub fn request_reconfiguration(reason: &str) {
    wit::request_reconfiguration(reason);
}
