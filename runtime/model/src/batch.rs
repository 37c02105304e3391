//! Records in columns: the one shape in which they travel between guest, transforms, converters and log.
//!
//! An arena holds, record by record, the key, the value and the values of the record's own headers; flat lists hold lengths
//! (-1 is a null) and scalars; whatever repeats stands once, in a dictionary or in a [`Run`]. Mirrors `wit/records.wit`.
//! [`Columns`] is that shape with nothing promised; a [`Batch`] is columns that have been checked, so reading cannot fail.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// How the bytes of a payload are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Opaque bytes.
    Bytes,
    /// One JSON document in UTF-8.
    Json,
    /// A datum in Avro's binary encoding under a Connect schema.
    Connect,
}

/// An encoding and, for [`Encoding::Connect`], the index of its schema in the batch's dictionary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Form {
    /// The encoding.
    pub encoding: Encoding,
    /// The schema's index.
    pub schema: Option<u32>,
}

impl Form {
    /// Opaque bytes.
    pub const BYTES: Self = Self { encoding: Encoding::Bytes, schema: None };
    /// A JSON document.
    pub const JSON: Self = Self { encoding: Encoding::Json, schema: None };

    /// A datum under the schema with this index.
    pub const fn connect(schema: u32) -> Self {
        Self { encoding: Encoding::Connect, schema: Some(schema) }
    }
}

/// A header that every record of the batch carries, ahead of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommonHeader {
    /// Its name.
    pub name: Arc<str>,
    /// How its value is to be read.
    pub form: Form,
    /// Its value.
    pub value: Option<Bytes>,
}

/// A stretch of neighbouring records that share topic, partition and forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// How many records.
    pub records: u32,
    /// Index of the topic.
    pub topic: u32,
    /// Index of the topic they were read from, before transforms renamed it. Equal to `topic` for sources.
    pub origin: u32,
    /// The partition, or -1 to let the key decide.
    pub partition: i32,
    /// The form of the keys.
    pub key: Form,
    /// The form of the values.
    pub value: Form,
}

/// Columns with nothing promised, as they come from outside. Field by field as in `wit/records.wit`.
#[derive(Clone, Debug, Default)]
#[allow(missing_docs)]
pub struct Columns {
    pub topics: Vec<Arc<str>>,
    pub schemas: Vec<Arc<str>>,
    pub header_names: Vec<Arc<str>>,
    pub common_headers: Vec<CommonHeader>,
    pub runs: Vec<Run>,
    pub arena: Bytes,
    pub key_lengths: Vec<i32>,
    pub value_lengths: Vec<i32>,
    pub timestamps: Vec<i64>,
    pub offsets: Vec<i64>,
    pub header_counts: Vec<u32>,
    pub header_keys: Vec<u32>,
    pub header_forms: Vec<Form>,
    pub header_lengths: Vec<i32>,
}

/// Columns that contradict themselves.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("batch is malformed: {0}")]
pub struct Malformed(&'static str);

/// Checked columns. Cheap to clone as far as payloads go: the arena is shared.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    columns: Columns,
}

impl Batch {
    /// Checks columns.
    ///
    /// # Errors
    /// When lists differ in length, an index has no entry, or the lengths do not add up to the arena.
    pub fn new(columns: Columns) -> Result<Self, Malformed> {
        columns.check()?;
        Ok(Self { columns })
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.columns.key_lengths.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of keys, values and own headers.
    pub fn payload_bytes(&self) -> usize {
        self.columns.arena.len()
    }

    /// The columns, to read.
    pub fn columns(&self) -> &Columns {
        &self.columns
    }

    /// The columns, to take apart.
    pub fn into_columns(self) -> Columns {
        self.columns
    }

    /// The name of a topic of the dictionary.
    pub fn topic(&self, index: u32) -> &Arc<str> {
        &self.columns.topics[index as usize]
    }

    /// The text of a schema of the dictionary.
    pub fn schema(&self, index: u32) -> &Arc<str> {
        &self.columns.schemas[index as usize]
    }

    /// The records in order.
    pub fn records(&self) -> Records<'_> {
        Records { batch: self, record: 0, run: 0, left_in_run: 0, at: 0, header: 0 }
    }
}

