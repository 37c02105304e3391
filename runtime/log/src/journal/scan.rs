//! Reads the journal back: which frames are there, where the run of whole ones ends, and whether that end may be.
//!
//! Unsynced writes reach a disk in any order, so a sound frame after a bad one proves nothing by itself. But every frame
//! says which sequence was durable when it was written. A gap at or below the highest such number is damage to what was
//! acknowledged; above it is the torn tail of a crash, dropped even where later frames are sound.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use bytes::Bytes;

use super::frame::{Frame, MAGIC};
use crate::error::Error;

/// The frames of one epoch, beyond those that segments already hold.
pub(crate) struct Scan {
    epoch: u64,
    after: u64,
    found: BTreeMap<u64, Found>,
    durable: u64,
    files: Vec<(String, Bytes)>,
}

struct Found {
    file: usize,
    range: Range<usize>,
}

/// Frames in order, each with its sequence.
pub(crate) type Frames = Vec<(u64, Bytes)>;

impl Scan {
    /// A scan for frames of `epoch` with a sequence above `after`.
    pub(crate) fn new(epoch: u64, after: u64) -> Self {
        Self { epoch, after, found: BTreeMap::new(), durable: after, files: Vec::new() }
    }

    /// Looks through one file.
    pub(crate) fn file(&mut self, name: String, content: Vec<u8>) {
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
        self.files.push((name, content));
    }

    /// All frames that count.
    ///
    /// # Errors
    /// Where one that was durable once is not whole now; `dir` is where the journal lies.
    pub(crate) fn finish(&self, dir: &Path) -> Result<Frames, Error> {
        let mut frames = Vec::new();
        let mut place = "the beginning of the journal".to_owned();
        let mut expected = self.after + 1;
        while let Some((name, range, frame)) = self.frame(expected) {
            place = format!("byte {} of {name}", range.end);
            frames.push((expected, frame));
            expected += 1;
        }
        if expected <= self.durable {
            let durable = self.durable;
            return Err(Error::corrupt(
                dir.display(),
                format!("commit {expected} is damaged, after {place}; commits up to {durable} were acknowledged"),
            ));
        }
        Ok(frames)
    }

    /// What is left: all whole frames that were durable once, and those after them up to the first that is not whole.
    pub(crate) fn salvage(&self) -> Salvaged {
        let mut salvaged = Salvaged { frames: Vec::new(), missing: Vec::new() };
        for sequence in self.after + 1.. {
            match self.frame(sequence) {
                Some((_, _, frame)) => salvaged.frames.push((sequence, frame)),
                None if sequence <= self.durable => salvaged.missing.push(sequence),
                None => break,
            }
        }
        salvaged
    }

    fn frame(&self, sequence: u64) -> Option<(&str, &Range<usize>, Bytes)> {
        let found = self.found.get(&sequence)?;
        let (name, content) = self.files.get(found.file)?;
        Some((name, &found.range, content.slice(found.range.clone())))
    }
}

/// What is left of a journal.
pub(crate) struct Salvaged {
    pub(crate) frames: Frames,
    /// The sequences of those that were durable once and are not whole now.
    pub(crate) missing: Vec<u64>,
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
