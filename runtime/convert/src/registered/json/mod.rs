//! Connect's schemas and JSON Schemas, as Confluent's JsonSchemaData takes one for the other. Data are JSON as JsonConverter has it, but for
//! maps whose keys are no strings and for unions: see `Options::by_json_schema`.

mod from_connect;
mod to_connect;

use serde_json::Value;
use towpath_model::Schema;

pub(super) use self::from_connect::from_connect;
pub(super) use self::to_connect::to_connect;
use crate::fault::Fault;
use crate::json::{Encoder, Options, Transcoder};

/// What parameters that concern JSON Schemas alone begin with.
const NAMESPACE: &str = "io.confluent.connect.json";
/// The parameter of an enum, and before a dot, its symbols.
const ENUM: &str = "io.confluent.connect.json.Enum";
/// Connect's types where JSON has fewer, and a field's place where JSON has none.
const TYPE: &str = "connect.type";
const INDEX: &str = "connect.index";
const VERSION: &str = "connect.version";
const PARAMETERS: &str = "connect.parameters";

/// A default of a schema, written as `to` has it.
fn respelt(schema: &Schema, default: &Value, to: Options) -> Result<Value, Fault> {
    let required = Schema { optional: false, default: None, ..schema.clone() };
    let mut transcoder = Transcoder::new(&required, to);
    let (mut datum, mut json) = (Vec::new(), Vec::new());
    Encoder::of(required).write(&serde_json::value::to_raw_value(default).map_err(no_default)?, &mut datum)?;
    transcoder.write(&datum, &mut json)?;
    serde_json::from_slice(&json).map_err(no_default)
}

fn no_default(error: serde_json::Error) -> Fault {
    Fault::schema(format!("a default cannot be read: {error}"))
}