impl Columns {
    fn check(&self) -> Result<(), Malformed> {
        let records = self.key_lengths.len();
        let same_or_empty = |len: usize| len == 0 || len == records;
        let form_fits = |form: &Form| match (form.encoding, form.schema) {
            (Encoding::Connect, Some(index)) => (index as usize) < self.schemas.len(),
            (Encoding::Connect, None) => false,
            (_, schema) => schema.is_none(),
        };
        let require = |holds: bool, what: &'static str| if holds { Ok(()) } else { Err(Malformed(what)) };

        require(self.value_lengths.len() == records, "as many value lengths as key lengths are needed")?;
        require(same_or_empty(self.timestamps.len()), "timestamps must be one a record or none")?;
        require(same_or_empty(self.offsets.len()), "offsets must be one a record or none")?;
        require(same_or_empty(self.header_counts.len()), "header counts must be one a record or none")?;
        let in_runs: u64 = self.runs.iter().map(|run| u64::from(run.records)).sum();
        require(in_runs == records as u64, "the runs do not add up to the number of records")?;
        for run in &self.runs {
            let topics = self.topics.len();
            require((run.topic as usize) < topics && (run.origin as usize) < topics, "a run names an unknown topic")?;
            require(form_fits(&run.key) && form_fits(&run.value), "a run names an unknown schema")?;
        }
        let headers: u64 = self.header_counts.iter().map(|count| u64::from(*count)).sum();
        let listed = self.header_keys.len();
        require(headers == listed as u64, "the header counts do not add up to the number of headers")?;
        require(
            self.header_forms.len() == listed && self.header_lengths.len() == listed,
            "header lists differ in length",
        )?;
        require(
            self.header_keys.iter().all(|key| (*key as usize) < self.header_names.len()),
            "a header has an unknown name",
        )?;
        require(self.header_forms.iter().all(form_fits), "a header names an unknown schema")?;
        require(
            self.common_headers.iter().all(|header| form_fits(&header.form)),
            "a common header names an unknown schema",
        )?;
        let lengths = || self.key_lengths.iter().chain(&self.value_lengths).chain(&self.header_lengths);
        require(lengths().all(|length| *length >= -1), "a length is below -1")?;
        let total: u64 = lengths().map(|length| u64::try_from(*length).unwrap_or(0)).sum();
        require(total == self.arena.len() as u64, "the lengths do not add up to the arena")
    }
}

/// The bytes of a key, value or header, and how to read them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payload<'a> {
    /// How to read them.
    pub form: Form,
    /// The bytes, or none for a null.
    pub bytes: Option<&'a [u8]>,
}

/// One record of a batch.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    batch: &'a Batch,
    /// Its index in the batch.
    pub index: usize,
    /// The run it belongs to.
    pub run: &'a Run,
    /// Its key.
    pub key: Payload<'a>,
    /// Its value.
    pub value: Payload<'a>,
    /// Milliseconds since the epoch.
    pub timestamp: Option<i64>,
    /// Its offset in the log.
    pub offset: Option<i64>,
    headers: Headers<'a>,
}

impl<'a> Record<'a> {
    /// Its topic.
    pub fn topic(&self) -> &'a Arc<str> {
        self.batch.topic(self.run.topic)
    }

    /// The topic it was read from.
    pub fn origin(&self) -> &'a Arc<str> {
        self.batch.topic(self.run.origin)
    }

    /// Its headers: the common ones, then its own.
    pub fn headers(&self) -> Headers<'a> {
        self.headers
    }

    /// Its own headers.
    pub fn own_headers(&self) -> Headers<'a> {
        Headers { common: 0, ..self.headers }
    }
}

