//! DropHeaders: takes headers out. Payloads are not touched, and nothing is copied where no record has such a header.

use std::collections::HashSet;

use towpath_model::{Batch, ConfigKey, Importance, ValueType};

use super::{Rewrite, Settings};
use crate::draft::{Draft, Rewritten};
use crate::error::Error;
use crate::keys::key;

pub(crate) fn keys() -> Vec<ConfigKey> {
    vec![key("headers", ValueType::List, Importance::High, "Names of the headers to take out.")]
}

/// Takes headers out.
pub(crate) struct DropHeaders {
    names: HashSet<String>,
}

impl DropHeaders {
    pub(crate) fn new(settings: &Settings<'_>) -> Result<Self, Error> {
        Ok(Self { names: settings.some("headers")?.into_iter().collect() })
    }
}

impl Rewrite for DropHeaders {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        let mut columns = batch.columns().clone();
        columns.common_headers.retain(|header| !self.names.contains(&*header.name));
        let without = Batch::new(columns).expect("a batch may have any common headers");
        if !without.columns().header_names.iter().any(|name| self.names.contains(&**name)) {
            return Rewritten::unchanged(without);
        }
        let mut draft = Draft::of(&without);
        for record in without.records() {
            let run = draft.run(&record);
            draft.begin(run, record.key.bytes, record.value.bytes);
            for (name, payload) in record.own_headers().filter(|(name, _)| !self.names.contains(&***name)) {
                let form = draft.form(payload.form);
                draft.builder().header(name, form, payload.bytes);
            }
            draft.end(&record);
        }
        draft.finish()
    }
}
