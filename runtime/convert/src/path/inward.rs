//! The first step of a sink: bytes become forms that the next step takes.

use towpath_model::{Batch, Config, ConnectorError, Encoding, Form, Record};

use super::trace::Trace;
use crate::converter::{CONVERTERS, Class, HEADER_CONVERTERS, Parser, Read};
use crate::draft::Draft;
use crate::fault::Fault;
use crate::registered::SchemaRegistries;
use crate::{Error, Stage};

/// Converters of keys, values and headers.
pub(crate) struct Inward {
    key: Parser,
    value: Parser,
    header: Parser,
}

impl Inward {
    pub(crate) fn new(config: &Config, accepts: &[Encoding], registries: &dyn SchemaRegistries) -> Result<Self, Error> {
        let parser = |key: &str, allowed: &[Class], default: Class| {
            Parser::new(config, key, (allowed, default), accepts, registries)
        };
        Ok(Self {
            key: parser("key.converter", &CONVERTERS, Class::Json)?,
            value: parser("value.converter", &CONVERTERS, Class::Json)?,
            header: parser("header.converter", &HEADER_CONVERTERS, Class::Simple)?,
        })
    }

    /// Asks for the schemas that the records of a batch were written under.
    ///
    /// # Errors
    /// When they cannot be had now.
    pub(crate) async fn prepare(&mut self, batch: &Batch) -> Result<(), ConnectorError> {
        let keys = self.key.missing(batch.records().map(|record| record.key.bytes));
        let values = self.value.missing(batch.records().map(|record| record.value.bytes));
        self.key.learn(keys).await?;
        self.value.learn(values).await
    }

    pub(crate) fn apply(&mut self, batch: &Batch, trace: &mut Trace<'_>) -> Batch {
        if let Some(passed) = self.pass(batch) {
            return passed;
        }
        let mut draft = Draft::plain(batch);
        let mut forms = None;
        for record in batch.records() {
            if let Err((stage, class, fault)) = self.read(&mut draft, &record, &mut forms) {
                trace.fail(record.index as u32, stage, class.names()[1], fault);
            }
        }
        let read = draft.finish();
        trace.advance(&read.origins);
        read.records
    }

    /// The same bytes under other forms, where all of them pass as they are. Nothing is copied then.
    fn pass(&self, batch: &Batch) -> Option<Batch> {
        let (mut key, mut value, mut header) = (None, None, None);
        let note = |form: &mut Option<Form>, parser: &Parser, bytes: Option<&[u8]>| {
            let Some(bytes) = bytes else { return Some(()) };
            *form = Some(Form { encoding: parser.passes(bytes)?, schema: None });
            Some(())
        };
        for record in batch.records() {
            note(&mut key, &self.key, record.key.bytes)?;
            note(&mut value, &self.value, record.value.bytes)?;
            for (_, payload) in record.headers() {
                note(&mut header, &self.header, payload.bytes)?;
                // The form of a null header is not that of its neighbours.
                payload.bytes?;
            }
        }
        let null = |parser: &Parser| Some(Form { encoding: parser.plain()?, schema: None });
        let (key, value) = (key.or_else(|| null(&self.key))?, value.or_else(|| null(&self.value))?);
        let mut columns = batch.columns().clone();
        if !columns.common_headers.is_empty() || columns.runs.iter().any(|run| run.key != Form::BYTES) {
            return None;
        }
        for run in &mut columns.runs {
            (run.key, run.value) = (key, value);
        }
        columns.header_forms.fill(header.unwrap_or(Form::BYTES));
        Batch::new(columns).ok()
    }

    fn read(
        &mut self,
        draft: &mut Draft,
        record: &Record<'_>,
        forms: &mut Option<(Form, Form)>,
    ) -> Result<(), (Stage, Class, Fault)> {
        let class = self.key.class;
        let key = self.key.read(record.key.bytes).map_err(|fault| (Stage::KeyConverter, class, fault))?;
        let class = self.value.class;
        let value = self.value.read(record.value.bytes).map_err(|fault| (Stage::ValueConverter, class, fault))?;
        let class = self.header.class;
        let headers: Vec<_> = record
            .headers()
            .map(|(name, payload)| self.header.read(payload.bytes).map(|read| (name, read)))
            .collect::<Result<_, _>>()
            .map_err(|fault| (Stage::HeaderConverter, class, fault))?;
        // A null has the form of its neighbour, so that deletes do not split runs.
        let previous = forms.unzip();
        let key_form = form(draft, &key, previous.0);
        let value_form = form(draft, &value, previous.1);
        *forms = Some((key_form, value_form));
        let run = towpath_model::Run { key: key_form, value: value_form, ..draft.run(record) };
        draft.begin(run, key.bytes.as_deref(), value.bytes.as_deref());
        for (name, read) in &headers {
            let form = form(draft, read, None);
            draft.builder().header(name, form, read.bytes.as_deref());
        }
        draft.end(record);
        Ok(())
    }
}

fn form(draft: &mut Draft, read: &Read<'_>, previous: Option<Form>) -> Form {
    match (&read.bytes, previous) {
        (None, Some(previous)) => previous,
        _ => Form { encoding: read.encoding, schema: read.schema.as_ref().map(|schema| draft.schema(schema)) },
    }
}
