//! One flipped bit anywhere in a stopped log: it is refused at open or at read, or it changes nothing. Never is a record
//! left out, changed or moved without a word.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::workload::{World, is_in_log};
use crate::{Embedded, Error};

/// Flips a bit after an undisturbed life. Says whether the log noticed.
pub(super) fn flip_one_bit(seed: u64) -> bool {
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
    let seen = world.open().and_then(|log: Embedded| world.compare(&log));
    match seen {
        Ok(()) => false,
        Err(Error::Corrupt(_) | Error::UnsupportedFormat { .. }) => true,
        Err(other) => panic!("a flipped bit in {} at {byte} showed as {other}", path.display()),
    }
}
