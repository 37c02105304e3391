//! The head of a record batch: 61 bytes, big-endian, as drawn in `FORMAT.md`.
//!
//! Base offset and leader epoch lie outside the checksum, so the sequencer may set them after encoding.

use super::Damaged;
use super::compress::Codec;

/// Bytes ahead of the records.
pub(crate) const HEADER_BYTES: usize = 61;
/// Bytes of base offset and length, which the length itself does not count.
pub(crate) const LENGTH_PREFIX_BYTES: usize = 12;

const MAGIC: u8 = 2;
const CRC_FROM: usize = 21;
const COMPRESSION_MASK: i16 = 0x07;
const LOG_APPEND_TIME: i16 = 0x08;
const TRANSACTIONAL: i16 = 0x10;
const CONTROL: i16 = 0x20;
const DELETE_HORIZON: i16 = 0x40;

/// What a batch says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    /// Offset of the first record, or of the first that was there before compaction.
    pub(crate) base_offset: i64,
    /// Bytes of the whole batch.
    pub(crate) bytes: usize,
    /// Since which restart that may have lost something the partition has been written without one.
    pub(crate) leader_epoch: i32,
    crc: u32,
    attributes: i16,
    last_offset_delta: i32,
    /// What the records' timestamps are relative to.
    pub(crate) base_timestamp: i64,
    /// The largest timestamp.
    pub(crate) max_timestamp: i64,
    /// The producer that numbers its records, or -1.
    pub(crate) producer_id: i64,
    pub(crate) producer_epoch: i16,
    /// The producer's number of the first record.
    pub(crate) base_sequence: i32,
    /// How many records.
    pub(crate) records: i32,
}

impl BatchHeader {
    /// Reads the head of a batch from the front of `input`, which may be shorter or longer than the batch.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, Damaged> {
        let head: &[u8; HEADER_BYTES] = input.first_chunk().ok_or(Damaged("a batch ends within its head"))?;
        let length = i32::from_be_bytes(field(head, 8));
        let bytes = usize::try_from(length).unwrap_or(0) + LENGTH_PREFIX_BYTES;
        let header = Self {
            base_offset: i64::from_be_bytes(field(head, 0)),
            bytes,
            leader_epoch: i32::from_be_bytes(field(head, 12)),
            crc: u32::from_be_bytes(field(head, 17)),
            attributes: i16::from_be_bytes(field(head, 21)),
            last_offset_delta: i32::from_be_bytes(field(head, 23)),
            base_timestamp: i64::from_be_bytes(field(head, 27)),
            max_timestamp: i64::from_be_bytes(field(head, 35)),
            producer_id: i64::from_be_bytes(field(head, 43)),
            producer_epoch: i16::from_be_bytes(field(head, 51)),
            base_sequence: i32::from_be_bytes(field(head, 53)),
            records: i32::from_be_bytes(field(head, 57)),
        };
        let sound = head[16] == MAGIC
            && bytes >= HEADER_BYTES
            && header.base_offset >= 0
            && header.last_offset_delta >= 0
            && header.records >= 0
            && header.records <= header.last_offset_delta.saturating_add(1)
            && header.base_offset.checked_add(i64::from(header.last_offset_delta)).is_some_and(|last| last < i64::MAX);
        if sound { Ok(header) } else { Err(Damaged("this is no head of a batch")) }
    }

    /// Reads a whole batch and compares its checksum.
    pub(crate) fn verify(batch: &[u8]) -> Result<Self, Damaged> {
        let header = Self::parse(batch)?;
        if batch.len() != header.bytes {
            return Err(Damaged("a batch is cut short"));
        }
        let covered = batch.get(CRC_FROM..).unwrap_or_default();
        if crc32c::crc32c(covered) == header.crc { Ok(header) } else { Err(Damaged("the checksum of a batch differs")) }
    }

    /// The offset after the last record.
    pub(crate) fn next_offset(&self) -> i64 {
        self.last_offset() + 1
    }

    /// The offset of the last record, or of the last that was there before compaction.
    pub(crate) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Whether all records carry the time of their append in place of their own.
    pub(crate) fn log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    /// Whether it belongs to a transaction.
    pub(crate) fn transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether its records number every offset it covers, as those of a producer do.
    pub(crate) fn dense(&self) -> bool {
        self.records > 0 && self.records - 1 == self.last_offset_delta
    }

    /// Whether its attributes are those that a client may choose.
    pub(crate) fn plain(&self) -> bool {
        self.attributes & !(COMPRESSION_MASK | TRANSACTIONAL) == 0
    }

    /// Whether it holds markers of transactions, which no consumer sees.
    pub(crate) fn control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// From when on compaction may remove what it has kept for readers to see: removals, and markers of transactions.
    pub(crate) fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// Whether it carries numbers of an idempotent producer, as opposed to what the log writes in the name of one.
    pub(crate) fn numbered(&self) -> bool {
        self.producer_id >= 0 && self.base_sequence >= 0
    }

    /// How the records are compressed.
    pub(crate) fn codec(&self) -> Result<Codec, Damaged> {
        Codec::from_bits(self.attributes & COMPRESSION_MASK)
    }
}

