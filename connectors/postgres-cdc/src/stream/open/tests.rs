//! Any order of blocks, aborts and commits, beside a model that keeps everything in lists.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use proptest::prelude::*;
use towpath_model::Reading;

use super::*;
use crate::network::{Level, NetworkError, Stream, Waited};
use crate::scratch::ScratchFile;

/// Scratch files in memory, with a limit over all of them and a byte that may be damaged.
#[derive(Default)]
struct Disk {
    used: RefCell<u64>,
    max: u64,
    damaged: Option<usize>,
}

struct File(Rc<Disk>, Vec<u8>);

impl ScratchFile for File {
    fn append(&mut self, bytes: &[u8]) -> Result<(), ScratchError> {
        if *self.0.used.borrow() + bytes.len() as u64 > self.0.max {
            return Err(ScratchError::Full("no space".into()));
        }
        *self.0.used.borrow_mut() += bytes.len() as u64;
        self.1.extend_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, ScratchError> {
        let mut bytes = self.1.clone();
        if let Some(byte) = self.0.damaged.and_then(|at| bytes.get_mut(at)) {
            *byte ^= 1;
        }
        // Fewer than asked for, as a host may.
        let rest = &bytes[offset as usize..];
        Ok(rest[..rest.len().min(max as usize).min(700)].to_vec())
    }
}

impl Drop for File {
    fn drop(&mut self) {
        *self.0.used.borrow_mut() -= self.1.len() as u64;
    }
}

struct Place(Rc<Disk>);

impl Host for Place {
    fn connect(&self, _: &str, _: u16, _: Duration) -> Result<Box<dyn Stream>, NetworkError> {
        Err(NetworkError::Connection("none".into()))
    }

    fn scratch(&self) -> Result<Box<dyn ScratchFile>, ScratchError> {
        Ok(Box::new(File(self.0.clone(), Vec::new())))
    }

    fn pause(&self, _: Duration) -> Waited {
        Waited::Timeout
    }

