//! The threads that look after the log: checkpoints, retention, transactions that were open for too long, and a look for space while
//! the disk is full; and, on its own, compaction.
//!
//! What each of them does is in its own file; here is when, and how often its failures are told.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use crate::core::{Chores, Core};
use crate::error::Error;
use crate::sync::lock;

/// While the disk is full, space is looked for this often.
const SPACE_PROBE_INTERVAL: Duration = Duration::from_millis(500);
/// What keeps failing is told again after so long.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// Looks after the log until it is closed.
pub(crate) fn thread(core: &Core) {
    let mut complaints = Complaints::default();
    complaints.hear(core, "journal", core.prepare_journal());
    let mut retention_due = core.clock.monotonic() + core.config.retention_interval;
    loop {
        let disk_full = lock(&core.sequencer).disk_full.is_some();
        let wait = if disk_full { SPACE_PROBE_INTERVAL } else { core.config.checkpoint_interval };
        let wait = wait.min(until_deadline(core));
        {
            let chores = lock(&core.chores);
            let idle = |chores: &mut Chores| !chores.stop && chores.journal_bytes < core.config.checkpoint_bytes;
            let waited =
                core.chore.wait_timeout_while(chores, wait, |chores| idle(chores) && !wakes_early(core, disk_full));
            if waited.unwrap_or_else(PoisonError::into_inner).0.stop {
                return;
            }
        }
        if core.check_open().is_err() {
            return;
        }
        let now = core.clock.monotonic();
        if disk_full || now >= retention_due {
            retention_due = now + core.config.retention_interval;
            complaints.hear(core, "retention", core.retain().map(|_| ()));
        }
        complaints.hear(core, "checkpoint", core.checkpoint(false));
        complaints.hear(core, "transactions", core.expire_transactions());
        core.look_for_space();
        lock(&core.chores).compact = true;
        core.compaction.notify_all();
    }
}

/// Compacts on its own, so that neither commits nor checkpoints wait for a large topic.
pub(crate) fn compaction_thread(core: &Core) {
    let mut complaints = Complaints::default();
    loop {
        {
            let idle = |chores: &mut Chores| !chores.stop && !chores.compact;
            let waited = core.compaction.wait_while(lock(&core.chores), idle);
            let mut chores = waited.unwrap_or_else(PoisonError::into_inner);
            if chores.stop {
                return;
            }
            chores.compact = false;
        }
        if core.check_open().is_err() {
            return;
        }
        complaints.hear(core, "compaction", core.compact().map(|_| ()));
    }
}

/// How long until a transaction will have been open for too long.
fn until_deadline(core: &Core) -> Duration {
    let left = core.next_transaction_deadline_ms().map(|deadline| deadline.saturating_sub(core.clock.now_ms()).max(1));
    left.map_or(Duration::MAX, |left| Duration::from_millis(left.unsigned_abs()))
}

/// Whether the disk has become full since the wait began.
fn wakes_early(core: &Core, was_full: bool) -> bool {
    !was_full && lock(&core.sequencer).disk_full.is_some()
}

/// What of the maintenance has failed, as it was told last.
#[derive(Default)]
struct Complaints(BTreeMap<&'static str, (String, Duration)>);

impl Complaints {
    fn hear(&mut self, core: &Core, what: &'static str, outcome: Result<(), Error>) {
        let Err(error) = outcome else {
            self.0.remove(what);
            return;
        };
        let (error, now) = (error.told(), core.clock.monotonic());
        if self.0.get(what).is_some_and(|(told, at)| *told == error && now < *at + TOLD_AGAIN_AFTER) {
            return;
        }
        tracing::warn!(what, error, "maintenance of the log did not succeed and is tried again");
        self.0.insert(what, (error, now));
    }
}
