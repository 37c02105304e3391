//! Writes records: key, envelope, tombstone and headers, into one batch.
//!
//! All that is constant (the head of the source block, schemas, topics) is written once; a record costs no allocation and is
//! written where it will lie. One with a value that cannot be represented is taken back, so that no half of it is left.

mod block;
mod headers;
mod message;
mod transaction;

pub use message::LogicalMessage;
pub use transaction::TransactionCounts;

use std::collections::HashMap;
use std::sync::Arc;

use towpath_model::{Batch, BatchBuilder, Form, Run, datum};

use block::Block;
use headers::Headers;

use crate::error::Error;
use crate::schema::{Key, SharedSchemas, Source, Table};
use crate::wire::Cells;
use transaction::Metadata;

/// A row: its columns' places, and the bytes they stand in.
pub type RowRef<'a> = (&'a Cells, &'a [u8]);

/// A moment, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment(pub i64);

/// Where a record comes from.
#[derive(Clone, Debug)]
pub struct Origin<'a> {
    /// When the transaction was committed or the snapshot begun, in microseconds since 1970.
    pub ts_us: i64,
    /// Which part of a snapshot the row is, or `false`.
    pub snapshot: &'static str,
    /// The end of the transaction before.
    pub last_commit: Option<u64>,
    /// The change's own place in the log.
    pub lsn: u64,
    /// Its transaction; none for a message outside of any.
    pub xid: Option<u64>,
    /// Where the transaction came from, on a server that is itself a replica, and where its commit stands there, where the
    /// server tells.
    pub upstream: Option<(&'a str, Option<u64>)>,
}

/// The operation of a record, as its letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Operation {
    Read,
    Create,
    Update,
    Delete,
    Truncate,
}

impl Operation {
    fn letter(self) -> &'static [u8] {
        match self {
            Self::Read => b"r",
            Self::Create => b"c",
            Self::Update => b"u",
            Self::Delete => b"d",
            Self::Truncate => b"t",
        }
    }
}

/// Header that names the key a row has from now on.
const NEW_KEY: &str = "__debezium.newkey";
/// Header that names the key a row had.
const OLD_KEY: &str = "__debezium.oldkey";

/// Writes batches of one task.
#[derive(Debug)]
pub struct Writer {
    builder: BatchBuilder,
    /// Runs of the tables in this batch, by the address of the key; holding the table keeps the address its own.
    runs: HashMap<usize, (Arc<Table>, Run)>,
    current: usize,
    /// Version, connector and name.
    head: Vec<u8>,
    database: Vec<u8>,
    headers: Headers,
    tombstones: bool,
    schemas: Arc<SharedSchemas>,
    /// Tells of transactions, where that is wanted.
    metadata: Option<Metadata>,
    /// The moment that records are stamped with, and how it stands at their end.
    now: Moment,
    stamp: Vec<u8>,
    block: Block,
    /// Bytes of the batch before: about what this one will need.
    bytes_before: usize,
    /// A key that is named in a header or stands apart from rows, and a value that waits for its record.
    other_key: Vec<u8>,
    value: Vec<u8>,
}

/// What a record's value is made of.
#[derive(Clone, Copy)]
struct Change<'a> {
    operation: Operation,
    before: Option<RowRef<'a>>,
    after: Option<RowRef<'a>>,
    origin: &'a Origin<'a>,
    /// Of the transaction's events it is so many after the last one counted.
    ahead: u64,
}

