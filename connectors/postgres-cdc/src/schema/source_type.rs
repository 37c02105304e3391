//! What a column is in the source, as parameters of its schema: `column.propagate.source.type`.

use towpath_model::Schema;

use super::facts::ColumnFacts;
use super::types::{TypeRegistry, numeric_scale};

/// The length of types that have none.
const UNLIMITED: i32 = i32::MAX;

/// Adds type, length, scale and name.
pub(super) fn add(schema: &mut Schema, column: &ColumnFacts, types: &TypeRegistry) {
    let type_name = types.name(column.type_oid).unwrap_or_default();
    let (length, scale) = size(types.base_name(column.type_oid).unwrap_or_default(), column.modifier);
    let mut set = |part: &str, value: String| {
        schema.parameters.insert(format!("__debezium.source.column.{part}"), value);
    };
    set("type", type_name.to_uppercase());
    set("length", length.to_string());
    set("scale", scale.to_string());
    set("name", column.name.clone());
}

/// Length and scale as JDBC's driver for PostgreSQL tells them.
fn size(type_name: &str, modifier: i32) -> (i32, i32) {
    let seconds = if modifier < 0 { 6 } else { modifier & 0xffff };
    // How many characters a fraction of so many digits takes; one digit is padded to two.
    let fraction = match seconds {
        0 => 0,
        1 => 3,
        digits => digits + 1,
    };
    let limited = |length: i32| if modifier < 0 { UNLIMITED } else { length };
    match type_name {
        "int2" => (5, 0),
        "int4" | "oid" => (10, 0),
        "int8" => (19, 0),
        "float4" => (8, 8),
        "float8" => (17, 17),
        "bool" | "char" => (1, 0),
        "numeric" if modifier < 4 => (0, 0),
        "numeric" => ((modifier - 4) >> 16 & 0xffff, numeric_scale(modifier)),
        "bpchar" | "varchar" => (limited(modifier - 4), 0),
        "bit" | "varbit" => (limited(modifier), 0),
        "date" => (13, 0),
        "time" => (8 + fraction, seconds),
        "timetz" => (14 + fraction, seconds),
        "timestamp" => (22 + fraction, seconds),
        "timestamptz" => (28 + fraction, seconds),
        "interval" => (49, seconds),
        _ => (UNLIMITED, 0),
    }
}
