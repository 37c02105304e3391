//! Records of messages that applications put into the log with `pg_logical_emit_message`.

use towpath_model::{Form, Run, datum};

use super::{Origin, Writer};
use crate::value::BinaryMode;

/// A message of an application.
#[derive(Clone, Copy, Debug)]
pub struct LogicalMessage<'a> {
    /// What kind of message it is, by the application's own rules.
    pub prefix: &'a str,
    /// What it says.
    pub content: &'a [u8],
    /// Whether it belongs to the transaction of its origin.
    pub transactional: bool,
}

/// Stands where a table's address would; no table is there.
const ADDRESS: usize = 1;

impl Writer {
    /// A message.
    pub fn message(&mut self, message: LogicalMessage<'_>, origin: &Origin<'_>, mode: BinaryMode) {
        self.separate_headers();
        let topic = self.builder.topic(&self.schemas.message_topic);
        let (key, value) = (self.schemas.message_key.clone(), self.schemas.message_value.clone());
        let (key, value) = (Form::connect(self.builder.schema(&key)), Form::connect(self.builder.schema(&value)));
        self.current = ADDRESS;
        self.builder.run(Run { records: 0, topic, origin: topic, partition: -1, key, value });
        self.other_key.clear();
        datum::write_long(&mut self.other_key, 1);
        datum::write_bytes(&mut self.other_key, message.prefix.as_bytes());
        let out = &mut self.value;
        out.clear();
        datum::write_bytes(out, b"m");
        // The first of the three stamps: branch and milliseconds.
        datum::write_long(out, 1);
        datum::write_long(out, self.now.0 / 1_000_000);
        if !self.block.is_of(ADDRESS, origin) {
            // Neither schema nor table.
            self.block.fill(ADDRESS, &self.head, &self.database, &[0, 0], origin);
        }
        self.block.write(origin.lsn, out);
        match self.metadata.as_mut().filter(|_| message.transactional) {
            Some(metadata) => {
                metadata.enter(ADDRESS, None);
                metadata.write_block(origin.lsn, 1, out);
                metadata.count();
            }
            None => datum::write_long(out, 0),
        }
        datum::write_long(out, 1);
        datum::write_bytes(out, message.prefix.as_bytes());
        datum::write_long(out, 1);
        mode.write(message.content, out);
        self.builder.key(Some(&self.other_key));
        self.builder.value(Some(&self.value));
        self.builder.end(None, None);
    }
}
