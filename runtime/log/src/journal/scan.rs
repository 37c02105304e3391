//! Reads the journal back: which frames are there, where the run of whole ones ends, and whether that end may be.
//!
//! Unsynced writes reach a disk in any order, so a sound frame after a bad one proves nothing by itself. But every frame
//! says which sequence was durable when it was written. A gap at or below the highest such number is damage to what was
//! acknowledged; above it is the torn tail of a crash, dropped even where later frames are sound.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;

use super::frame::{Frame, MAGIC};

/// The frames of one epoch, beyond those that segments already hold.
pub(crate) struct Scan {
    epoch: u64,
    after: u64,
    found: BTreeMap<u64, Found>,
    durable: u64,
    files: Vec<Bytes>,
}

struct Found {
    file: usize,
    range: Range<usize>,
}

/// What a scan found.
pub(crate) enum Scanned {
    /// All frames that count, in order, each with its sequence.
    Sound(Vec<(u64, Bytes)>),
    /// The frame with this sequence was durable once and is not whole now.
    Damaged {
        /// Its sequence.
        sequence: u64,
        /// The highest sequence that is known to have been durable.
        durable: u64,
        /// The file and the place after which it was expected.
        place: String,
    },
}

impl Scan {
    /// A scan for frames of `epoch` with a sequence above `after`.
    pub(crate) fn new(epoch: u64, after: u64) -> Self {
        Self { epoch, after, found: BTreeMap::new(), durable: after, files: Vec::new() }
    }

    /// Looks through one file.
    pub(crate) fn file(&mut self, content: Vec<u8>) {
        let content = Bytes::from(content);
        let file = self.files.len();
        let mut at = 0;
        while let Some(frame_at) = next_magic(&content, at) {
            let Some(frame) = content.get(frame_at..).and_then(Frame::parse) else {
                at = frame_at + 1;
                continue;
            };
            if frame.epoch == self.epoch {
                self.durable = self.durable.max(frame.durable);
                if frame.sequence > self.after {
                    let range = frame_at..frame_at + frame.bytes;
                    self.found.insert(frame.sequence, Found { file, range });
                }
            }
            at = frame_at + frame.bytes;
        }
        self.files.push(content);
    }

    /// Judges what was found. `names` are the files in the order they were given.
    pub(crate) fn finish(self, names: &[String]) -> Scanned {
        let mut frames = Vec::new();
        let mut place = "the beginning of the journal".to_owned();
        let mut expected = self.after + 1;
        while let Some(found) = self.found.get(&expected) {
            let name = names.get(found.file).map_or("?", String::as_str);
            place = format!("byte {} of {name}", found.range.end);
            if let Some(content) = self.files.get(found.file) {
                frames.push((expected, content.slice(found.range.clone())));
            }
            expected += 1;
        }
        if expected <= self.durable {
            return Scanned::Damaged { sequence: expected, durable: self.durable, place };
        }
        Scanned::Sound(frames)
    }
}

fn next_magic(content: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        let rest = content.get(at..)?;
        at += rest.iter().position(|byte| *byte == MAGIC[0])?;
        if content.get(at..)?.starts_with(&MAGIC) {
            return Some(at);
        }
        at += 1;
    }
}
