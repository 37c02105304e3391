//! Transforms of keys or of values alone: they say what becomes of one payload, the walk over the batch is here.
//!
//! What depends on a schema only is compiled once a schema ([`Reshape::compile`]) and found again by the schema's index in the batch.
//! Plain bytes are what Connect's ByteArrayConverter makes of them: data under an optional schema of bytes. A payload that is
//! nothing at all has no schema; a null under a schema has one.

use std::ops::Range;
use std::sync::Arc;

use towpath_model::datum::Reader;
use towpath_model::{Batch, Encoding, Form, Payload, Record, Run, Schema};

use super::Rewrite;
use crate::converter::{BYTES_SCHEMA, some};
use crate::draft::{Draft, Rewritten};
use crate::fault::Fault;
use crate::shape::Shapes;

/// The key or the value of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key,
    Value,
}

/// A header that a record gets.
pub(crate) struct Added {
    pub(crate) name: Arc<str>,
    /// The schema of its datum; none for JSON.
    pub(crate) schema: Option<Arc<str>>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Where a payload is written to, and room for taking one apart. Kept between records.
#[derive(Default)]
pub(crate) struct Out {
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: Vec<Added>,
    pub(crate) ranges: Vec<Range<usize>>,
}

/// What has become of a payload.
pub(crate) enum Written {
    /// Nothing: it stays as it is.
    Same,
    /// A null without a schema.
    Null,
    /// A datum under this schema was written.
    Datum(Arc<str>),
    /// JSON was written.
    Json,
}

/// What becomes of one payload.
pub(crate) trait Reshape: Send {
    /// What depends on nothing but the schema.
    type Shape: Send + Sync;

    /// Looks at a schema, once.
    fn compile(&self, schema: &Schema) -> Result<Self::Shape, Fault>;

    /// Rewrites a datum that is no null. Its branch, where it has one, is still in front.
    fn datum(&mut self, of: Of<'_, Self::Shape>, record: &Record<'_>, out: &mut Out) -> Result<Written, Fault>;

    /// Rewrites a JSON document that is no null.
    fn json(&mut self, text: &str, record: &Record<'_>, out: &mut Out) -> Result<Written, Fault>;

    /// What becomes of a null under a schema that could not be compiled. As in Connect, most do not look at it.
    fn unfit_null(&self, fault: &Fault) -> Result<Written, Fault> {
        let _ = fault;
        Ok(Written::Same)
    }

    /// What becomes of a null, with or without a schema.
    fn null(&mut self, of: Option<Of<'_, Self::Shape>>, out: &mut Out) -> Result<Written, Fault> {
        let _ = (of, out);
        Ok(Written::Same)
    }
}

/// A datum with its schema and what was compiled from that.
pub(crate) struct Of<'a, S> {
    pub(crate) schema: &'a Schema,
    pub(crate) shape: &'a S,
    pub(crate) datum: &'a [u8],
}

/// A schema, and what was compiled from it or why that cannot be.
type Compiled<T> = Arc<(Schema, Result<<T as Reshape>::Shape, Fault>)>;

/// A [`Reshape`] at work on one part of each record.
pub(crate) struct OfPart<T: Reshape> {
    from: Part,
    to: Part,
    transform: T,
    shapes: Shapes<Compiled<T>>,
    plain_bytes: Option<Compiled<T>>,
    out: Out,
}

impl<T: Reshape> OfPart<T> {
    /// Rewrites a part in its place.
    pub(crate) fn new(part: Part, transform: T) -> Self {
        Self::between(part, part, transform)
    }

    /// Makes one part of another.
    pub(crate) fn between(from: Part, to: Part, transform: T) -> Self {
        Self { from, to, transform, shapes: Shapes::default(), plain_bytes: None, out: Out::default() }
    }

    pub(crate) fn part(&self) -> Part {
        self.from
    }

    fn reshape(&mut self, batch: &Batch, record: &Record<'_>) -> Result<Written, Fault> {
        let payload = self.from.of(record);
        self.out.bytes.clear();
        self.out.headers.clear();
        let Some(bytes) = payload.bytes else { return self.transform.null(None, &mut self.out) };
        let datum;
        let (compiled, datum) = match payload.form.encoding {
            Encoding::Json => {
                let text = std::str::from_utf8(bytes)?;
                return match text.trim() {
                    "null" => self.transform.null(None, &mut self.out),
                    text => self.transform.json(text, record, &mut self.out),
                };
            }
            Encoding::Connect => {
                let transform = &self.transform;
                let compile = |schema: Schema| {
                    let shape = transform.compile(&schema);
                    Ok(Arc::new((schema, shape)))
                };
                (self.shapes.get(batch, payload.form.schema, compile)?.clone(), bytes)
            }
            Encoding::Bytes => {
                datum = some(bytes);
                (self.plain_bytes()?, datum.as_slice())
            }
        };
        let (schema, shape) = &*compiled;
        let is_null = schema.optional && Reader::new(datum).long()? == schema.null_branch();
        match (is_null, shape) {
            (true, Ok(shape)) => self.transform.null(Some(Of { schema, shape, datum }), &mut self.out),
            (true, Err(fault)) => self.transform.unfit_null(fault),
            (false, Ok(shape)) => self.transform.datum(Of { schema, shape, datum }, record, &mut self.out),
            (false, Err(fault)) => Err(fault.clone()),
        }
    }

    fn plain_bytes(&mut self) -> Result<Compiled<T>, Fault> {
        if let Some(compiled) = &self.plain_bytes {
            return Ok(compiled.clone());
        }
        let schema = Schema::parse(BYTES_SCHEMA).map_err(|error| Fault::schema(error.to_string()))?;
        let shape = self.transform.compile(&schema);
        Ok(self.plain_bytes.insert(Arc::new((schema, shape))).clone())
    }

    fn push(&self, draft: &mut Draft, record: &Record<'_>, written: Written) {
        let run = draft.run(record);
        let source = self.from.of(record);
        let (form, bytes) = match written {
            Written::Same => (draft.form(source.form), source.bytes),
            Written::Null => (draft.form(source.form), None),
            Written::Json => (Form::JSON, Some(self.out.bytes.as_slice())),
            Written::Datum(schema) => (Form::connect(draft.schema(&schema)), Some(self.out.bytes.as_slice())),
        };
        match self.to {
            Part::Key => draft.begin(Run { key: form, ..run }, bytes, record.value.bytes),
            Part::Value => draft.begin(Run { value: form, ..run }, record.key.bytes, bytes),
        }
        draft.headers(record);
        for header in &self.out.headers {
            draft.add_header(header);
        }
        draft.end(record);
    }
}

impl<T: Reshape> Rewrite for OfPart<T> {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        self.shapes.begin(batch);
        let mut draft = Draft::of(batch);
        for record in batch.records() {
            match self.reshape(batch, &record) {
                Ok(written) => self.push(&mut draft, &record, written),
                Err(fault) => draft.fail(&record, fault),
            }
        }
        draft.finish()
    }
}

impl Part {
    /// This part of a record.
    pub(crate) fn of<'a>(self, record: &Record<'a>) -> Payload<'a> {
        match self {
            Self::Key => record.key,
            Self::Value => record.value,
        }
    }
}
