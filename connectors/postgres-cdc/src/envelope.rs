//! Writes records: key, envelope, tombstone and headers, into one batch.
//!
//! All that is constant (the head of the source block, schemas, topics) is written once; a record costs no allocation. A
//! record is put together apart and joins the batch whole, so that a value that cannot be represented leaves no half of it.

mod block;
mod message;
mod transaction;

pub use message::LogicalMessage;
pub use transaction::TransactionCounts;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use towpath_model::{Batch, BatchBuilder, CommonHeader, Form, Run, datum};

use block::Block;

use crate::error::Error;
use crate::schema::{STRING_SCHEMA, SharedSchemas, Source, Table};
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
    /// Where the transaction came from, on a server that is itself a replica.
    pub upstream: Option<(&'a str, u64)>,
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
    /// Runs of the tables in this batch, by the table's address; holding the table keeps the address its own.
    runs: HashMap<usize, (Arc<Table>, Run)>,
    current: usize,
    /// Version, connector and name.
    head: Vec<u8>,
    database: Vec<u8>,
    headers: Vec<(&'static str, Bytes)>,
    tombstones: bool,
    schemas: Arc<SharedSchemas>,
    /// Tells of transactions, where that is wanted.
    metadata: Option<Metadata>,
    /// The moment that records are stamped with, and how it stands at their end.
    now: Moment,
    stamp: Vec<u8>,
    block: Block,
    key: Vec<u8>,
    value: Vec<u8>,
    other_key: Vec<u8>,
}

impl Writer {
    /// A writer for a source. `headers` stand on every record.
    pub fn new(source: &Source, tombstones: bool, headers: &[(&'static str, &str)]) -> Self {
        let mut head = Vec::new();
        for text in [env!("CARGO_PKG_VERSION"), "postgresql", &source.name] {
            datum::write_bytes(&mut head, text.as_bytes());
        }
        let mut database = Vec::new();
        datum::write_bytes(&mut database, source.database.as_bytes());
        let header = |(name, text): &(&'static str, &str)| {
            let mut value = Vec::new();
            datum::write_bytes(&mut value, text.as_bytes());
            (*name, Bytes::from(value))
        };
        let mut writer = Self {
            builder: BatchBuilder::default(),
            runs: HashMap::new(),
            current: 0,
            head,
            database,
            headers: headers.iter().map(header).collect(),
            tombstones,
            schemas: Arc::new(source.schemas.clone()),
            metadata: source.transaction_topic.clone().map(Metadata::new),
            now: Moment::default(),
            stamp: Vec::new(),
            block: Block::default(),
            key: Vec::new(),
            value: Vec::new(),
            other_key: Vec::new(),
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
        self.runs.clear();
        self.current = 0;
        // Tables of this batch are held by their runs; those of the last may be gone, and their addresses taken.
        self.block = Block::default();
        if !self.headers.is_empty() {
            let form = Form::connect(self.builder.schema(STRING_SCHEMA));
            for (name, value) in &self.headers {
                self.builder.common_header(CommonHeader { name: (*name).into(), form, value: Some(value.clone()) });
            }
        }
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
        self.enter(table);
        self.write_key(table, after)?;
        self.write_value(table, operation, before, Some(after), origin, 1)?;
        self.push(table, true, None);
        Ok(())
    }

    /// A row deleted, and its tombstone.
    pub fn delete(&mut self, table: &Arc<Table>, before: RowRef<'_>, origin: &Origin<'_>) -> Result<(), Error> {
        self.enter(table);
        self.write_key(table, before)?;
        self.write_value(table, Operation::Delete, Some(before), None, origin, 1)?;
        self.push(table, true, None);
        if self.tombstones && table.key_schema.is_some() {
            self.push(table, false, None);
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
        self.enter(table);
        self.write_key(table, after)?;
        std::mem::swap(&mut self.key, &mut self.other_key);
        self.write_key(table, before)?;
        self.write_value(table, Operation::Delete, Some(before), None, origin, 1)?;
        // Both values are written before either record joins the batch.
        let created = {
            let deleted = std::mem::take(&mut self.value);
            self.write_value(table, Operation::Create, None, Some(after), origin, 2)?;
            std::mem::replace(&mut self.value, deleted)
        };
        self.push(table, true, Some(NEW_KEY));
        if self.tombstones {
            self.push(table, false, Some(NEW_KEY));
        }
        self.value = created;
        std::mem::swap(&mut self.key, &mut self.other_key);
        self.push(table, true, Some(OLD_KEY));
        Ok(())
    }

    /// A table emptied.
    pub fn truncate(&mut self, table: &Arc<Table>, origin: &Origin<'_>) -> Result<(), Error> {
        self.enter(table);
        self.write_value(table, Operation::Truncate, None, None, origin, 1)?;
        self.builder.key(None);
        self.builder.value(Some(&self.value));
        self.builder.end(None, None);
        self.count();
        Ok(())
    }

    /// Makes the table's run the current one.
    #[inline]
    fn enter(&mut self, table: &Arc<Table>) {
        let address = Arc::as_ptr(table) as usize;
        if address == self.current {
            return;
        }
        self.current = address;
        let builder = &mut self.builder;
        let (_, run) = self.runs.entry(address).or_insert_with(|| {
            let topic = builder.topic(&table.topic);
            let key = table.key_schema.as_ref().map_or(Form::BYTES, |schema| Form::connect(builder.schema(schema)));
            let value = Form::connect(builder.schema(&table.value_schema));
            (table.clone(), Run { records: 0, topic, origin: topic, partition: -1, key, value })
        });
        builder.run(*run);
    }

    fn write_key(&mut self, table: &Table, (cells, bytes): RowRef<'_>) -> Result<(), Error> {
        self.key.clear();
        table.write_key(cells, bytes, &mut self.key)
    }

    #[inline]
    fn write_value(
        &mut self,
        table: &Table,
        operation: Operation,
        before: Option<RowRef<'_>>,
        after: Option<RowRef<'_>>,
        origin: &Origin<'_>,
        ahead: u64,
    ) -> Result<(), Error> {
        let out = &mut self.value;
        out.clear();
        for row in [before, after] {
            datum::write_long(out, i64::from(row.is_some()));
            if let Some((cells, bytes)) = row {
                table.write_row(cells, bytes, out)?;
            }
        }
        if !self.block.is_of(self.current, origin) {
            self.block.fill(self.current, &self.head, &self.database, &table.source_names, origin);
        }
        self.block.write(origin.lsn, out);
        match &mut self.metadata {
            Some(metadata) => {
                metadata.enter(self.current, Some(table));
                metadata.write_block(origin.lsn, ahead, out);
            }
            None => datum::write_long(out, 0),
        }
        datum::write_bytes(out, operation.letter());
        out.extend_from_slice(&self.stamp);
        Ok(())
    }

    /// Puts the record that is written into the batch, with the other key as a header when one is named.
    #[inline]
    fn push(&mut self, table: &Table, with_value: bool, header: Option<&str>) {
        self.builder.key(table.key_schema.is_some().then_some(&self.key));
        self.builder.value(with_value.then_some(&self.value));
        if let (Some(name), Some(schema)) = (header, &table.key_schema) {
            let form = Form::connect(self.builder.schema(schema));
            self.builder.header(name, form, Some(&self.other_key));
        }
        self.builder.end(None, None);
        if with_value {
            self.count();
        }
    }

    /// Counts an event of the transaction.
    #[inline]
    fn count(&mut self) {
        if let Some(metadata) = &mut self.metadata {
            metadata.count();
        }
    }
}

#[cfg(test)]
mod tests;
