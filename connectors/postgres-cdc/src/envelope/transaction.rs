//! Transaction metadata: how many events a transaction has brought, the block that says so in each event, and the records of its
//! begin and end. The counts are part of the stored offset, so that they go on after a restart inside of a transaction.

use towpath_model::{Form, Run, datum};

use super::Writer;
use crate::schema::Table;

/// What a transaction has brought so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransactionCounts {
    /// Its number.
    pub xid: u64,
    /// Events of all tables.
    pub total: u64,
    /// Events by `schema.table`, in the order of the first of each.
    pub tables: Vec<(String, u64)>,
}

/// The part of a writer that tells of transactions.
#[derive(Debug)]
pub(super) struct Metadata {
    topic: String,
    pub(super) counts: Option<TransactionCounts>,
    /// The address of the table that had the last event, and its place among the counts.
    last: (usize, usize),
}

/// What the events of messages count under.
pub(super) const MESSAGES: &str = "LOGICAL_DECODING_MESSAGE";

impl Metadata {
    pub(super) fn new(topic: String) -> Self {
        Self { topic, counts: None, last: (0, 0) }
    }

    /// Makes `address` the table, or the messages, of the next events.
    #[inline]
    pub(super) fn enter(&mut self, address: usize, table: Option<&Table>) {
        let Some(counts) = &mut self.counts else { return };
        if self.last.0 == address && self.last.1 < counts.tables.len() {
            return;
        }
        let name = table.map_or_else(|| MESSAGES.to_owned(), Table::path);
        let place = counts.tables.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            counts.tables.push((name, 0));
            counts.tables.len() - 1
        });
        self.last = (address, place);
    }

    /// Writes the block of the event that is `ahead` events after the last one counted.
    #[inline]
    pub(super) fn write_block(&self, lsn: u64, ahead: u64, out: &mut Vec<u8>) {
        let Some(counts) = &self.counts else {
            datum::write_long(out, 0);
            return;
        };
        let of_table = counts.tables.get(self.last.1).map_or(0, |(_, count)| *count);
        datum::write_long(out, 1);
        write_id(counts.xid, lsn, out);
        datum::write_long(out, (counts.total + ahead).cast_signed());
        datum::write_long(out, (of_table + ahead).cast_signed());
    }

    /// Counts an event that joined the batch.
    #[inline]
    pub(super) fn count(&mut self) {
        let Some(counts) = &mut self.counts else { return };
        counts.total += 1;
        if let Some((_, count)) = counts.tables.get_mut(self.last.1) {
            *count += 1;
        }
    }
}

/// `<transaction>:<place>`, as Debezium names a transaction; the place is the event's own.
fn write_id(xid: u64, lsn: u64, out: &mut Vec<u8>) {
    datum::write_bytes(out, format!("{xid}:{lsn}").as_bytes());
}

impl Writer {
    /// The counts of the transaction that is being written, if they are wanted.
    pub fn transaction(&self) -> Option<&TransactionCounts> {
        self.metadata.as_ref()?.counts.as_ref()
    }

    /// Goes on with these counts; none outside of a transaction.
    pub fn set_transaction(&mut self, counts: Option<TransactionCounts>) {
        if let Some(metadata) = &mut self.metadata {
            metadata.counts = counts;
            metadata.last = (0, usize::MAX);
        }
    }

    /// A transaction begins, committed at `ts_us`.
    pub fn begin_transaction(&mut self, xid: u64, lsn: u64, ts_us: i64) {
        if self.metadata.is_some() {
            self.set_transaction(Some(TransactionCounts { xid, ..TransactionCounts::default() }));
            self.tell("BEGIN", xid, lsn, ts_us, None);
        }
    }

    /// It ends.
    pub fn end_transaction(&mut self, lsn: u64, ts_us: i64) {
        if let Some(counts) = self.metadata.as_mut().and_then(|metadata| metadata.counts.take()) {
            self.tell("END", counts.xid, lsn, ts_us, Some(&counts));
        }
    }

    fn tell(&mut self, status: &str, xid: u64, lsn: u64, ts_us: i64, counts: Option<&TransactionCounts>) {
        let Some(metadata) = &self.metadata else { return };
        let topic = self.builder.topic(&metadata.topic);
        let (key, value) = (self.schemas.transaction_key.clone(), self.schemas.transaction_value.clone());
        let (key, value) = (Form::connect(self.builder.schema(&key)), Form::connect(self.builder.schema(&value)));
        // The next event enters its table's run again.
        self.current = 0;
        self.builder.run(Run { records: 0, topic, origin: topic, partition: -1, key, value });
        self.other_key.clear();
        write_id(xid, lsn, &mut self.other_key);
        let out = &mut self.value;
        out.clear();
        datum::write_bytes(out, status.as_bytes());
        write_id(xid, lsn, out);
        datum::write_long(out, i64::from(counts.is_some()));
        if let Some(counts) = counts {
            datum::write_long(out, counts.total.cast_signed());
        }
        datum::write_long(out, i64::from(counts.is_some()));
        if let Some(counts) = counts {
            if !counts.tables.is_empty() {
                datum::write_long(out, counts.tables.len() as i64);
            }
            for (table, count) in &counts.tables {
                // The struct itself may be null.
                datum::write_long(out, 1);
                datum::write_bytes(out, table.as_bytes());
                datum::write_long(out, count.cast_signed());
            }
            datum::write_long(out, 0);
        }
        datum::write_long(out, ts_us.div_euclid(1000));
        self.builder.key(Some(&self.other_key));
        self.builder.value(Some(&self.value));
        self.builder.end(None, None);
    }
}
