//! The headers that tell which task and which run of it a record is of.
//!
//! They are the same for all records of tables, so that they stand once in a batch. Records of messages and transactions have
//! none, as in Debezium: a batch that holds such records gives each record of a table its own.

use bytes::Bytes;
use towpath_model::{BatchBuilder, CommonHeader, Form, datum};

use super::Writer;
use crate::schema::STRING_SCHEMA;

/// The headers, and where they stand in the batch under way.
#[derive(Debug)]
pub(super) struct Headers {
    list: Vec<(&'static str, Bytes)>,
    /// Whether they stand once for all records.
    shared: bool,
}

impl Headers {
    pub(super) fn new(list: &[(&'static str, &str)]) -> Self {
        let header = |(name, text): &(&'static str, &str)| {
            let mut value = Vec::new();
            datum::write_bytes(&mut value, text.as_bytes());
            (*name, Bytes::from(value))
        };
        Self { list: list.iter().map(header).collect(), shared: false }
    }

    /// Begins a batch.
    pub(super) fn begin(&mut self, builder: &mut BatchBuilder, shared: bool) {
        self.shared = shared && !self.list.is_empty();
        if self.shared {
            let form = Form::connect(builder.schema(STRING_SCHEMA));
            for (name, value) in &self.list {
                builder.common_header(CommonHeader { name: (*name).into(), form, value: Some(value.clone()) });
            }
        }
    }

    /// Gives them to the record under way, unless it shares them.
    #[inline]
    pub(super) fn write(&self, builder: &mut BatchBuilder) {
        if !self.shared {
            self.write_own(builder);
        }
    }

    fn write_own(&self, builder: &mut BatchBuilder) {
        if self.list.is_empty() {
            return;
        }
        let form = Form::connect(builder.schema(STRING_SCHEMA));
        self.list.iter().for_each(|(name, value)| builder.header(name, form, Some(value)));
    }
}

impl Writer {
    /// From here on each record of the batch has its own headers, those before as well.
    pub(super) fn separate_headers(&mut self) {
        if !std::mem::take(&mut self.headers.shared) {
            return;
        }
        let batch = std::mem::take(&mut self.builder).build();
        for record in batch.records() {
            let run = self.builder.import_run(&record);
            self.builder.run(run);
            self.builder.key(record.key.bytes);
            self.builder.value(record.value.bytes);
            for (name, payload) in record.own_headers() {
                let form = self.builder.import_form(&batch, payload.form);
                self.builder.header(name, form, payload.bytes);
            }
            self.headers.write_own(&mut self.builder);
            self.builder.end(record.timestamp, record.offset);
        }
        // What runs and blocks were entered under are places in the batch that was.
        self.forget_tables();
    }
}
