//! What goes wrong between the worker and the systems around it, with real servers: backends ended, servers restarted and crashed,
//! wires cut, silent and slow, disks full, certificates wrong. Each time the worker goes on by itself or names what is wrong, and in
//! the end nothing is lost and nothing doubled; the oracles are those of `crash/`.
//!
//! `troubles.rs` are the troubles, one after the other (each of them once, or at random for as long as `make soak` says);
//! `wire.rs` and `network.rs` break a network, `disk.rs` fills a disk (both only where that is permitted, and say so in one line where
//! it is not), `tls.rs` changes certificates. `held.rs` stalls what is behind the source, and with it the source; `idle.rs` lets nothing
//! happen where a busy neighbour makes the server's log grow; `slot.rs` takes away what a capture stands on.

mod disk;
mod held;
mod idle;
mod network;
mod slot;
mod tls;
mod troubles;
mod wire;

use std::time::Duration;

use libtest_mimic::Trial;

pub(crate) use wire::relay;

use crate::crash::seed;
use crate::runner::blocking;

/// What a busy database writes beside an idle one, in megabytes.
const NEIGHBOUR_MB: i64 = 200;
const NEIGHBOUR_MB_IN_A_SOAK: i64 = 1024;

pub(crate) fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("chaos::each_trouble_once", || blocking(troubles::each_once(seed()))),
        Trial::test("chaos::a_wire_that_is_cut_or_silent", || blocking(network::cut_or_silent(seed()))),
        Trial::test("chaos::a_full_disk", || blocking(disk::full(seed()))),
        Trial::test("chaos::a_full_disk_at_the_database", || blocking(disk::full_at_the_database(seed()))),
        Trial::test("chaos::certificates", || blocking(tls::certificates())),
        Trial::test("chaos::a_source_that_is_held_for_long", || blocking(held::for_long(seed()))),
        Trial::test("chaos::an_idle_database_beside_a_busy_one", || {
            blocking(idle::beside_a_busy_database(NEIGHBOUR_MB, false))
        }),
    ];
    trials.extend([
        Trial::test("chaos::slot_busy", || blocking(slot::busy())),
        Trial::test("chaos::slot_gone_or_made_anew", || blocking(slot::gone_or_made_anew())),
        Trial::test("chaos::slot_lost", || blocking(slot::lost())),
        Trial::test("chaos::without_publication", || blocking(slot::without_publication())),
        Trial::test("chaos::made_anew_while_it_runs", || blocking(slot::made_anew_while_it_runs())),
        Trial::test("chaos::without_rights", || blocking(slot::without_rights())),
    ]);
    if let Some(seconds) = soak() {
        trials.push(Trial::test("soak::troubles_at_random", move || blocking(troubles::at_random(seed(), seconds))));
        let neighbour = || blocking(idle::beside_a_busy_database(NEIGHBOUR_MB_IN_A_SOAK, true));
        trials.push(Trial::test("soak::an_idle_database_beside_a_busy_one", neighbour));
    }
    trials
}

/// How long a test of `make soak` may take; none in an ordinary run.
pub(crate) fn soak() -> Option<Duration> {
    std::env::var("TOWPATH_SOAK_SECONDS").ok()?.parse().ok().map(Duration::from_secs)
}
