//! Connect's JSON: what JsonConverter writes and reads, byte for byte, without building a tree.
//!
//! [`Transcoder`] turns a datum into JSON in one pass; [`Encoder`] turns JSON into a datum. Both are compiled once for
//! each schema. Numbers and texts are written as Java and Jackson write them.

mod decimal;
mod decode;
mod encode;
mod fields;
mod number;
mod object;
mod scan;
#[cfg(test)]
mod tests;
mod text;
mod transcode;

pub(crate) use decimal::{
    from_text as decimal_unscaled, low_bits as decimal_low_bits, places as decimal_places, to_text as decimal_text,
    truncated as decimal_truncated,
};
pub(crate) use decode::{Envelope, line_broken, unbroken, valid};
pub(crate) use encode::{Encoder, Entries, entries, string, write_datum};
pub(crate) use number::{write_double, write_float};
pub(crate) use object::ObjectWriter;
pub(crate) use text::{write_base64, write_string};
pub(crate) use transcode::{Transcoder, decimal_scale, write_value};

/// The name of Connect's decimal, whose value is the unscaled number and whose parameter is the scale.
pub(crate) const DECIMAL: &str = "org.apache.kafka.connect.data.Decimal";

/// The name of a struct that stands for a union: one of its fields is set.
pub(crate) const UNION: &str = "io.confluent.connect.json.OneOf";

/// How JsonConverter is configured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// `schemas.enable`: payloads stand in an envelope with their schema.
    pub(crate) schemas: bool,
    /// `decimal.format=NUMERIC`: decimals are JSON numbers and not Base64.
    pub(crate) numeric_decimals: bool,
    /// `replace.null.with.default`: a null whose schema has a default is written as the default.
    pub(crate) nulls_take_defaults: bool,
    /// As JsonSchemaConverter has it: entries of a map whose keys are no texts are objects with `key` and `value`, and a union is the value
    /// of the field that is set.
    pub(crate) by_json_schema: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { schemas: false, numeric_decimals: false, nulls_take_defaults: true, by_json_schema: false }
    }
}
