//! One flipped bit anywhere in a stopped log: it is refused at open or at read, or it changes nothing. Never is a record
//! left out, changed or moved without a word. A repair, itself cut short at times, then loses what it has told of and nothing else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::{ManualClock, TopicPartition};

use super::workload::{World, config, is_in_log, number_of};
use crate::sim::{Faults, SimDisk};
use crate::{Embedded, Error, Fetch, Fetches, Finding, Remedy, examine, repair};

/// What a run has met.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) refused: u64,
    pub(super) mended: u64,
    pub(super) cut_repairs: u64,
}

impl std::ops::AddAssign for Met {
    fn add_assign(&mut self, other: Self) {
        self.refused += other.refused;
        self.mended += other.mended;
        self.cut_repairs += other.cut_repairs;
    }
}

/// Flips a bit after an undisturbed life, and mends what the log refuses then.
pub(super) fn flip_one_bit(seed: u64) -> Met {
    let mut world = World::new(seed);
    let log = world.open().expect("a new log opens");
    for _ in 0..80 {
        world.step(&log).expect("nothing disturbs this life");
    }
    while log.step_journal() {}
    world.compare(&log).expect("what was written is read");
    // From here on every commit is known to the disk as durable.
    log.step_mark();
    drop(log);
    let mut random = StdRng::seed_from_u64(seed ^ 0xf11b);
    let files: Vec<_> =
        world.disk().files().into_iter().filter(|(path, length)| is_in_log(path) && *length > 0).collect();
    let (path, length) = files[random.random_range(0..files.len())].clone();
    let (byte, bit) = (random.random_range(0..length), random.random_range(0..8));
    world.disk().flip_bit(&path, byte, bit).expect("the byte is there");
    let disk = world.disk().reboot();
    let examined = examine(&config(), &disk);
    world.set_disk(disk.reboot());
    match world.open().and_then(|log: Embedded| world.compare(&log)) {
        Ok(()) => Met::default(),
        Err(Error::Corrupt(_) | Error::UnsupportedFormat { .. }) => {
            let mended = examined.ok().map(|examined| {
                assert!(!examined.is_sound(), "{} at {byte}: refused, and yet found sound", path.display());
                mend(&world, disk.reboot(), &examined.findings, &mut random)
            });
            Met { refused: 1, mended: u64::from(mended.is_some()), cut_repairs: mended.unwrap_or(0) }
        }
        Err(other) => panic!("a flipped bit in {} at {byte} showed as {other}", path.display()),
    }
}

/// Mends the log on a disk. Says how many times the power was cut meanwhile.
fn mend(world: &World, mut disk: SimDisk, findings: &[Finding], random: &mut StdRng) -> u64 {
    let clock = Arc::new(ManualClock::at(2_000_000));
    let mut cuts = 0;
    if random.random_bool(0.5) {
        disk.set_faults(Faults { cut_at: Some(random.random_range(1..40)), ..Faults::default() });
        let mended = repair(config(), Arc::new(disk.clone()), clock.clone(), 5);
        assert!(mended.is_ok() || disk.is_cut(), "{:?}", mended.err());
        cuts = u64::from(disk.is_cut());
        disk = disk.reboot();
    }
    repair(config(), Arc::new(disk.clone()), clock.clone(), 5).expect("mended");
    let again = examine(&config(), &disk).expect("examined");
    assert!(again.is_sound(), "what was mended is not sound: {:?}", again.findings);
    let log = Embedded::open_stepped(config(), Arc::new(disk), clock, 5).expect("what was mended opens");
    let journal_is_cut = findings.iter().any(|finding| finding.partition.is_none());
    for (name, topic) in &world.model.topics {
        for (number, expected) in topic.partitions.iter().enumerate() {
            let partition = TopicPartition::new(name.as_str(), number as i32);
            let (start, found) = read_all(&log, &partition);
            let told: Vec<Range<i64>> = findings.iter().filter_map(|finding| lost_of(finding, &partition)).collect();
            for (offset, number) in expected.iter().enumerate().skip(start as usize) {
                match found.get(&(offset as i64)) {
                    Some(found) => assert_eq!(found, number, "{partition} at {offset}"),
                    None => assert!(
                        journal_is_cut || told.iter().any(|told| told.contains(&(offset as i64))),
                        "{partition} has lost {offset}, and {findings:?} does not say so"
                    ),
                }
            }
            assert!(found.len() <= expected.len(), "{partition} holds more than was written");
        }
    }
    cuts
}

fn lost_of(finding: &Finding, partition: &TopicPartition) -> Option<Range<i64>> {
    match &finding.remedy {
        Remedy::Cut { lost, .. } if finding.partition.as_ref() == Some(partition) => Some(lost.clone()),
        _ => None,
    }
}

/// Where a partition begins, and the numbers it holds by offset.
fn read_all(log: &Embedded, partition: &TopicPartition) -> (i64, BTreeMap<i64, u64>) {
    let ends = log.offsets(partition).expect("there");
    let (mut found, mut next) = (BTreeMap::new(), ends.start);
    while next < ends.high_watermark {
        let fetched =
            log.fetch_now(&[Fetch { partition: partition.clone(), offset: next }], 5_000).expect("read").remove(0);
        for record in fetched.records.records() {
            found.insert(record.offset.expect("an offset"), number_of(record.value.bytes.expect("a value")));
        }
        assert!(fetched.next_offset > next, "a read of {partition} at {next} does not advance");
        next = fetched.next_offset;
    }
    (ends.start, found)
}
