//! InsertHeader: adds a header with a fixed value. Where records have no headers of their own it stands once in the batch.

use std::sync::Arc;

use towpath_model::{Batch, CommonHeader, ConfigKey, Form, Importance, ValueType};

use super::part::Added;
use super::values::{self, Literal};
use super::{Rewrite, Settings};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::keys::key;

pub(crate) fn keys() -> Vec<ConfigKey> {
    let doc = "Its value. What looks like a number, a boolean, a date, a list or a map becomes one, as in Connect.";
    vec![
        key("header", ValueType::String, Importance::High, "Name of the header."),
        key("value.literal", ValueType::String, Importance::High, doc),
    ]
}

/// Adds a header.
pub(crate) struct InsertHeader {
    header: Added,
}

impl InsertHeader {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        let name: Arc<str> = settings.required("header")?.into();
        let header = match values::parse(settings.required("value.literal")?) {
            Some(Literal { schema, datum }) => Added { name, schema: Some(schema), value: Some(datum) },
            None => Added { name, schema: None, value: None },
        };
        Ok(Self { header })
    }
}

impl Rewrite for InsertHeader {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        if batch.columns().header_counts.is_empty() {
            let mut columns = batch.columns().clone();
            let form = match &self.header.schema {
                Some(schema) => {
                    columns.schemas.push(schema.clone());
                    Form::connect(columns.schemas.len() as u32 - 1)
                }
                None => Form::JSON,
            };
            let value = self.header.value.clone().map(Into::into);
            columns.common_headers.push(CommonHeader { name: self.header.name.clone(), form, value });
            return Rewritten::unchanged(Batch::new(columns).expect("the header's schema is in the dictionary"));
        }
        let mut draft = Draft::of(batch);
        for record in batch.records() {
            let run = draft.run(&record);
            draft.begin(run, record.key.bytes, record.value.bytes);
            draft.headers(&record);
            draft.add_header(&self.header);
            draft.end(&record);
        }
        draft.finish()
    }
}