    fn log(&self, _: Level, _: fmt::Arguments<'_>) {}

    fn record(&self, _: &[(&'static str, Reading)]) {}
}

fn open(bytes_max: usize, disk: Disk) -> (Open, Rc<Disk>) {
    let disk = Rc::new(disk);
    #[allow(clippy::arc_with_non_send_sync, reason = "the connector has one thread")]
    let host = Arc::new(Place(disk.clone()));
    (Open::new(host, bytes_max), disk)
}

fn insert(xid: u32, body: &[u8]) -> Vec<u8> {
    [&b"I"[..], &xid.to_be_bytes(), body].concat()
}

/// Transaction, place and message.
type Kept = (u32, u64, Vec<u8>);

/// What is left of a transaction: every message that was not undone.
fn read(mut buffer: Buffer) -> Result<Vec<Kept>, Error> {
    let aborted = std::mem::take(&mut buffer.aborted);
    let mut entries = buffer.into_entries();
    let mut all = Vec::new();
    while let Some(entry) = entries.next()? {
        if !aborted.contains(entry.xid) {
            all.push((entry.xid, entry.lsn, entry.message.to_vec()));
        }
    }
    assert_eq!(entries.next()?, None);
    Ok(all)
}

/// What the server does next. Transactions are 100, 200, …; their subtransactions follow them.
#[derive(Clone, Debug)]
enum Step {
    Block { top: u32, messages: Vec<(u32, usize)> },
    AbortPart { top: u32, sub: u32 },
    Abort { top: u32 },
    Commit { top: u32 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let top = || (1u32..5).prop_map(|number| number * 100);
    let messages = proptest::collection::vec((0u32..20, 0usize..300), 0..12);
    proptest::collection::vec(
        prop_oneof![
            6 => (top(), messages).prop_map(|(top, messages)| Step::Block { top, messages }),
            2 => (top(), 1u32..20).prop_map(|(top, sub)| Step::AbortPart { top, sub }),
            1 => top().prop_map(|top| Step::Abort { top }),
            2 => top().prop_map(|top| Step::Commit { top }),
        ],
        0..120,
    )
}

proptest! {
    #[test]
    fn what_commits_is_what_was_sent_and_not_undone(steps in steps(), bytes_max in 5_000usize..60_000) {
        let (mut open, disk) = open(bytes_max, Disk { max: u64::MAX, ..Disk::default() });
        let mut model: BTreeMap<u32, (Vec<Kept>, BTreeSet<u32>)> = BTreeMap::new();
        let mut lsn = 0;
        // A buffer's first block, and what is known of parts that were undone, are not spilled away to nothing.
        let slack = 16 << 10;
        for step in steps {
            match step {
                Step::Block { top, messages } => {
                    open.start(top, !model.contains_key(&top)).expect("in order");
                    let (sent, undone) = model.entry(top).or_default();
                    for (sub, size) in messages {
                        let xid = top + sub;
                        // The server sends nothing more of what is undone.
                        if undone.contains(&xid) {
                            continue;
                        }
                        lsn += 1;
                        let body = vec![lsn as u8; size];
                        open.take_in(lsn, &insert(xid, &body)).expect("kept");
                        sent.push((xid, lsn, [&b"I"[..], &body].concat()));
                    }
                    open.take_in(lsn, b"E").expect("ends");
                }
                Step::AbortPart { top, sub } => {
                    open.abort(top, top + sub).expect("remembered");
                    if let Some((_, undone)) = model.get_mut(&top) {
                        undone.insert(top + sub);
                    }
                }
                Step::Abort { top } => {
                    open.abort(top, top).expect("dropped");
                    model.remove(&top);
                }
                Step::Commit { top } => {
                    let committed = open.commit(top);
                    let Some((sent, undone)) = model.remove(&top) else {
                        prop_assert!(committed.is_err());
                        continue;
                    };
                    let left: Vec<_> = sent.into_iter().filter(|(xid, ..)| !undone.contains(xid)).collect();
                    prop_assert_eq!(read(committed.expect("known")).expect("readable"), left);
                }
            }
            prop_assert!(open.bytes() <= bytes_max + slack);
            prop_assert_eq!(open.bytes(), open.buffers().map(Buffer::bytes).sum::<usize>());
        }
        drop(open);
        prop_assert_eq!(*disk.used.borrow(), 0, "files are left");
    }

    #[test]
    fn a_byte_that_changed_is_found_out(at in 0usize..5_000) {
        let (mut open, _) = open(1_000, Disk { max: u64::MAX, damaged: Some(at), ..Disk::default() });
        open.start(7, true).expect("begins");
        for lsn in 0..50 {
            open.take_in(lsn, &insert(7, &[1; 100])).expect("kept");
        }
        open.take_in(50, b"E").expect("ends");
        prop_assert!(open.counts.spilled_bytes > 5_000);
        let found = read(open.commit(7).expect("known"));
        prop_assert!(matches!(found, Err(Error::Scratch(ScratchError::Damaged(_)))), "{found:?}");
    }
}

#[test]
fn a_message_larger_than_a_block_comes_back_whole() {
    let (mut open, _) = open(1_000, Disk { max: u64::MAX, ..Disk::default() });
    open.start(7, true).expect("begins");
    let large: Vec<u8> = (0..900_000u32).map(|number| number as u8).collect();
    for lsn in 0..3 {
        open.take_in(lsn, &insert(7, &large)).expect("kept");
    }
    open.take_in(3, b"E").expect("ends");
    let read = read(open.commit(7).expect("known")).expect("readable");
    assert!(read.len() == 3 && read.iter().all(|(_, _, message)| message[1..] == large[..]));
}

#[test]
fn a_full_disk_is_told_of_and_so_are_blocks_out_of_order() {
    let (mut open, _) = open(1_000, Disk { max: 3_000, ..Disk::default() });
    open.start(7, true).expect("begins");
    let refused = (0..100).find_map(|lsn| open.take_in(lsn, &insert(7, &[0; 100])).err());
    assert!(matches!(refused, Some(Error::Scratch(ScratchError::Full(_)))), "{refused:?}");
    assert!(open.start(8, true).is_err() && open.abort(7, 7).is_err() && open.commit(7).is_err());
    open.others.extend(open.current.take());
    assert!(open.start(7, true).is_err());
    assert!(open.start(9, false).is_err());
}

#[test]
fn undone_parts_that_follow_each_other_cost_as_much_as_one() {
    let (mut open, _) = open(10_000, Disk { max: u64::MAX, ..Disk::default() });
    open.start(7, true).expect("begins");
    open.take_in(0, b"E").expect("ends");
    for subxid in (1_000..100_000).rev().chain(100_000..200_000) {
        open.abort(7, subxid).expect("remembered");
    }
    let buffer = open.commit(7).expect("known");
    assert!(buffer.bytes() < 1_000);
    for (xid, expected) in [(999, false), (1_000, true), (150_000, true), (199_999, true), (200_000, false)] {
        assert_eq!(buffer.aborted.contains(xid), expected, "{xid}");
    }
    // Those that do not are bounded too.
    open.start(8, true).expect("begins");
    open.take_in(0, b"E").expect("ends");
    assert!((500..1_500).any(|number| open.abort(8, number * 2).is_err()));
}