/// What the encoder knows of a batch when its records are written.
pub(super) struct NewHeader {
    pub(super) codec: Codec,
    pub(super) log_append_time: bool,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) records: i32,
}

/// Fills the head of `batch`, whose records are in place, with base offset and leader epoch zero.
pub(super) fn write(batch: &mut [u8], new: &NewHeader) {
    let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).expect("a batch is below 2 GiB");
    let attributes = new.codec.bits() | if new.log_append_time { LOG_APPEND_TIME } else { 0 };
    set(batch, 0, 0i64.to_be_bytes());
    set(batch, 8, length.to_be_bytes());
    set_leader_epoch(batch, 0);
    set(batch, 16, [MAGIC]);
    set(batch, 21, attributes.to_be_bytes());
    set(batch, 23, new.last_offset_delta.to_be_bytes());
    set(batch, 27, new.base_timestamp.to_be_bytes());
    set(batch, 35, new.max_timestamp.to_be_bytes());
    set(batch, 43, (-1i64).to_be_bytes());
    set(batch, 51, (-1i16).to_be_bytes());
    set(batch, 53, (-1i32).to_be_bytes());
    set(batch, 57, new.records.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    set(batch, 17, crc.to_be_bytes());
}

/// Brings the head of a batch in line with records that were taken out of it, and notes the delete horizon that their timestamps
/// are relative to from then on.
pub(super) fn set_rewritten(batch: &mut [u8], records: i32, max_timestamp: i64, horizon: Option<i64>) {
    let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).expect("a batch is below 2 GiB");
    set(batch, 8, length.to_be_bytes());
    if let Some(horizon) = horizon {
        let attributes = i16::from_be_bytes([batch[21], batch[22]]) | DELETE_HORIZON;
        set(batch, 21, attributes.to_be_bytes());
        set(batch, 27, horizon.to_be_bytes());
    }
    set(batch, 35, max_timestamp.to_be_bytes());
    set(batch, 57, records.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    set(batch, 17, crc.to_be_bytes());
}

/// Makes records that were compressed anew, or their one timestamp, known to the head of a batch.
pub(super) fn set_changed(batch: &mut [u8], codec: Codec, append_time: Option<i64>) {
    let length = i32::try_from(batch.len() - LENGTH_PREFIX_BYTES).expect("a batch is below 2 GiB");
    let mut attributes = i16::from_be_bytes([batch[21], batch[22]]) & !COMPRESSION_MASK | codec.bits();
    if let Some(now_ms) = append_time {
        attributes |= LOG_APPEND_TIME;
        set(batch, 35, now_ms.to_be_bytes());
    }
    set(batch, 8, length.to_be_bytes());
    set(batch, 21, attributes.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    set(batch, 17, crc.to_be_bytes());
}

/// Makes a batch part of a producer's transaction, as records of its own or as the marker that ends it.
pub(crate) fn set_transactional(batch: &mut [u8], (id, epoch): (i64, i16), control: bool) {
    let attributes = i16::from_be_bytes([batch[21], batch[22]]) | TRANSACTIONAL | if control { CONTROL } else { 0 };
    set(batch, 21, attributes.to_be_bytes());
    set(batch, 43, id.to_be_bytes());
    set(batch, 51, epoch.to_be_bytes());
    let crc = crc32c::crc32c(&batch[CRC_FROM..]);
    set(batch, 17, crc.to_be_bytes());
}

/// Says under which leader epoch a batch was appended.
pub(crate) fn set_leader_epoch(batch: &mut [u8], epoch: i32) {
    set(batch, 12, epoch.to_be_bytes());
}

/// Gives a batch its place in the log.
pub(crate) fn set_base_offset(batch: &mut [u8], base_offset: i64) {
    set(batch, 0, base_offset.to_be_bytes());
}

fn set<const N: usize>(batch: &mut [u8], at: usize, value: [u8; N]) {
    batch[at..at + N].copy_from_slice(&value);
}

fn field<const N: usize>(head: &[u8; HEADER_BYTES], at: usize) -> [u8; N] {
    let mut value = [0; N];
    value.copy_from_slice(&head[at..at + N]);
    value
}
