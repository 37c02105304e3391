//! Thousands of lives of one log on a disk that breaks: a random workload, a power cut at a random operation, recovery, and
//! then every acknowledged record must be there, in order, once, and every commit whole or absent.
//!
//! `TOWPATH_SEED=<n>` replays one seed, `TOWPATH_SEEDS=<n>` runs that many.

mod compaction;
mod damage;
mod model;
mod producers;
mod transactions;
mod workload;

use workload::World;

/// Seeds of a run: enough for a CI run in release, fewer where the code is slow.
const SEEDS: u64 = if cfg!(debug_assertions) { 200 } else { 2_500 };

/// Runs `check` for each seed, and names the seed when it fails.
fn for_each_seed(seeds: u64, check: impl Fn(u64)) {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("failed with TOWPATH_SEED={}", self.0);
            }
        }
    }
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    if let Some(seed) = number("TOWPATH_SEED") {
        let _named = Named(seed);
        return check(seed);
    }
    let seeds = number("TOWPATH_SEEDS").unwrap_or(seeds);
    println!("seeds 0 to {}", seeds.saturating_sub(1));
    for seed in 0..seeds {
        let _named = Named(seed);
        check(seed);
    }
}

#[test]
fn every_acknowledged_record_survives_any_power_cut() {
    let mut met = workload::Met::default();
    let met_cell = std::cell::RefCell::new(&mut met);
    for_each_seed(SEEDS, |seed| met_cell.borrow_mut().add(&World::new(seed).live()));
    println!("{met:?}");
    if std::env::var("TOWPATH_SEED").is_err() {
        assert!(met.is_varied(), "the workload no longer reaches what it is there for: {met:?}");
    }
}

#[test]
fn damage_to_acknowledged_data_is_refused_and_a_repair_loses_only_what_it_tells_of() {
    let met = std::cell::RefCell::new(damage::Met::default());
    for_each_seed(SEEDS / 4, |seed| *met.borrow_mut() += damage::flip_one_bit(seed));
    let met = met.into_inner();
    println!("{met:?}");
    if std::env::var("TOWPATH_SEED").is_err() {
        let counts = [met.refused, met.mended * 2, met.cut_repairs * 8];
        assert!(counts.iter().all(|count| *count > SEEDS / 40), "too little was damaged and mended: {met:?}");
    }
}

#[test]
fn a_producer_that_sends_again_is_written_once_through_any_power_cut() {
    let repeated = std::cell::Cell::new(0);
    for_each_seed(SEEDS / 2, |seed| repeated.set(repeated.get() + producers::live(seed)));
    if std::env::var("TOWPATH_SEED").is_err() {
        assert!(repeated.get() > SEEDS / 5, "only {} batches were sent again that had come true", repeated.get());
    }
}

#[test]
fn compaction_keeps_the_last_record_of_every_key_through_any_power_cut() {
    let compacted = std::cell::Cell::new(0);
    for_each_seed(SEEDS / 5, |seed| compacted.set(compacted.get() + compaction::live(seed)));
    if std::env::var("TOWPATH_SEED").is_err() {
        assert!(compacted.get() > SEEDS / 5, "only {} partitions were compacted", compacted.get());
    }
}

#[test]
fn every_transaction_is_whole_or_absent_through_any_power_cut() {
    let met = std::cell::Cell::new(transactions::Met::default());
    for_each_seed(SEEDS / 2, |seed| met.set(met.get() + transactions::live(seed)));
    let met = met.get();
    println!("{met:?}");
    if std::env::var("TOWPATH_SEED").is_err() {
        let counts = [met.cuts, met.committed, met.aborted, met.timed_out, met.unanswered, met.compacted];
        assert!(
            counts.iter().all(|count| *count > SEEDS / 20) && met.cut_compactions > 0,
            "the workload no longer reaches what it is there for: {met:?}"
        );
    }
}
