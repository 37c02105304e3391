//! Records in columns: the one shape in which they travel between guest, transforms, converters and log.
//!
//! An arena holds, record by record, the key, the value and the values of the record's own headers; flat lists hold lengths
//! (-1 is a null) and scalars; whatever repeats stands once, in a dictionary or in a [`Run`]. Mirrors `wit/records.wit`.
//! [`Columns`] is that shape with nothing promised; a [`Batch`] is columns that have been checked, so reading cannot fail.

mod builder;
mod columns;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use builder::BatchBuilder;
pub use columns::{Columns, CommonHeader, Encoding, Form, Malformed, Run};

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
