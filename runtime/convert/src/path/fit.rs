//! The last step of a sink with transforms: forms that the sink does not take become forms that it does.

use std::borrow::Cow;
use std::sync::Arc;

use towpath_model::{Batch, CommonHeader, Encoding, Form, Payload, Run, Schema, Type};

use super::trace::Trace;
use crate::Stage;
use crate::converter::{BYTES_SCHEMA, some, write_plain_bytes};
use crate::draft::Draft;
use crate::fault::Fault;
use crate::json::{self, Options, Transcoder};
use crate::shape::Shapes;
use crate::text::{self, Style};

/// Turns data into forms that a sink takes.
pub(crate) struct Fit {
    accepts: Vec<Encoding>,
    transcoders: Shapes<(Schema, Transcoder)>,
    bytes_schema: Arc<str>,
}

/// A form and bytes that the sink takes.
struct Fitting<'a> {
    encoding: Encoding,
    /// The schema's index in the batch as it was, or the text of a new one.
    schema: Option<Result<u32, Arc<str>>>,
    bytes: Option<Cow<'a, [u8]>>,
}

impl Fit {
    pub(crate) fn new(accepts: &[Encoding]) -> Self {
        Self { accepts: accepts.to_vec(), transcoders: Shapes::default(), bytes_schema: BYTES_SCHEMA.into() }
    }

    pub(crate) fn apply(&mut self, batch: Batch, trace: &mut Trace<'_>) -> Batch {
        if self.fits(&batch) {
            return batch;
        }
        self.transcoders.begin(&batch);
        let mut draft = Draft::of(&batch);
        for record in batch.records() {
            if let Err(fault) = self.push(&batch, &mut draft, &record) {
                trace.fail(record.index as u32, Stage::ValueConverter, json_class(), fault);
            }
        }
        let fitting = draft.finish();
        trace.advance(&fitting.origins);
        self.common_headers(&batch, fitting.records)
    }

    fn fits(&self, batch: &Batch) -> bool {
        let columns = batch.columns();
        let takes = |form: &Form| self.accepts.contains(&form.encoding);
        columns.runs.iter().all(|run| takes(&run.key) && takes(&run.value))
            && columns.header_forms.iter().all(takes)
            && columns.common_headers.iter().all(|header| takes(&header.form))
    }

    fn push(&mut self, batch: &Batch, draft: &mut Draft, record: &towpath_model::Record<'_>) -> Result<(), Fault> {
        let key = self.fit(batch, record.key)?;
        let value = self.fit(batch, record.value)?;
        let headers: Vec<_> = record
            .own_headers()
            .map(|(name, payload)| self.fit(batch, payload).map(|fitting| (name, fitting)))
            .collect::<Result<_, _>>()?;
        let run = Run { key: form(draft, &key), value: form(draft, &value), ..draft.run(record) };
        draft.begin(run, key.bytes.as_deref(), value.bytes.as_deref());
        for (name, fitting) in &headers {
            let form = form(draft, fitting);
            draft.builder().header(name, form, fitting.bytes.as_deref());
        }
        draft.end(record);
        Ok(())
    }

    /// Common headers were taken over as they are; those that do not fit are replaced, or left out where they cannot be.
    fn common_headers(&mut self, before: &Batch, after: Batch) -> Batch {
        let mut columns = after.into_columns();
        let fitted = before.columns().common_headers.iter().zip(std::mem::take(&mut columns.common_headers));
        columns.common_headers = fitted
            .filter_map(|(old, new)| {
                if self.accepts.contains(&old.form.encoding) {
                    return Some(new);
                }
                let fitting = self.fit(before, Payload { form: old.form, bytes: old.value.as_deref() }).ok()?;
                let plain = Form { encoding: fitting.encoding, schema: None };
                let value = fitting.bytes.map(|bytes| bytes.into_owned().into());
                (fitting.encoding != Encoding::Connect).then(|| CommonHeader { name: new.name, form: plain, value })
            })
            .collect();
        Batch::new(columns).expect("replacing common headers by plain ones keeps a batch sound")
    }

    fn fit<'a>(&mut self, batch: &Batch, payload: Payload<'a>) -> Result<Fitting<'a>, Fault> {
        let takes = |encoding: Encoding| self.accepts.contains(&encoding);
        let schema = payload.form.schema.map(Ok);
        let plain = |encoding, bytes| Ok(Fitting { encoding, schema: None, bytes });
        let borrowed = payload.bytes.map(Cow::Borrowed);
        if takes(payload.form.encoding) {
            return Ok(Fitting { encoding: payload.form.encoding, schema, bytes: borrowed });
        }
        match payload.form.encoding {
            Encoding::Connect => {
                let encoding = if takes(Encoding::Json) { Encoding::Json } else { Encoding::Bytes };
                let Some(datum) = payload.bytes else { return plain(encoding, None) };
                let compile = |schema: Schema| {
                    let transcoder = Transcoder::new(&schema, Options::default());
                    Ok((schema, transcoder))
                };
                let (schema, transcoder) = self.transcoders.get(batch, payload.form.schema, compile)?;
                let mut out = Vec::with_capacity(datum.len() * 2);
                // To a sink of bytes a text is its bytes; to a sink of JSON it is a JSON string.
                let present = match schema.kind {
                    Type::String if encoding == Encoding::Bytes => text::write(schema, datum, Style::Java, &mut out)?,
                    Type::Bytes if encoding == Encoding::Bytes => write_plain_bytes(schema, datum, &mut out)?,
                    _ => {
                        transcoder.write(datum, &mut out)?;
                        out != b"null"
                    }
                };
                plain(encoding, present.then_some(Cow::Owned(out)))
            }
            Encoding::Json if takes(Encoding::Bytes) => plain(Encoding::Bytes, borrowed),
            Encoding::Json => Err(Fault::form("the sink takes only data with a schema, and this JSON has none")),
            Encoding::Bytes if takes(Encoding::Connect) => {
                let schema = Some(Err(self.bytes_schema.clone()));
                Ok(Fitting {
                    encoding: Encoding::Connect,
                    schema,
                    bytes: payload.bytes.map(|bytes| some(bytes).into()),
                })
            }
            Encoding::Bytes => {
                let json = payload.bytes.map(|bytes| {
                    let mut out = Vec::with_capacity(bytes.len() * 4 / 3 + 4);
                    json::write_base64(&mut out, bytes);
                    Cow::Owned(out)
                });
                plain(Encoding::Json, json)
            }
        }
    }
}

fn form(draft: &mut Draft, fitting: &Fitting<'_>) -> Form {
    match &fitting.schema {
        Some(Ok(index)) => draft.form(Form { encoding: fitting.encoding, schema: Some(*index) }),
        Some(Err(text)) => Form { encoding: fitting.encoding, schema: Some(draft.schema(text)) },
        None => Form { encoding: fitting.encoding, schema: None },
    }
}

fn json_class() -> &'static str {
    crate::converter::Class::Json.names()[1]
}
