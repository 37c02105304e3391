//! Reads batches back into columns, one pass, no allocation for each record.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use towpath_model::{Batch, Columns, Form, Run};

use super::header::{BatchHeader, HEADER_BYTES};
use super::{Damaged, varint};

/// One record as it lies in a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawRecord<'a> {
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    header_count: u32,
    headers: &'a [u8],
    /// All that follows its timestamp.
    pub(super) after_timestamp: &'a [u8],
    /// The whole record with its length.
    pub(super) stored: &'a [u8],
}

/// The records of a verified batch, decompressed.
pub(crate) fn records_section<'a>(header: &BatchHeader, batch: &'a [u8]) -> Result<Cow<'a, [u8]>, Damaged> {
    header.codec()?.decompress(batch.get(HEADER_BYTES..).unwrap_or_default())
}

/// Iterates over the records of a decompressed section.
pub(crate) struct RawRecords<'a> {
    header: &'a BatchHeader,
    rest: &'a [u8],
    left: i32,
}

impl<'a> RawRecords<'a> {
    /// The records of `section`, which belongs to `header`.
    pub(crate) fn new(header: &'a BatchHeader, section: &'a [u8]) -> Self {
        Self { header, rest: section, left: header.records }
    }

    fn read(&mut self) -> Result<RawRecord<'a>, Damaged> {
        let before = self.rest;
        let length =
            usize::try_from(varint::read(&mut self.rest)?).map_err(|_| Damaged("a record has a negative length"))?;
        let (mut body, rest) = self.rest.split_at_checked(length).ok_or(Damaged("a record is cut short"))?;
        let stored = before.get(..before.len() - rest.len()).unwrap_or_default();
        self.rest = rest;
        body = body.get(1..).ok_or(Damaged("a record is empty"))?;
        let timestamp_delta = varint::read(&mut body)?;
        let after_timestamp = body;
        let offset_delta = varint::read(&mut body)?;
        let key = read_bytes(&mut body)?;
        let value = read_bytes(&mut body)?;
        let header_count =
            u32::try_from(varint::read(&mut body)?).map_err(|_| Damaged("a record has a bad header count"))?;
        let offset = self.header.base_offset.wrapping_add(offset_delta);
        if offset < self.header.base_offset || offset > self.header.last_offset() || header_count as usize > body.len()
        {
            return Err(Damaged("a record does not fit its batch"));
        }
        let timestamp = match self.header.log_append_time() {
            true => self.header.max_timestamp,
            false => self.header.base_timestamp.wrapping_add(timestamp_delta),
        };
        Ok(RawRecord { offset, timestamp, key, value, header_count, headers: body, after_timestamp, stored })
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = Result<RawRecord<'a>, Damaged>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        self.left -= 1;
        let read = self.read();
        if read.is_err() {
            self.left = 0;
        }
        Some(read)
    }
}

/// The first record of a batch with a timestamp at or after `timestamp_ms`: its offset and its timestamp.
pub(crate) fn first_at_or_after(
    header: &BatchHeader,
    batch: &[u8],
    timestamp_ms: i64,
) -> Result<Option<(i64, i64)>, Damaged> {
    let section = records_section(header, batch)?;
    for record in RawRecords::new(header, &section) {
        let record = record?;
        if record.timestamp >= timestamp_ms {
            return Ok(Some((record.offset, record.timestamp)));
        }
    }
    Ok(None)
}

/// Gathers the records of one partition into columns.
pub(crate) struct ColumnReader {
    columns: Columns,
    arena: Vec<u8>,
    names: HashMap<Arc<str>, u32>,
    partition: i32,
}

impl ColumnReader {
    /// An empty reader for a partition.
    pub(crate) fn new(topic: Arc<str>, partition: i32) -> Self {
        let columns = Columns { topics: vec![topic], ..Columns::default() };
        Self { columns, arena: Vec::new(), names: HashMap::new(), partition }
    }

    /// Bytes gathered so far.
    pub(crate) fn payload_bytes(&self) -> usize {
        self.arena.len()
    }

    /// How many records were gathered so far.
    pub(crate) fn records(&self) -> usize {
        self.columns.key_lengths.len()
    }

    /// Adds the records of a verified batch, from `from_offset` on. Markers of transactions are left out.
    pub(crate) fn read(&mut self, header: &BatchHeader, batch: &[u8], from_offset: i64) -> Result<(), Damaged> {
        if header.control() {
            return Ok(());
        }
        let section = records_section(header, batch)?;
        self.arena.reserve(section.len());
        for record in RawRecords::new(header, &section) {
            let record = record?;
            if record.offset >= from_offset {
                self.push(&record)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, record: &RawRecord<'_>) -> Result<(), Damaged> {
        let key = self.write(record.key);
        let value = self.write(record.value);
        let mut headers = record.headers;
        for number in 0..record.header_count {
            let name = read_bytes(&mut headers)?.ok_or(Damaged("a header has no name"))?;
            let name = std::str::from_utf8(name).map_err(|_| Damaged("the name of a header is not UTF-8"))?;
            let bytes = read_bytes(&mut headers)?;
            let length = self.write(bytes);
            let name = self.name(name, number);
            self.columns.header_keys.push(name);
            self.columns.header_forms.push(Form::BYTES);
            self.columns.header_lengths.push(length);
        }
        let records = self.records();
        if record.header_count > 0 || !self.columns.header_counts.is_empty() {
            self.columns.header_counts.resize(records, 0);
            self.columns.header_counts.push(record.header_count);
        }
        self.columns.key_lengths.push(key);
        self.columns.value_lengths.push(value);
        self.columns.timestamps.push(record.timestamp);
        self.columns.offsets.push(record.offset);
        Ok(())
    }

    /// The index of the name of the header with this number. Records mostly carry the same headers in the same order.
    fn name(&mut self, name: &str, number: u32) -> u32 {
        if self.columns.header_names.get(number as usize).is_some_and(|known| **known == *name) {
            return number;
        }
        if let Some(index) = self.names.get(name) {
            return *index;
        }
        let index = self.columns.header_names.len() as u32;
        let name: Arc<str> = name.into();
        self.names.insert(name.clone(), index);
        self.columns.header_names.push(name);
        index
    }

    fn write(&mut self, bytes: Option<&[u8]>) -> i32 {
        let Some(bytes) = bytes else { return -1 };
        self.arena.extend_from_slice(bytes);
        i32::try_from(bytes.len()).expect("a payload lies within a batch, which is below 2 GiB")
    }

    /// The batch: one run.
    pub(crate) fn finish(mut self) -> Result<Batch, Damaged> {
        let records = u32::try_from(self.records()).map_err(|_| Damaged("too many records for one read"))?;
        if records > 0 {
            let (key, value) = (Form::BYTES, Form::BYTES);
            self.columns.runs.push(Run { records, topic: 0, origin: 0, partition: self.partition, key, value });
        }
        self.columns.arena = Bytes::from(self.arena);
        Batch::new(self.columns).map_err(|_| Damaged("the records of a read contradict themselves"))
    }
}

fn read_bytes<'a>(input: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Damaged> {
    let length = varint::read(input)?;
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| Damaged("a length is below -1"))?;
    let (bytes, rest) = input.split_at_checked(length).ok_or(Damaged("a payload is cut short"))?;
    *input = rest;
    Ok(Some(bytes))
}