/// Iterates over the records of a batch.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    batch: &'a Batch,
    record: usize,
    run: usize,
    left_in_run: u32,
    at: usize,
    header: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let columns = &self.batch.columns;
        let index = self.record;
        let (key_length, value_length) = (*columns.key_lengths.get(index)?, *columns.value_lengths.get(index)?);
        while self.left_in_run == 0 {
            self.left_in_run = columns.runs.get(self.run)?.records;
            self.run += 1;
        }
        self.left_in_run -= 1;
        self.record += 1;
        let run = &columns.runs[self.run - 1];
        let key = take(&columns.arena, &mut self.at, key_length);
        let value = take(&columns.arena, &mut self.at, value_length);
        let own = columns.header_counts.get(index).map_or(0, |count| *count as usize);
        let headers =
            Headers { batch: self.batch, common: columns.common_headers.len(), at: self.at, header: self.header, own };
        for length in &columns.header_lengths[self.header..self.header + own] {
            take(&columns.arena, &mut self.at, *length);
        }
        self.header += own;
        Some(Record {
            batch: self.batch,
            index,
            run,
            key: Payload { form: run.key, bytes: key },
            value: Payload { form: run.value, bytes: value },
            timestamp: columns.timestamps.get(index).copied(),
            offset: columns.offsets.get(index).copied(),
            headers,
        })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.batch.len() - self.record;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Records<'_> {}

/// Iterates over the headers of a record.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    batch: &'a Batch,
    common: usize,
    at: usize,
    header: usize,
    own: usize,
}

impl Headers<'_> {
    /// How many are left.
    pub fn count_left(&self) -> usize {
        self.common + self.own
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a Arc<str>, Payload<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let columns = &self.batch.columns;
        if self.common > 0 {
            let header = &columns.common_headers[columns.common_headers.len() - self.common];
            self.common -= 1;
            return Some((&header.name, Payload { form: header.form, bytes: header.value.as_deref() }));
        }
        if self.own == 0 {
            return None;
        }
        self.own -= 1;
        let index = self.header;
        self.header += 1;
        let bytes = take(&columns.arena, &mut self.at, columns.header_lengths[index]);
        let name = &columns.header_names[columns.header_keys[index] as usize];
        Some((name, Payload { form: columns.header_forms[index], bytes }))
    }
}

fn take<'a>(arena: &'a [u8], at: &mut usize, length: i32) -> Option<&'a [u8]> {
    let length = usize::try_from(length).ok()?;
    let bytes = &arena[*at..*at + length];
    *at += length;
    Some(bytes)
}

/// Builds a batch, record by record: [`run`](Self::run) where topic or forms change, then for each record
/// [`key`](Self::key), [`value`](Self::value), any [`header`](Self::header)s, [`end`](Self::end).
#[derive(Debug, Default)]
pub struct BatchBuilder {
    columns: Columns,
    arena: Vec<u8>,
    dictionary: HashMap<Arc<str>, u32>,
    schemas: HashMap<Arc<str>, u32>,
    names: HashMap<Arc<str>, u32>,
    own_headers: u32,
}

impl BatchBuilder {
    /// How many records are finished.
    pub fn len(&self) -> usize {
        self.columns.value_lengths.len()
    }

    /// Whether no record is finished.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes written so far.
    pub fn payload_bytes(&self) -> usize {
        self.arena.len()
    }

    /// The index of a topic, entered when new.
    pub fn topic(&mut self, name: &str) -> u32 {
        index_of(&mut self.dictionary, &mut self.columns.topics, name)
    }

    /// The index of a schema, entered when new.
    pub fn schema(&mut self, text: &str) -> u32 {
        index_of(&mut self.schemas, &mut self.columns.schemas, text)
    }

    /// Adds a header to every record of the batch.
    pub fn common_header(&mut self, header: CommonHeader) {
        self.columns.common_headers.push(header);
    }

