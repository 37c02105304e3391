//! Kafka's compression codecs: gzip, snappy in xerial's framing, lz4 frames, zstd.
//!
//! Decompression is bounded by [`DECOMPRESSED_MAX`], so a small batch cannot ask for all memory.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{Read, Write};

use super::Damaged;
use crate::engine::Compression;

/// What one batch may grow to when decompressed; nothing larger is ever written.
pub(crate) const DECOMPRESSED_MAX: u64 = 128 << 20;
const XERIAL_MAGIC: &[u8; 8] = b"\x82SNAPPY\0";
const XERIAL_HEAD_BYTES: usize = 16;
/// The block size of Java's SnappyOutputStream.
const XERIAL_BLOCK_BYTES: usize = 32 << 10;
const ZSTD_LEVEL: i32 = 1;

/// A codec as the attributes of a batch name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Codec(pub(super) Compression);

impl Codec {
    pub(super) fn from_bits(bits: i16) -> Result<Self, Damaged> {
        Ok(Self(match bits {
            0 => Compression::None,
            1 => Compression::Gzip,
            2 => Compression::Snappy,
            3 => Compression::Lz4,
            4 => Compression::Zstd,
            _ => return Err(Damaged("a batch names an unknown compression")),
        }))
    }

    pub(super) fn bits(self) -> i16 {
        match self.0 {
            Compression::None => 0,
            Compression::Gzip => 1,
            Compression::Snappy => 2,
            Compression::Lz4 => 3,
            Compression::Zstd => 4,
        }
    }

    /// Appends `records` to `out`, compressed.
    pub(super) fn compress(self, records: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
        match self.0 {
            Compression::None => out.extend_from_slice(records),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::default());
                encoder.write_all(records)?;
                encoder.finish()?;
            }
            Compression::Snappy => compress_xerial(records, out)?,
            Compression::Lz4 => {
                use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
                let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
                let mut encoder = FrameEncoder::with_frame_info(frame, out);
                encoder.write_all(records)?;
                encoder.finish().map_err(std::io::Error::other)?;
            }
            Compression::Zstd => compress_zstd(records, out)?,
        }
        Ok(())
    }

    /// The records as they were before compression.
    pub(super) fn decompress(self, stored: &[u8]) -> Result<Cow<'_, [u8]>, Damaged> {
        let fault = Damaged("the records of a batch do not decompress");
        let all = |reader: &mut dyn Read| {
            let mut out = Vec::with_capacity(stored.len().saturating_mul(3));
            let read = reader.take(DECOMPRESSED_MAX + 1).read_to_end(&mut out).map_err(|_| fault)?;
            if read as u64 > DECOMPRESSED_MAX { Err(fault) } else { Ok(Cow::Owned(out)) }
        };
        match self.0 {
            Compression::None => Ok(Cow::Borrowed(stored)),
            Compression::Gzip => all(&mut flate2::read::MultiGzDecoder::new(stored)),
            Compression::Snappy => decompress_snappy(stored).map(Cow::Owned).ok_or(fault),
            Compression::Lz4 => all(&mut lz4_flex::frame::FrameDecoder::new(stored)),
            Compression::Zstd => match decompress_zstd(stored) {
                Some(records) => Ok(Cow::Owned(records)),
                None => all(&mut zstd::stream::read::Decoder::with_buffer(stored).map_err(|_| fault)?),
            },
        }
    }
}

fn compress_zstd(records: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    thread_local! {
        static COMPRESSOR: RefCell<Option<zstd::bulk::Compressor<'static>>> = const { RefCell::new(None) };
    }
    let bound = zstd::zstd_safe::compress_bound(records.len());
    let at = out.len();
    out.resize(at + bound, 0);
    let written = COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => slot.insert(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
        };
        compressor.compress_to_buffer(records, &mut out[at..])
    })?;
    out.truncate(at + written);
    Ok(())
}

/// Where the frame says how large its content is, as those written here do.
fn decompress_zstd(stored: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    let claimed = zstd::zstd_safe::get_frame_content_size(stored).ok()??;
    if claimed > DECOMPRESSED_MAX {
        return None;
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        decompressor.decompress(stored, usize::try_from(claimed).ok()?).ok()
    })
}

fn compress_xerial(records: &[u8], out: &mut Vec<u8>) -> std::io::Result<()> {
    out.extend_from_slice(XERIAL_MAGIC);
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut encoder = snap::raw::Encoder::new();
    for block in records.chunks(XERIAL_BLOCK_BYTES) {
        let length_at = out.len();
        out.resize(length_at + 4 + snap::raw::max_compress_len(block.len()), 0);
        let written = encoder.compress(block, &mut out[length_at + 4..])?;
        out.truncate(length_at + 4 + written);
        let length = i32::try_from(written).expect("a block of 32 KiB stays small");
        out[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// Xerial's framing, or one bare block as some clients send it.
fn decompress_snappy(stored: &[u8]) -> Option<Vec<u8>> {
    if !stored.starts_with(XERIAL_MAGIC) {
        return decompress_block(stored);
    }
    let mut rest = stored.get(XERIAL_HEAD_BYTES..)?;
    let mut out = Vec::with_capacity(stored.len().saturating_mul(3));
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = usize::try_from(i32::from_be_bytes(*length)).ok()?;
        out.extend_from_slice(&decompress_block(after.get(..length)?)?);
        if out.len() as u64 > DECOMPRESSED_MAX {
            return None;
        }
        rest = after.get(length..)?;
    }
    rest.is_empty().then_some(out)
}

fn decompress_block(block: &[u8]) -> Option<Vec<u8>> {
    let claimed = snap::raw::decompress_len(block).ok()?;
    if claimed as u64 > DECOMPRESSED_MAX {
        return None;
    }
    snap::raw::Decoder::new().decompress_vec(block).ok()
}