impl Writer {
    /// A writer for a source. `headers` stand on every record of a table.
    pub fn new(source: &Source, tombstones: bool, headers: &[(&'static str, &str)]) -> Self {
        let mut head = Vec::new();
        for text in [env!("CARGO_PKG_VERSION"), "postgresql", &source.name] {
            datum::write_bytes(&mut head, text.as_bytes());
        }
        let mut database = Vec::new();
        datum::write_bytes(&mut database, source.database.as_bytes());
        let mut writer = Self {
            builder: BatchBuilder::default(),
            runs: HashMap::new(),
            current: 0,
            head,
            database,
            headers: Headers::new(headers),
            tombstones,
            schemas: Arc::new(source.schemas.clone()),
            metadata: source.transaction_topic.clone().map(Metadata::new),
            now: Moment::default(),
            stamp: Vec::new(),
            block: Block::default(),
            bytes_before: 0,
            other_key: Vec::new(),
            value: Vec::new(),
        };
        writer.set_now(Moment::default());
        writer.begin();
        writer
    }

    /// How many records the batch holds.
    pub fn len(&self) -> usize {
        self.builder.len()
    }

    /// Whether the batch holds none.
    pub fn is_empty(&self) -> bool {
        self.builder.is_empty()
    }

    /// Bytes of the batch.
    pub fn bytes(&self) -> usize {
        self.builder.payload_bytes()
    }

    /// Sets the moment that records are stamped with.
    pub fn set_now(&mut self, now: Moment) {
        self.now = now;
        self.stamp.clear();
        for moment in [now.0 / 1_000_000, now.0 / 1000, now.0] {
            datum::write_long(&mut self.stamp, 1);
            datum::write_long(&mut self.stamp, moment);
        }
    }

    /// The batch; a new one begins.
    pub fn finish(&mut self) -> Batch {
        self.bytes_before = self.builder.payload_bytes();
        let built = std::mem::take(&mut self.builder).build();
        self.begin();
        built
    }

    /// Throws away the batch.
    pub fn discard(&mut self) {
        self.builder = BatchBuilder::default();
        self.begin();
    }

    fn begin(&mut self) {
        self.forget_tables();
        self.builder.reserve(self.bytes_before + self.bytes_before / 16);
        // Where transactions are told of, nearly every batch holds records without headers.
        self.headers.begin(&mut self.builder, self.metadata.is_none());
    }

    /// Tables of a batch are held by their runs; those of another may be gone, and their addresses taken.
    fn forget_tables(&mut self) {
        self.runs.clear();
        self.current = 0;
        self.block = Block::default();
    }

    /// A row read, created, or changed with its key kept.
    ///
    /// # Errors
    /// When a value cannot be represented; so for all that follow.
    #[inline]
    pub fn change(
        &mut self,
        table: &Arc<Table>,
        operation: Operation,
        before: Option<RowRef<'_>>,
        after: RowRef<'_>,
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        self.enter(table, after);
        let written = self.write(table, after, Change { operation, before, after: Some(after), origin, ahead: 1 });
        self.end_event(written)
    }

    /// A row deleted, and its tombstone.
    pub fn delete(&mut self, table: &Arc<Table>, before: RowRef<'_>, origin: &Origin<'_>) -> Result<(), Error> {
        self.enter(table, before);
        let change = Change { operation: Operation::Delete, before: Some(before), after: None, origin, ahead: 1 };
        let written = self.write(table, before, change);
        self.end_event(written)?;
        if self.tombstones {
            let written = self.write_key(table, before);
            self.builder.value(None);
            self.end(written)?;
        }
        Ok(())
    }

    /// A row whose key changed: it is deleted under the old one and created under the new one.
    pub fn change_key(
        &mut self,
        table: &Arc<Table>,
        before: RowRef<'_>,
        after: RowRef<'_>,
        origin: &Origin<'_>,
    ) -> Result<(), Error> {
        self.enter(table, before);
        // What may fail of the second record is written before the first one joins the batch.
        let mut created = std::mem::take(&mut self.value);
        created.clear();
        let change = Change { operation: Operation::Create, before: None, after: Some(after), origin, ahead: 2 };
        self.append_value(table, change, &mut created)?;
        self.write_other_key(table, after)?;
        let change = Change { operation: Operation::Delete, before: Some(before), after: None, origin, ahead: 1 };
        let written = self.write(table, before, change);
        self.name_other_key(table, after, NEW_KEY);
        self.end_event(written)?;
        if self.tombstones {
            let written = self.write_key(table, before);
            self.builder.value(None);
            self.name_other_key(table, after, NEW_KEY);
            self.end(written)?;
        }
        self.write_other_key(table, before)?;
        self.enter(table, after);
        let written = self.write_key(table, after);
        self.builder.value(Some(&created));
        self.name_other_key(table, before, OLD_KEY);
        self.value = created;
        self.end_event(written)
    }

    /// A table emptied.
    pub fn truncate(&mut self, table: &Arc<Table>, origin: &Origin<'_>) -> Result<(), Error> {
        self.enter_with(table, &table.key);
        self.builder.key(None);
        let change = Change { operation: Operation::Truncate, before: None, after: None, origin, ahead: 1 };
        let written = self.write_value(table, change);
        self.end_event(written)
    }

    /// Makes the run of the row's table the current one.
    #[inline]
    fn enter(&mut self, table: &Arc<Table>, (cells, bytes): RowRef<'_>) {
        self.enter_with(table, table.key_of(cells, bytes));
    }

    #[inline]
    fn enter_with(&mut self, table: &Arc<Table>, key: &Key) {
        let address = std::ptr::from_ref(key) as usize;
        if address == self.current {
            return;
        }
        self.current = address;
        let builder = &mut self.builder;
        let (_, run) = self.runs.entry(address).or_insert_with(|| {
            let topic = builder.topic(&table.topic);
            let key = key.schema.as_ref().map_or(Form::BYTES, |schema| Form::connect(builder.schema(schema)));
            let value = Form::connect(builder.schema(&table.value_schema));
            (table.clone(), Run { records: 0, topic, origin: topic, partition: -1, key, value })
        });
        builder.run(*run);
    }

    /// Writes key and value of a record.
    #[inline]
    fn write(&mut self, table: &Table, keyed: RowRef<'_>, change: Change<'_>) -> Result<(), Error> {
        self.write_key(table, keyed)?;
        self.write_value(table, change)
    }

    #[inline]
    fn write_key(&mut self, table: &Table, (cells, bytes): RowRef<'_>) -> Result<(), Error> {
        let key = table.key_of(cells, bytes);
        if key.schema.is_none() {
            self.builder.key(None);
            return Ok(());
        }
        self.builder.try_key_with(|out| table.write_key(key, cells, bytes, out).map(|()| true))
    }

    #[inline]
    fn write_value(&mut self, table: &Table, change: Change<'_>) -> Result<(), Error> {
        self.prepare(table, change.origin);
        let frame = EventFrame { block: &self.block, metadata: self.metadata.as_ref(), stamp: &self.stamp };
        self.builder.try_value_with(|out| change.append(table, frame, out).map(|()| true))
    }

    fn append_value(&mut self, table: &Table, change: Change<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        self.prepare(table, change.origin);
        let frame = EventFrame { block: &self.block, metadata: self.metadata.as_ref(), stamp: &self.stamp };
        change.append(table, frame, out)
    }

    /// Brings what stands around the rows in step with the table and the change's origin.
    #[inline]
    fn prepare(&mut self, table: &Table, origin: &Origin<'_>) {
        if !self.block.is_of(self.current, origin) {
            self.block.fill(self.current, &self.head, &self.database, &table.source_names, origin);
        }
        if let Some(metadata) = &mut self.metadata {
            metadata.enter(self.current, Some(table));
        }
    }

    fn write_other_key(&mut self, table: &Table, (cells, bytes): RowRef<'_>) -> Result<(), Error> {
        self.other_key.clear();
        table.write_key(table.key_of(cells, bytes), cells, bytes, &mut self.other_key)
    }

    /// Names the other key, which is that of `row`, in a header of the record under way.
    fn name_other_key(&mut self, table: &Table, (cells, bytes): RowRef<'_>, header: &str) {
        if let Some(schema) = &table.key_of(cells, bytes).schema {
            let form = Form::connect(self.builder.schema(schema));
            self.builder.header(header, form, Some(&self.other_key));
        }
    }

    /// Ends the record that was written, or takes it back.
    #[inline]
    fn end(&mut self, written: Result<(), Error>) -> Result<(), Error> {
        match &written {
            Ok(()) => {
                self.headers.write(&mut self.builder);
                self.builder.end(None, None);
            }
            Err(_) => self.builder.undo(),
        }
        written
    }

    /// The same for a record that is an event of its transaction.
    #[inline]
    fn end_event(&mut self, written: Result<(), Error>) -> Result<(), Error> {
        self.end(written)?;
        if let Some(metadata) = &mut self.metadata {
            metadata.count();
        }
        Ok(())
    }
}

/// What stands around the rows of an event.
#[derive(Clone, Copy)]
struct EventFrame<'a> {
    block: &'a Block,
    metadata: Option<&'a Metadata>,
    stamp: &'a [u8],
}

impl Change<'_> {
    #[inline]
    fn append(&self, table: &Table, frame: EventFrame<'_>, out: &mut Vec<u8>) -> Result<(), Error> {
        for row in [self.before, self.after] {
            datum::write_long(out, i64::from(row.is_some()));
            if let Some((cells, bytes)) = row {
                table.write_row(cells, bytes, out)?;
            }
        }
        frame.block.write(self.origin.lsn, out);
        match frame.metadata {
            Some(metadata) => metadata.write_block(self.origin.lsn, self.ahead, out),
            None => datum::write_long(out, 0),
        }
        datum::write_bytes(out, self.operation.letter());
        out.extend_from_slice(frame.stamp);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
