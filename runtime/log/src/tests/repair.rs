//! Mending a stopped log: what cannot be read is cut out and kept beside, everything else stays where it was, and what is derived is
//! built anew. Nothing happens beside a running process, and nothing before it is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::FutureExt;
use towpath_model::{ManualClock, TopicPartition};

use super::retention::filled;
use super::{batch, commit};
use crate::sim::SimDisk;
use crate::vfs::{Open, Vfs, read_whole, write_all_at};
use crate::{Appends, Embedded, Examination, Fetch, Fetches, Finding, LogConfig, Remedy, examine, repair};

fn config() -> LogConfig {
    LogConfig { journal_file_bytes: 64 << 10, offsets_topic_partitions: 1, ..LogConfig::new("/log") }
}

fn path(base: i64, extension: &str) -> PathBuf {
    format!("/log/orders-0/{base:020}.{extension}").into()
}

/// A closed log of twelve batches of one record, in segments of three.
fn closed() -> SimDisk {
    let (log, _, disk) = filled(&[], 12);
    log.close_now().expect("closed");
    disk
}

fn content(disk: &SimDisk, path: &Path) -> Vec<u8> {
    read_whole(disk.open(path, Open::Read).expect("a file").as_ref()).expect("read")
}

fn mended(disk: &SimDisk) -> Examination {
    let before = disk.files();
    let told = examine(&config(), disk).expect("examined");
    assert_eq!(disk.files(), before, "a look has changed something");
    let mended = repair(config(), Arc::new(disk.clone()), Arc::new(ManualClock::at(5_000)), 1).expect("mended");
    assert_eq!(mended, told, "a repair does something else than it told of");
    let again = examine(&config(), disk).expect("examined");
    assert!(again.is_sound(), "{:?}", again.findings);
    mended
}

/// The offsets that the log holds once it is opened again, and where the next record goes.
fn offsets(disk: &SimDisk) -> (Vec<i64>, i64) {
    let (disk, clock) = (Arc::new(disk.clone()), Arc::new(ManualClock::at(6_000)));
    let log = Embedded::open_stepped(config(), disk, clock, 1).expect("opened");
    let partition = TopicPartition::new("orders", 0);
    let done = log.commit_atomic(commit(batch("orders", &[(0, None, "new")])));
    log.step_journal();
    let next = done.now_or_never().expect("answered").expect("taken").appends[0].base_offset;
    let (mut found, mut offset) = (Vec::new(), log.offsets(&partition).expect("there").start);
    while offset < next {
        let fetched =
            log.fetch_now(&[Fetch { partition: partition.clone(), offset }], 1 << 20).expect("read").remove(0);
        found.extend(fetched.records.records().filter_map(|record| record.offset).filter(|found| *found < next));
        offset = fetched.next_offset;
    }
    (found, next)
}

fn cuts(examination: &Examination) -> Vec<(i64, i64, Option<PathBuf>)> {
    let cut = |finding: &Finding| match &finding.remedy {
        Remedy::Cut { lost, quarantine } => Some((lost.start, lost.end, quarantine.clone())),
        _ => None,
    };
    examination.findings.iter().filter_map(cut).collect()
}

#[test]
fn a_damaged_batch_is_cut_out_and_kept_and_all_others_stay_where_they_were() {
    let disk = closed();
    let segment = content(&disk, &path(0, "log"));
    let one = segment.len() / 3;
    disk.flip_bit(&path(0, "log"), one as u64 + 100, 3).expect("the byte is there");
    let damaged = content(&disk, &path(0, "log"))[one..2 * one].to_vec();
    let told = mended(&disk);
    let kept = path(0, &format!("log.{one}.quarantine"));
    assert_eq!(cuts(&told), [(1, 2, Some(kept.clone()))]);
    assert_eq!(told.records, 11);
    assert_eq!(content(&disk, &kept), damaged);
    assert_eq!(offsets(&disk), (vec![0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], 12));
    assert_eq!(content(&disk, &kept), damaged, "what is kept stays when the log is opened");
}