    /// The records that follow belong to this run; its `records` is counted here. Equal neighbours become one.
    pub fn run(&mut self, run: Run) {
        let run = Run { records: 0, ..run };
        match self.columns.runs.last_mut() {
            Some(last) if (Run { records: 0, ..*last }) == run => {}
            Some(last) if last.records == 0 => *last = run,
            _ => self.columns.runs.push(run),
        }
    }

    /// Writes the key.
    pub fn key(&mut self, bytes: Option<&[u8]>) {
        let length = self.write(bytes);
        self.columns.key_lengths.push(length);
    }

    /// Writes the key in place: `write` appends to the arena and says whether there is a key at all.
    pub fn key_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let length = self.write_with(write);
        self.columns.key_lengths.push(length);
    }

    /// Writes the value.
    pub fn value(&mut self, bytes: Option<&[u8]>) {
        let length = self.write(bytes);
        self.columns.value_lengths.push(length);
    }

    /// Writes the value in place: `write` appends to the arena and says whether there is a value at all.
    pub fn value_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let length = self.write_with(write);
        self.columns.value_lengths.push(length);
    }

    /// Writes a header of this record alone, after key and value.
    pub fn header(&mut self, name: &str, form: Form, bytes: Option<&[u8]>) {
        let key = index_of(&mut self.names, &mut self.columns.header_names, name);
        let length = self.write(bytes);
        self.columns.header_keys.push(key);
        self.columns.header_forms.push(form);
        self.columns.header_lengths.push(length);
        self.own_headers += 1;
    }

    /// Ends the record. Timestamps and offsets are given for all records of a batch or for none.
    ///
    /// # Panics
    /// When no run was begun: a mistake of the caller.
    pub fn end(&mut self, timestamp: Option<i64>, offset: Option<i64>) {
        let run = self.columns.runs.last_mut().expect("a run is begun before its first record");
        run.records += 1;
        self.columns.timestamps.extend(timestamp);
        self.columns.offsets.extend(offset);
        if self.own_headers > 0 || !self.columns.header_counts.is_empty() {
            let finished = self.columns.value_lengths.len();
            self.columns.header_counts.resize(finished - 1, 0);
            self.columns.header_counts.push(self.own_headers);
            self.own_headers = 0;
        }
    }

    /// Copies a record of another batch, all but its run.
    pub fn copy(&mut self, record: &Record<'_>) {
        self.key(record.key.bytes);
        self.value(record.value.bytes);
        for (name, payload) in record.own_headers() {
            let form = self.import_form(record.batch, payload.form);
            self.header(name, form, payload.bytes);
        }
        self.end(record.timestamp, record.offset);
    }

    /// The run of a record of another batch, in this builder's dictionaries.
    pub fn import_run(&mut self, record: &Record<'_>) -> Run {
        let run = record.run;
        Run {
            records: 0,
            topic: self.topic(record.topic()),
            origin: self.topic(record.origin()),
            partition: run.partition,
            key: self.import_form(record.batch, run.key),
            value: self.import_form(record.batch, run.value),
        }
    }

    /// A form of another batch, in this builder's dictionary of schemas.
    pub fn import_form(&mut self, from: &Batch, form: Form) -> Form {
        match form.schema {
            Some(index) => Form { schema: Some(self.schema(from.schema(index))), ..form },
            None => form,
        }
    }

    /// The batch.
    ///
    /// # Panics
    /// When a record was left unfinished or timestamps or offsets were given for some records only: a mistake of the caller.
    pub fn build(mut self) -> Batch {
        self.columns.runs.retain(|run| run.records > 0);
        self.columns.arena = Bytes::from(self.arena);
        Batch::new(self.columns).expect("a builder that is used in order makes a sound batch")
    }

    fn write(&mut self, bytes: Option<&[u8]>) -> i32 {
        let Some(bytes) = bytes else { return -1 };
        self.arena.extend_from_slice(bytes);
        length_of(bytes.len())
    }

    fn write_with(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) -> i32 {
        let before = self.arena.len();
        if write(&mut self.arena) {
            length_of(self.arena.len() - before)
        } else {
            self.arena.truncate(before);
            -1
        }
    }
}

