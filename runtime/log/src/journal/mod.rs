//! The one journal that all partitions share: a commit is a frame in it, and durable when its frame is.
//!
//! `frame` draws a frame, `writer` fills preallocated files and hands them out again, `scan` reads them back after a
//! crash and tells a torn tail from damage to what was acknowledged. Who assigns offsets is `sequencer`, above.

mod frame;
mod scan;
mod writer;

pub(crate) use frame::{FRAME_HEAD_BYTES, FrameBuilder, Placed, entries};
pub(crate) use scan::{Frames, Scan};
pub(crate) use writer::{JournalWriter, NoSpace, file_names};
