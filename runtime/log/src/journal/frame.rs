//! A frame: the unit that is durable whole or not at all. Big-endian, drawn in `FORMAT.md`.
//!
//! ```text
//!  0  magic "TWJF"        4
//!  4  payload length      4
//!  8  sequence            8   one more than the frame before
//! 16  epoch               8   which run of the engine wrote it
//! 24  durable             8   highest sequence known durable when it was written
//! 32  crc32c              4   of bytes 0..32 and the payload
//! 36  payload                 entries: topic id 16, partition 4, length 4, record batch
//! ```
//! A frame without payload is a mark: it only carries `durable` to the disk.

use uuid::Uuid;

use crate::codec::{BatchHeader, Damaged};

/// Bytes ahead of the payload.
pub(crate) const FRAME_HEAD_BYTES: usize = 36;
pub(super) const MAGIC: [u8; 4] = *b"TWJF";
const CRC_AT: usize = 32;
const ENTRY_HEAD_BYTES: usize = 24;

/// Where a batch lies in a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    /// Where its bytes begin.
    pub(crate) at: usize,
    /// How many.
    pub(crate) bytes: usize,
}

/// Builds a frame around the batches that are written into it.
#[derive(Debug)]
pub(crate) struct FrameBuilder {
    bytes: Vec<u8>,
}

impl FrameBuilder {
    /// A builder with room for about that many bytes.
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        let mut frame = Vec::with_capacity(FRAME_HEAD_BYTES + bytes);
        frame.resize(FRAME_HEAD_BYTES, 0);
        Self { bytes: frame }
    }

    /// A builder that goes on with a frame.
    pub(crate) fn resume(frame: Vec<u8>) -> Self {
        Self { bytes: frame }
    }

    /// Adds an entry whose batch `write` appends to the buffer.
    pub(crate) fn entry(
        &mut self,
        topic: Uuid,
        partition: i32,
        write: impl FnOnce(&mut Vec<u8>) -> std::io::Result<()>,
    ) -> std::io::Result<Placed> {
        self.bytes.extend_from_slice(topic.as_bytes());
        self.bytes.extend_from_slice(&partition.to_be_bytes());
        let length_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        let at = self.bytes.len();
        write(&mut self.bytes)?;
        let bytes = self.bytes.len() - at;
        let length = u32::try_from(bytes).expect("a batch is below 2 GiB");
        self.bytes[length_at..at].copy_from_slice(&length.to_be_bytes());
        Ok(Placed { at, bytes })
    }

    /// Bytes of the frame so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes of an entry's batch.
    pub(crate) fn slice(&self, placed: Placed) -> &[u8] {
        self.bytes.get(placed.at..placed.at + placed.bytes).unwrap_or_default()
    }

    /// The frame, still without head. It will be kept for a while, so room that compression left unused is given back.
    pub(crate) fn into_bytes(mut self) -> Vec<u8> {
        if self.bytes.capacity() > 2 * self.bytes.len() {
            self.bytes.shrink_to_fit();
        }
        self.bytes
    }
}

/// Returns the head that makes `frame` (of which the first bytes are left for it) the one with this sequence.
pub(crate) fn seal(frame: &[u8], sequence: u64, epoch: u64, durable: u64) -> [u8; FRAME_HEAD_BYTES] {
    let payload = frame.get(FRAME_HEAD_BYTES..).unwrap_or_default();
    let length = u32::try_from(payload.len()).expect("a commit is bounded far below 4 GiB");
    let mut head = [0; FRAME_HEAD_BYTES];
    head[..4].copy_from_slice(&MAGIC);
    head[4..8].copy_from_slice(&length.to_be_bytes());
    head[8..16].copy_from_slice(&sequence.to_be_bytes());
    head[16..24].copy_from_slice(&epoch.to_be_bytes());
    head[24..32].copy_from_slice(&durable.to_be_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..CRC_AT]), payload);
    head[CRC_AT..].copy_from_slice(&crc.to_be_bytes());
    head
}

/// A frame as it was read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) sequence: u64,
    pub(super) epoch: u64,
    pub(super) durable: u64,
    /// Bytes with the head.
    pub(super) bytes: usize,
}

impl Frame {
    /// Reads a frame from the front of `input`; none when there is no sound one.
    pub(super) fn parse(input: &[u8]) -> Option<Self> {
        let head: &[u8; FRAME_HEAD_BYTES] = input.first_chunk()?;
        if head[..4] != MAGIC {
            return None;
        }
        let length = u32::from_be_bytes(*head[4..].first_chunk()?) as usize;
        let payload = input.get(FRAME_HEAD_BYTES..FRAME_HEAD_BYTES.checked_add(length)?)?;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..CRC_AT]), payload);
        let number = |at: usize| head[at..].first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
        let frame =
            Self { sequence: number(8)?, epoch: number(16)?, durable: number(24)?, bytes: FRAME_HEAD_BYTES + length };
        (crc.to_be_bytes() == head[CRC_AT..]).then_some(frame)
    }
}

/// One batch of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The topic's id.
    pub(crate) topic: Uuid,
    /// The partition.
    pub(crate) partition: i32,
    /// Where the batch lies in the frame.
    pub(crate) placed: Placed,
    /// What the batch says of itself.
    pub(crate) header: BatchHeader,
}

/// The entries of a frame that has been found sound.
pub(crate) fn entries(frame: &[u8]) -> Result<Vec<Entry>, Damaged> {
    let cut = Damaged("an entry of a frame is cut short");
    let mut entries = Vec::new();
    let mut at = FRAME_HEAD_BYTES;
    while at < frame.len() {
        let head: &[u8; ENTRY_HEAD_BYTES] = frame.get(at..).and_then(<[u8]>::first_chunk).ok_or(cut)?;
        let topic = Uuid::from_bytes(*head.first_chunk().ok_or(cut)?);
        let partition = i32::from_be_bytes(*head[16..].first_chunk().ok_or(cut)?);
        let bytes = u32::from_be_bytes(*head[20..].first_chunk().ok_or(cut)?) as usize;
        at += ENTRY_HEAD_BYTES;
        let header = BatchHeader::verify(frame.get(at..at.saturating_add(bytes)).ok_or(cut)?)?;
        entries.push(Entry { topic, partition, placed: Placed { at, bytes }, header });
        at += bytes;
    }
    Ok(entries)
}
