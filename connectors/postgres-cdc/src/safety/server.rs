//! The server as a whole: its version and settings, what the role may, and whether there is room for one more capture.

use postgres_protocol::escape::escape_identifier;
use towpath_model::{Fault, Gravity};

use super::fault;
use crate::catalog::{Capacity, Server};
use crate::config::{Settings, StreamingMode};
use crate::stream::STREAMING_SINCE;

/// What the server or the role lacks, whatever is to be captured.
pub(crate) fn server_faults(server: &Server, settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if server.version < 100_000 {
        faults.push(fault(
            Gravity::Error,
            "database.hostname",
            "postgres.version",
            format!("the server's version is {}, and logical replication begins with 10", dotted(server.version)),
            "Upgrade the server, or connect to another one.",
        ));
    }
    if server.in_recovery && server.version < 160_000 {
        faults.push(fault(
            Gravity::Error,
            "database.hostname",
            "postgres.standby",
            "the server is a standby, and standbys can be captured from PostgreSQL 16 on",
            "Connect to the primary.",
        ));
    }
    if server.wal_level != "logical" {
        faults.push(fault(
            Gravity::Error,
            "database.hostname",
            "postgres.wal_level",
            format!("the server's wal_level is `{}`, which does not hold what a capture needs", server.wal_level),
            "Run ALTER SYSTEM SET wal_level = logical; and restart the server. With a managed service set its parameter for logical \
             replication, such as rds.logical_replication = 1.",
        ));
    }
    if settings.streaming == StreamingMode::On && server.version < STREAMING_SINCE {
        faults.push(fault(
            Gravity::Error,
            "streaming.mode",
            "postgres.streaming_version",
            format!(
                "the server's version is {}, and transactions are streamed from {} on",
                dotted(server.version),
                dotted(STREAMING_SINCE)
            ),
            "Set `streaming.mode` to `auto` or `off`; the server then keeps open transactions itself.",
        ));
    }
    if !server.may_replicate {
        let role = escape_identifier(&settings.login.user);
        let remedy = match &server.replication_role {
            Some(provider) => format!("Run GRANT {} TO {role};", escape_identifier(provider)),
            None => format!("Run ALTER ROLE {role} REPLICATION;"),
        };
        let message = format!("the role {role} may not replicate");
        faults.push(fault(Gravity::Error, "database.user", "postgres.replication_right", message, remedy));
    }
    faults
}

/// Whether there is room for one more slot, if one is to be made, and for one more sender.
pub(super) fn room(capacity: &Capacity, slot_wanted: bool) -> Option<Fault> {
    if slot_wanted && capacity.slots >= capacity.slots_max {
        let idle = match &capacity.idle_slot {
            Some(name) => format!(
                "Drop a slot that nobody uses any more, such as SELECT pg_drop_replication_slot({});, or",
                postgres_protocol::escape::escape_literal(name)
            ),
            None => "Either".to_owned(),
        };
        return Some(fault(
            Gravity::Error,
            "slot.name",
            "postgres.slots_exhausted",
            format!("all {} replication slots of the server are taken", capacity.slots_max),
            format!(
                "{idle} run ALTER SYSTEM SET max_replication_slots = {}; and restart the server.",
                capacity.slots_max + 10
            ),
        ));
    }
    (capacity.senders >= capacity.senders_max).then(|| {
        fault(
            Gravity::Passing,
            "database.hostname",
            "postgres.senders_exhausted",
            format!("all {} senders of the server are taken", capacity.senders_max),
            format!("Run ALTER SYSTEM SET max_wal_senders = {}; and restart the server.", capacity.senders_max + 10),
        )
    })
}

fn dotted(version: u32) -> String {
    if version >= 100_000 {
        format!("{}.{}", version / 10_000, version % 10_000)
    } else {
        format!("{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_people_know_them() {
        assert_eq!([90_624, 100_000, 150_018].map(dotted), ["9.6.24", "10.0", "15.18"]);
    }
}
