//! The last step of a source: every payload becomes bytes.

use towpath_model::{Batch, CommonHeader, Config, ConnectorError, Form, Payload, Record, Run};

use super::trace::Trace;
use crate::converter::{CONVERTERS, Class, HEADER_CONVERTERS, Writer};
use crate::draft::Draft;
use crate::fault::Fault;
use crate::registered::SchemaRegistries;
use crate::{Error, Stage};

/// Converters of keys, values and headers.
pub(crate) struct Outward {
    key: Writer,
    value: Writer,
    header: Writer,
    /// One header, kept between records so that nothing is allocated for each.
    scratch: Vec<u8>,
    /// How many bytes came out for a thousand that went in, the last time.
    growth: usize,
}

impl Outward {
    pub(crate) fn new(config: &Config, registries: &dyn SchemaRegistries) -> Result<Self, Error> {
        let writer =
            |key: &str, allowed: &[Class], default: Class| Writer::new(config, key, (allowed, default), registries);
        Ok(Self {
            key: writer("key.converter", &CONVERTERS, Class::Json)?,
            value: writer("value.converter", &CONVERTERS, Class::Json)?,
            header: writer("header.converter", &HEADER_CONVERTERS, Class::Simple)?,
            scratch: Vec::new(),
            growth: 1000,
        })
    }

    /// Asks for the schemas that the records of a batch are stored under.
    ///
    /// # Errors
    /// When they cannot be had now.
    pub(crate) async fn prepare(&mut self, batch: &Batch) -> Result<(), ConnectorError> {
        if self.key.class.language().is_some() {
            let keys = forms(batch, |record| (record.key.bytes.is_some(), record.key.form));
            self.key.prepare(batch, keys).await?;
        }
        if self.value.class.language().is_some() {
            let values = forms(batch, |record| (record.value.bytes.is_some(), record.value.form));
            self.value.prepare(batch, values).await?;
        }
        Ok(())
    }

    pub(crate) fn apply(&mut self, batch: &Batch, trace: &mut Trace<'_>) -> Batch {
        for writer in [&mut self.key, &mut self.value, &mut self.header] {
            writer.begin(batch);
        }
        let mut draft = Draft::plain(batch);
        draft.builder().reserve(batch.payload_bytes().saturating_mul(self.growth) / 1000);
        let common = match self.common_headers(batch) {
            Ok(common) => common,
            Err(fault) => {
                let class = self.header.class.names()[1];
                (0..batch.len() as u32)
                    .for_each(|index| trace.fail(index, Stage::HeaderConverter, class, fault.clone()));
                trace.advance(&[]);
                return Batch::default();
            }
        };
        common.into_iter().for_each(|header| draft.builder().common_header(header));
        for record in batch.records() {
            if let Err((stage, fault)) = self.write(batch, &record, &mut draft) {
                draft.builder().undo();
                let class = match stage {
                    Stage::KeyConverter => self.key.class,
                    Stage::HeaderConverter => self.header.class,
                    _ => self.value.class,
                };
                trace.fail(record.index as u32, stage, class.names()[1], fault);
            }
        }
        let written = draft.finish();
        // A little more than last time; bounded, because a batch of a few bytes tells little.
        let bytes = written.records.payload_bytes().saturating_mul(1050) / batch.payload_bytes().max(1);
        self.growth = bytes.clamp(500, 20_000);
        trace.advance(&written.origins);
        written.records
    }

    fn common_headers(&mut self, batch: &Batch) -> Result<Vec<CommonHeader>, Fault> {
        let headers = batch.columns().common_headers.iter().map(|header| {
            let mut value = Vec::new();
            let payload = Payload { form: header.form, bytes: header.value.as_deref() };
            let present = self.header.write(batch, 0, payload, &mut value)?;
            Ok(CommonHeader { name: header.name.clone(), form: Form::BYTES, value: present.then(|| value.into()) })
        });
        headers.collect()
    }

    /// Writes a record into the draft; after a fault, a part of it.
    #[inline]
    fn write(&mut self, batch: &Batch, record: &Record<'_>, draft: &mut Draft) -> Result<(), (Stage, Fault)> {
        let topic = draft.run(record).topic;
        let builder = draft.builder();
        builder.run(Run {
            records: 0,
            topic,
            origin: topic,
            partition: record.run.partition,
            key: Form::BYTES,
            value: Form::BYTES,
        });
        let key = builder.try_key_with(|out| self.key.write(batch, record.run.topic, record.key, out));
        key.map_err(|fault| (Stage::KeyConverter, fault))?;
        let value = builder.try_value_with(|out| self.value.write(batch, record.run.topic, record.value, out));
        value.map_err(|fault| (Stage::ValueConverter, fault))?;
        for (name, payload) in record.own_headers() {
            self.scratch.clear();
            let written = self.header.write(batch, record.run.topic, payload, &mut self.scratch);
            let present = written.map_err(|fault| (Stage::HeaderConverter, fault))?;
            builder.header(name, Form::BYTES, present.then_some(&self.scratch));
        }
        draft.end(record);
        Ok(())
    }
}

/// The topics and forms of payloads that are no null. Nulls need no schema, whatever their form says.
fn forms(batch: &Batch, of: impl Fn(&Record<'_>) -> (bool, Form)) -> Vec<(u32, Form)> {
    let mut forms = Vec::new();
    for record in batch.records() {
        let (present, form) = of(&record);
        let place = (record.run.topic, form);
        if present && forms.last() != Some(&place) {
            forms.push(place);
        }
    }
    forms
}
