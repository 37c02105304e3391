//! Putting a batch together, by record, with what repeats entered once in the dictionaries.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Batch, Columns, CommonHeader, Form, Record, Run};

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
    /// Records and bytes of the arena at the end of the last whole record.
    ended: (usize, usize),
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

    /// As [`key_with`](Self::key_with), where writing may fail; [`undo`](Self::undo) must follow then.
    ///
    /// # Errors
    /// Those of `write`.
    #[inline]
    pub fn try_key_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>) -> Result<(), E> {
        let length = self.try_write_with(write)?;
        self.columns.key_lengths.push(length);
        Ok(())
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

    /// As [`value_with`](Self::value_with), where writing may fail; [`undo`](Self::undo) must follow then.
    ///
    /// # Errors
    /// Those of `write`.
    #[inline]
    pub fn try_value_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>) -> Result<(), E> {
        let length = self.try_write_with(write)?;
        self.columns.value_lengths.push(length);
        Ok(())
    }

    /// Writes a header of this record alone, after key and value.
    pub fn header(&mut self, name: &str, form: Form, bytes: Option<&[u8]>) {
        // Records mostly carry the same headers in the same order.
        let names = &mut self.columns.header_names;
        let key = match names.get(self.own_headers as usize) {
            Some(known) if **known == *name => self.own_headers,
            _ => index_of(&mut self.names, names, name),
        };
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
        self.ended = (self.columns.value_lengths.len(), self.arena.len());
    }

    /// Takes back what was written of a record that has not ended.
    pub fn undo(&mut self) {
        let (records, bytes) = self.ended;
        let columns = &mut self.columns;
        let headers = columns.header_keys.len() - self.own_headers as usize;
        self.arena.truncate(bytes);
        columns.key_lengths.truncate(records);
        columns.value_lengths.truncate(records);
        columns.header_keys.truncate(headers);
        columns.header_forms.truncate(headers);
        columns.header_lengths.truncate(headers);
        self.own_headers = 0;
    }

    /// Makes room for so many bytes of payload, so that the arena need not grow step by step.
    pub fn reserve(&mut self, bytes: usize) {
        self.arena.reserve(bytes);
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
        let Ok(length) = self.try_write_with(|arena| Ok::<_, std::convert::Infallible>(write(arena)));
        length
    }

    #[inline]
    fn try_write_with<E>(&mut self, write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>) -> Result<i32, E> {
        let before = self.arena.len();
        if write(&mut self.arena)? {
            return Ok(length_of(self.arena.len() - before));
        }
        self.arena.truncate(before);
        Ok(-1)
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