fn length_of(bytes: usize) -> i32 {
    i32::try_from(bytes).expect("a payload is below 2 GiB")
}

fn index_of(known: &mut HashMap<Arc<str>, u32>, list: &mut Vec<Arc<str>>, text: &str) -> u32 {
    if let Some(index) = known.get(text) {
        return *index;
    }
    let index = u32::try_from(list.len()).expect("a dictionary is below 2^32 entries");
    let text: Arc<str> = text.into();
    known.insert(text.clone(), index);
    list.push(text);
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Batch {
        let mut builder = BatchBuilder::default();
        let (orders, audit) = (builder.topic("orders"), builder.topic("audit"));
        let plain =
            Run { records: 0, topic: orders, origin: orders, partition: -1, key: Form::BYTES, value: Form::JSON };
        builder.common_header(CommonHeader { name: "run".into(), form: Form::BYTES, value: Some("7".into()) });
        builder.run(plain);
        builder.key(Some(b"a"));
        builder.value(None);
        builder.end(None, None);
        builder.run(plain);
        builder.key(None);
        builder.value_with(|out| {
            out.extend_from_slice(b"{}");
            true
        });
        builder.header("h", Form::BYTES, Some(b""));
        builder.header("i", Form::BYTES, None);
        builder.end(None, None);
        builder.run(Run { topic: audit, ..plain });
        builder.key(Some(b"b"));
        builder.value(Some(b"[]"));
        builder.end(None, None);
        builder.build()
    }

    #[test]
    fn what_is_built_is_read_back() {
        let batch = sample();
        let read: Vec<_> = batch
            .records()
            .map(|record| {
                let headers: Vec<_> = record.headers().map(|(name, value)| (name.to_string(), value.bytes)).collect();
                (record.topic().to_string(), record.key.bytes, record.value.bytes, headers)
            })
            .collect();
        let common = ("run".to_owned(), Some(&b"7"[..]));
        assert_eq!(
            read,
            [
                ("orders".to_owned(), Some(&b"a"[..]), None, vec![common.clone()]),
                (
                    "orders".to_owned(),
                    None,
                    Some(&b"{}"[..]),
                    vec![common.clone(), ("h".to_owned(), Some(&b""[..])), ("i".to_owned(), None)]
                ),
                ("audit".to_owned(), Some(&b"b"[..]), Some(&b"[]"[..]), vec![common]),
            ]
        );
        assert_eq!(batch.columns().runs.len(), 2);
    }

    #[test]
    fn copying_record_by_record_keeps_everything() {
        let batch = sample();
        let mut builder = BatchBuilder::default();
        for record in batch.records() {
            let run = builder.import_run(&record);
            builder.run(run);
            builder.copy(&record);
        }
        let copy = builder.build();
        for (a, b) in batch.records().zip(copy.records()) {
            assert_eq!((a.topic(), a.key, a.value), (b.topic(), b.key, b.value));
            assert!(a.own_headers().eq(b.own_headers()));
        }
    }

    #[test]
    fn columns_that_lie_are_refused() {
        let lies: [fn(&mut Columns); 9] = [
            |c| c.value_lengths.push(0),
            |c| c.key_lengths[0] = 1 << 30,
            |c| c.key_lengths[0] = -2,
            |c| c.runs[0].records += 1,
            |c| c.runs[0].topic = 9,
            |c| c.runs[0].value = Form::connect(0),
            |c| c.header_counts[1] = 7,
            |c| c.header_keys[0] = 9,
            |c| c.timestamps.push(1),
        ];
        for (index, lie) in lies.iter().enumerate() {
            let mut columns = sample().into_columns();
            lie(&mut columns);
            assert!(Batch::new(columns).is_err(), "lie {index} was believed");
        }
    }
}
