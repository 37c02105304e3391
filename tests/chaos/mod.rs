//! What goes wrong between the worker and the systems around it, with real servers: backends ended, servers restarted and crashed,
//! wires cut, silent and slow, disks full, certificates wrong. Each time the worker goes on by itself or names what is wrong, and in
//! the end nothing is lost and nothing doubled; the oracles are those of `crash/`.
//!
//! `troubles.rs` are the troubles, one after the other (each of them once, or at random for as long as `make soak` says);
//! `wire.rs` and `network.rs` break a network, `disk.rs` fills a disk (both only where that is permitted, and say so in one line where
//! it is not), `tls.rs` changes certificates.

mod disk;
mod network;
mod tls;
mod troubles;
mod wire;

use std::time::Duration;

use libtest_mimic::Trial;

pub(crate) use wire::relay;

use crate::crash::seed;
use crate::runner::blocking;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("chaos::each_trouble_once", || blocking(troubles::each_once(seed()))),
        Trial::test("chaos::a_wire_that_is_cut_or_silent", || blocking(network::cut_or_silent(seed()))),
        Trial::test("chaos::a_full_disk", || blocking(disk::full(seed()))),
        Trial::test("chaos::a_full_disk_at_the_database", || blocking(disk::full_at_the_database(seed()))),
        Trial::test("chaos::certificates", || blocking(tls::certificates())),
    ];
    if let Some(seconds) = soak() {
        trials.push(Trial::test("soak::troubles_at_random", move || blocking(troubles::at_random(seed(), seconds))));
    }
    trials
}

/// How long a test of `make soak` may take; none in an ordinary run.
pub(crate) fn soak() -> Option<Duration> {
    std::env::var("TOWPATH_SOAK_SECONDS").ok()?.parse().ok().map(Duration::from_secs)
}