#[test]
fn a_batch_whose_length_is_damaged_takes_nothing_along() {
    let disk = closed();
    disk.flip_bit(&path(3, "log"), 8, 6).expect("the byte is there");
    assert_eq!(cuts(&mended(&disk)).iter().map(|(from, to, _)| (*from, *to)).collect::<Vec<_>>(), [(3, 4)]);
    assert_eq!(offsets(&disk).0, [0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_segment_that_is_cut_short_and_one_that_is_gone_lose_what_they_held_and_the_end_stays() {
    let disk = closed();
    let length = disk.open(&path(9, "log"), Open::Read).expect("a file").length().expect("read");
    disk.open(&path(9, "log"), Open::Write).expect("a file").set_len(length / 3 + 50).expect("cut");
    disk.remove(&path(3, "log")).expect("removed");
    let told = mended(&disk);
    let lost: Vec<_> = cuts(&told).iter().map(|(from, to, _)| (*from, *to)).collect();
    assert_eq!(lost, [(3, 6), (10, 12)], "{:?}", told.findings);
    assert_eq!(offsets(&disk), (vec![0, 1, 2, 6, 7, 8, 9], 12));
}

#[test]
fn what_is_derived_is_built_anew_and_what_is_a_strangers_gets_another_name() {
    let disk = closed();
    let sound: Vec<_> = ["timeindex", "index"].map(|extension| content(&disk, &path(0, extension))).into();
    disk.flip_bit(&path(0, "timeindex"), 3, 1).expect("the byte is there");
    disk.remove(&path(3, "index")).expect("removed");
    let stray = disk.open(Path::new("/log/orders-0/notes.txt"), Open::Create).expect("made");
    write_all_at(stray.as_ref(), b"mine", 0).expect("written");
    let told = mended(&disk);
    let remedies: Vec<_> = told.findings.iter().map(|finding| (finding.file.clone(), finding.remedy.clone())).collect();
    let kept = PathBuf::from("/log/orders-0/notes.txt.quarantine");
    assert_eq!(
        remedies,
        [
            (path(0, "timeindex"), Remedy::Rebuild),
            (path(3, "index"), Remedy::Rebuild),
            ("/log/orders-0/notes.txt".into(), Remedy::SetAside(kept.clone())),
        ]
    );
    assert_eq!(told.lost(), 0);
    assert_eq!(content(&disk, &path(0, "timeindex")), sound[0]);
    assert_eq!(content(&disk, &kept), b"mine");
    assert_eq!(offsets(&disk).0.len(), 12);
}

#[test]
fn a_commit_of_the_journal_that_is_damaged_is_left_out_and_the_journal_is_kept() {
    let (log, _, disk) = filled(&[], 4);
    for number in 0..3 {
        let done = log.commit_atomic(commit(batch("orders", &[(0, None, &number.to_string().repeat(400))])));
        log.step_journal();
        done.now_or_never().expect("answered").expect("taken");
    }
    log.step_mark();
    drop(log);
    let journal = disk.files().into_iter().map(|(path, _)| path).find(|path| {
        path.extension().is_some_and(|extension| extension == "journal") && position(&content(&disk, path)).is_some()
    });
    let journal = journal.expect("a journal file");
    let at = position(&content(&disk, &journal)).expect("the second of them");
    disk.flip_bit(&journal, at as u64 + 10, 0).expect("the byte is there");
    let damaged = content(&disk, &journal);
    let (clock, vfs) = (Arc::new(ManualClock::at(6_000)), Arc::new(disk.clone()));
    assert_eq!(Embedded::open_stepped(config(), vfs, clock, 1).err().expect("refused").code(), "log.corrupt");
    let told = mended(&disk);
    assert_eq!(told.lost(), 1, "{:?}", told.findings);
    assert!(told.findings.iter().any(|finding| finding.partition == Some(TopicPartition::new("orders", 0))));
    assert_eq!(content(&disk, &PathBuf::from(format!("{}.quarantine", journal.display()))), damaged);
    assert_eq!(offsets(&disk), (vec![0, 1, 2, 3, 4, 6], 7));
}

/// Where the record of ones lies in a journal.
fn position(content: &[u8]) -> Option<usize> {
    content.windows(400).position(|window| window.iter().all(|byte| *byte == b'1'))
}

#[test]
fn nothing_is_mended_beside_a_running_process() {
    let (log, _, disk) = filled(&[], 1);
    let beside = || repair(config(), Arc::new(disk.clone()), Arc::new(ManualClock::at(5_000)), 1);
    assert_eq!(beside().expect_err("refused").code(), "log.locked");
    assert_eq!(examine(&config(), &disk).expect_err("refused").code(), "log.locked");
    log.close_now().expect("closed");
    drop(log);
    assert!(beside().expect("taken").is_sound());
}
