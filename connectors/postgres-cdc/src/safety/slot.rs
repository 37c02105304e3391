//! The slot: whose it is, who uses it, and whether the server still holds what it needs. `watch` looks again while it streams.

use postgres_protocol::escape::escape_literal;
use towpath_model::{Fault, Gravity};

use super::fault;
use crate::catalog::{Owner, Slot};
use crate::config::{Settings, SnapshotMode};
use crate::offset::show_lsn;

/// What is wrong with a slot, whoever uses it.
pub(crate) fn slot_faults(slot: &Slot, settings: &Settings) -> Vec<Fault> {
    let name = &settings.slot;
    let another = "Choose another `slot.name`.";
    if slot.plugin.is_empty() {
        let message = format!("the slot `{name}` is a physical one");
        return vec![fault(Gravity::Error, "slot.name", "postgres.slot_plugin", message, another)];
    }
    if slot.plugin != "pgoutput" {
        let message = format!("the slot `{name}` is of the output plugin `{}`, not pgoutput", slot.plugin);
        return vec![fault(Gravity::Error, "slot.name", "postgres.slot_plugin", message, another)];
    }
    if slot.database != settings.login.database {
        let message = format!("the slot `{name}` belongs to the database `{}`", slot.database);
        return vec![fault(Gravity::Error, "slot.name", "postgres.slot_database", message, another)];
    }
    if slot.wal_status == "lost" {
        return vec![slot_lost(settings)];
    }
    at_risk(slot, settings).into_iter().collect()
}

/// The server has thrown away what the slot needs.
pub(crate) fn slot_lost(settings: &Settings) -> Fault {
    let name = &settings.slot;
    let message =
        format!("the server has removed log that the slot `{name}` needs: changes since it was last read are lost");
    if settings.snapshot == SnapshotMode::WhenNeeded {
        let remedy = "A new snapshot will be taken, as `snapshot.mode` says.";
        return fault(Gravity::Warning, "slot.name", "postgres.slot_lost", message, remedy);
    }
    let remedy = format!(
        "Set `snapshot.mode` to `when_needed` for a new snapshot, or run SELECT pg_drop_replication_slot({}); and reset the \
         connector's offsets. So that it does not come again, raise max_slot_wal_keep_size.",
        escape_literal(name)
    );
    fault(Gravity::Error, "slot.name", "postgres.slot_lost", message, remedy)
}

/// Somebody else uses the slot.
pub(crate) fn slot_busy(owner: &Owner, settings: &Settings) -> Fault {
    fault(
        Gravity::Passing,
        "slot.name",
        "postgres.slot_busy",
        format!("the slot `{}` is in use by {owner}", settings.slot),
        format!("Stop that client, or run SELECT pg_terminate_backend({});, or choose another `slot.name`.", owner.pid),
    )
}

/// The stored offset has no slot that could go on from it.
pub(crate) fn slot_gone(settings: &Settings, stored: u64) -> Fault {
    gap(settings, "postgres.slot_gone", format!("the slot `{}` is gone", settings.slot), stored)
}

/// The slot was moved or made anew since.
pub(crate) fn slot_moved(settings: &Settings, slot: &Slot, stored: u64) -> Fault {
    let what = format!("the slot `{}` stands at {}, beyond the stored offset", settings.slot, show_lsn(slot.confirmed));
    let mut fault = gap(settings, "postgres.slot_moved", what, stored);
    if let Some(remedy) = &mut fault.reason.remedy {
        remedy.push_str(" To go on without what is missing, set `offset.mismatch.strategy` to `trust_slot`.");
    }
    fault
}

fn gap(settings: &Settings, code: &'static str, what: String, stored: u64) -> Fault {
    let message = format!("{what}: changes committed after {} may be missing", show_lsn(stored));
    let remedy = match settings.snapshot {
        SnapshotMode::WhenNeeded => "A new snapshot will be taken, as `snapshot.mode` says.",
        _ => "Set `snapshot.mode` to `when_needed` for a new snapshot, or reset the connector's offsets.",
    };
    fault(Gravity::Error, "slot.name", code, message, remedy)
}

/// The server will soon throw away what the slot needs.
pub(super) fn at_risk(slot: &Slot, settings: &Settings) -> Option<Fault> {
    let name = &settings.slot;
    let remedy = "Let the connector catch up, or run ALTER SYSTEM SET max_slot_wal_keep_size = '…'; with a larger value and then \
        SELECT pg_reload_conf();";
    let message = if slot.wal_status == "unreserved" {
        format!("the slot `{name}` is further behind than max_slot_wal_keep_size, and is lost at the next checkpoint")
    } else {
        let (left, of) = slot.safe_bytes.zip(slot.keep_bytes)?;
        let percent = left.max(0).saturating_mul(100).checked_div(of)?;
        if percent > RISK_PERCENT[0] {
            return None;
        }
        format!(
            "the slot `{name}` is lost after {} MiB more of log, {percent} % of max_slot_wal_keep_size",
            left.max(0) >> 20
        )
    };
    Some(fault(Gravity::Warning, "slot.name", "postgres.slot_at_risk", message, remedy))
}

/// Of what the server keeps for a slot so much is left when it is said, and said again.
const RISK_PERCENT: [i64; 3] = [50, 25, 10];

/// How many of the thresholds a slot has crossed.
pub(super) fn thresholds_crossed(slot: &Slot) -> usize {
    match (slot.wal_status.as_str(), slot.safe_bytes.zip(slot.keep_bytes)) {
        ("unreserved", _) => RISK_PERCENT.len(),
        (_, Some((left, of))) => {
            let percent = left.max(0).saturating_mul(100).checked_div(of).unwrap_or(100);
            RISK_PERCENT.iter().filter(|threshold| percent <= **threshold).count()
        }
        _ => 0,
    }
}
