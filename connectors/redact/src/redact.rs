//! The transform itself: a batch in, the same batch with other values out. Schemas are compiled once and remembered.

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Batch, Config, ConnectorError, Encoding, Payload, RecordError, Schema, Transformed};

use crate::datum::{self, Plan};
use crate::{Error, json, spec};

/// More schemas than a stream has; beyond, the memory of them begins anew.
const SCHEMAS_MAX: usize = 1000;

/// A configured transform.
#[derive(Debug)]
pub struct Redact {
    fields: Vec<String>,
    replacement: String,
    /// The replacement as a JSON string.
    replacement_json: String,
    compiled: HashMap<Arc<str>, (Schema, Plan)>,
}

impl Redact {
    /// Reads a configuration.
    ///
    /// # Errors
    /// When it names no fields.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let fields: Vec<String> = config.list("fields").map(str::to_owned).collect();
        if fields.is_empty() {
            return Err(Error::Setting { key: "fields", reason: "no field is named".to_owned() });
        }
        let default = || spec().keys.into_iter().find(|key| key.name == "replacement").and_then(|key| key.default);
        let replacement = config.get("replacement").map(str::to_owned).or_else(default).unwrap_or_default();
        let replacement_json = serde_json::Value::from(replacement.as_str()).to_string();
        Ok(Self { fields, replacement, replacement_json, compiled: HashMap::new() })
    }

    /// Replaces the chosen fields of all values. Keys and headers stay as they are.
    ///
    /// # Errors
    /// Records whose value cannot be read; they must not pass.
    pub fn apply(&mut self, records: Batch) -> Result<Transformed, ConnectorError> {
        let origins = (0..u32::try_from(records.len()).unwrap_or(u32::MAX)).collect();
        let mut arena = Vec::with_capacity(records.payload_bytes() + records.payload_bytes() / 8);
        let mut lengths = Vec::with_capacity(records.len());
        let mut refused = Vec::new();
        for record in records.records() {
            arena.extend_from_slice(record.key.bytes.unwrap_or_default());
            let start = arena.len();
            let written = self.value(&records, record.value, &mut arena);
            lengths.push(match record.value.bytes {
                Some(_) => {
                    i32::try_from(arena.len() - start).map_err(|_| ConnectorError::fatal("a value exceeds 2 GiB"))?
                }
                None => -1,
            });
            if let Err(error) = written {
                refused.push(RecordError {
                    index: u32::try_from(record.index).unwrap_or(u32::MAX),
                    code: error.code().to_owned(),
                    reason: error.to_string(),
                    retriable: false,
                });
            }
            for (_, header) in record.own_headers() {
                arena.extend_from_slice(header.bytes.unwrap_or_default());
            }
        }
        if !refused.is_empty() {
            return Err(ConnectorError::Records(refused));
        }
        let mut columns = records.into_columns();
        columns.arena = arena.into();
        columns.value_lengths = lengths;
        let records = Batch::new(columns).map_err(|error| ConnectorError::fatal(error.to_string()))?;
        Ok(Transformed { records, origins })
    }

    fn value(&mut self, records: &Batch, value: Payload<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        let Some(bytes) = value.bytes else { return Ok(()) };
        match (value.form.encoding, value.form.schema) {
            (Encoding::Json, _) => json::redact(bytes, &self.fields, &self.replacement_json, out),
            (Encoding::Connect, Some(index)) => {
                let text = records.schema(index);
                if !self.compiled.contains_key(text) {
                    self.compile(text)?;
                }
                match self.compiled.get(text) {
                    Some((schema, plan)) => datum::redact(schema, plan, bytes, &self.replacement, out),
                    None => Err(Error::Opaque),
                }
            }
            (Encoding::Bytes | Encoding::Connect, _) => Err(Error::Opaque),
        }
    }

    fn compile(&mut self, text: &Arc<str>) -> Result<(), Error> {
        if self.compiled.len() >= SCHEMAS_MAX {
            self.compiled.clear();
        }
        let schema = Schema::parse(text)?;
        let plan = Plan::new(&schema, &self.fields);
        self.compiled.insert(text.clone(), (schema, plan));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
