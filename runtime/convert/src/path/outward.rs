//! The last step of a source: every payload becomes bytes.

use towpath_model::{Batch, CommonHeader, Config, Form, Record, Run};

use super::trace::Trace;
use crate::converter::{CONVERTERS, Class, HEADER_CONVERTERS, Writer, json_options};
use crate::draft::Draft;
use crate::fault::Fault;
use crate::{Converted, Error, Stage};

/// Converters of keys, values and headers.
pub(crate) struct Outward {
    key: Writer,
    value: Writer,
    header: Writer,
    scratch: Scratch,
    /// How many bytes came out for a thousand that went in, the last time.
    growth: usize,
}

/// One record's payloads, kept between records so that nothing is allocated for each.
#[derive(Default)]
struct Scratch {
    key: Vec<u8>,
    has_key: bool,
    value: Vec<u8>,
    has_value: bool,
    headers: Vec<u8>,
    /// Where each header ends; none is a null.
    header_ends: Vec<Option<usize>>,
}

impl Outward {
    pub(crate) fn new(config: &Config) -> Result<Self, Error> {
        let writer = |key: &str, allowed: &[Class], default: Class| {
            let class = Class::of(config, key, allowed, default)?;
            Ok(Writer::new(class, json_options(config, key)?))
        };
        Ok(Self {
            key: writer("key.converter", &CONVERTERS, Class::Json)?,
            value: writer("value.converter", &CONVERTERS, Class::Json)?,
            header: writer("header.converter", &HEADER_CONVERTERS, Class::Simple)?,
            scratch: Scratch::default(),
            growth: 1000,
        })
    }

    pub(crate) fn apply(&mut self, batch: &Batch, mut trace: Trace) -> Converted {
        for writer in [&mut self.key, &mut self.value, &mut self.header] {
            writer.begin(batch);
        }
        let mut draft = Draft::plain(batch);
        draft.reserve(batch.payload_bytes().saturating_mul(self.growth) / 1000);
        let common = match self.common_headers(batch) {
            Ok(common) => common,
            Err(fault) => {
                let class = self.header.class.names()[1];
                (0..batch.len() as u32)
                    .for_each(|index| trace.fail(index, Stage::HeaderConverter, class, fault.clone()));
                trace.advance(&[]);
                return trace.finish(Batch::default());
            }
        };
        common.into_iter().for_each(|header| draft.builder().common_header(header));
        for record in batch.records() {
            if let Err((stage, fault)) = self.write(batch, &record) {
                let class = match stage {
                    Stage::KeyConverter => self.key.class,
                    Stage::HeaderConverter => self.header.class,
                    _ => self.value.class,
                };
                trace.fail(record.index as u32, stage, class.names()[1], fault);
                continue;
            }
            self.push(&mut draft, &record);
        }
        let written = draft.finish();
        // A little more than last time; bounded, because a batch of a few bytes tells little.
        let bytes = written.records.payload_bytes().saturating_mul(1050) / batch.payload_bytes().max(1);
        self.growth = bytes.clamp(500, 20_000);
        trace.advance(&written.origins);
        trace.finish(written.records)
    }

    fn common_headers(&mut self, batch: &Batch) -> Result<Vec<CommonHeader>, Fault> {
        let headers = batch.columns().common_headers.iter().map(|header| {
            let mut value = Vec::new();
            let payload = towpath_model::Payload { form: header.form, bytes: header.value.as_deref() };
            let present = self.header.write(batch, payload, &mut value)?;
            Ok(CommonHeader { name: header.name.clone(), form: Form::BYTES, value: present.then(|| value.into()) })
        });
        headers.collect()
    }

    /// Writes the record's payloads to the scratch.
    #[inline]
    fn write(&mut self, batch: &Batch, record: &Record<'_>) -> Result<(), (Stage, Fault)> {
        let scratch = &mut self.scratch;
        scratch.key.clear();
        scratch.value.clear();
        let key = self.key.write(batch, record.key, &mut scratch.key);
        scratch.has_key = key.map_err(|fault| (Stage::KeyConverter, fault))?;
        let value = self.value.write(batch, record.value, &mut scratch.value);
        scratch.has_value = value.map_err(|fault| (Stage::ValueConverter, fault))?;
        scratch.headers.clear();
        scratch.header_ends.clear();
        for (_, payload) in record.own_headers() {
            let written = self.header.write(batch, payload, &mut scratch.headers);
            let present = written.map_err(|fault| (Stage::HeaderConverter, fault))?;
            scratch.header_ends.push(present.then_some(scratch.headers.len()));
        }
        Ok(())
    }

    #[inline]
    fn push(&mut self, draft: &mut Draft, record: &Record<'_>) {
        let topic = draft.run(record).topic;
        let run = Run {
            records: 0,
            topic,
            origin: topic,
            partition: record.run.partition,
            key: Form::BYTES,
            value: Form::BYTES,
        };
        let scratch = &self.scratch;
        draft.begin(run, scratch.has_key.then_some(&scratch.key), scratch.has_value.then_some(&scratch.value));
        let mut start = 0;
        for ((name, _), end) in record.own_headers().zip(&scratch.header_ends) {
            let bytes = end.and_then(|end| scratch.headers.get(start..end));
            start = end.unwrap_or(start);
            draft.builder().header(name, Form::BYTES, bytes);
        }
        draft.end(record);
    }
}
