//! Errors of the network and of the server as faults: which key is concerned, whether it passes, and what mends it.
//!
//! The server's own words come first, so that they can be searched for; errors that need no further word keep only those.

use postgres_protocol::escape::escape_identifier;
use towpath_model::{Fault, Gravity, Reason};

use super::fault;
use crate::error::{Error, ServerError};
use crate::network::NetworkError;
use crate::wire::{Login, SslMode};

/// An error as a fault, with what mends it where that is known.
pub fn diagnose(error: Error, login: &Login) -> Fault {
    use Gravity::{Error as Refused, Passing};
    let server = format!("{}:{}", login.host, login.port);
    let reach = "database.hostname";
    match &error {
        Error::Fault(fault) => fault.as_ref().clone(),
        Error::Setting { key, reason } => Fault::error(*key, reason.clone()),
        Error::Network(NetworkError::Denied(reason)) => {
            Fault::error(reach, Reason::coded("postgres.denied", reason.clone()))
        }
        Error::Network(NetworkError::Connection(reason)) if is_unknown_host(reason) => {
            let remedy =
                "Look for a slip in `database.hostname`, and whether this machine's name service knows the host.";
            fault(
                Passing,
                reach,
                "postgres.host_unknown",
                format!("the host `{}` is not known: {}", login.host, without(reason, &server)),
                remedy,
            )
        }
        Error::Network(NetworkError::Connection(reason) | NetworkError::Timeout(reason)) => {
            let remedy = "Look whether the server runs and listens there (listen_addresses, port), and whether a firewall is between.";
            fault(
                Passing,
                reach,
                "postgres.unreachable",
                format!("the server {server} cannot be reached: {}", without(reason, &server)),
                remedy,
            )
        }
        Error::Network(NetworkError::Tls(reason)) => {
            let remedy = "Set `database.sslrootcert` to the authority that signed the server's certificate; `verify-full` also wants \
                the certificate to name the host.";
            fault(
                Refused,
                "database.sslmode",
                "postgres.tls",
                format!("no encrypted connection to {server}: {reason}"),
                remedy,
            )
        }
        Error::Closed => {
            let remedy = "Look into the server's log; a port that is not PostgreSQL's behaves so, too.";
            fault(Passing, reach, "postgres.closed", format!("the server {server} closed the connection"), remedy)
        }
        Error::Unanswered(_) => {
            let remedy = "Look whether the server is overloaded; a port that is not PostgreSQL's behaves so, too.";
            fault(Passing, reach, "postgres.unanswered", format!("{server}: {error}"), remedy)
        }
        Error::Protocol(_) => {
            let remedy =
                "Look whether `database.port` is PostgreSQL's, and no proxy that changes what passes is between.";
            fault(Passing, "database.port", "postgres.protocol", format!("{server}: {error}"), remedy)
        }
        Error::Server { error: said, .. } => of_server(said, &error, login),
        Error::Busy(_) => Fault::passing("slot.name", Reason::coded("postgres.busy", error.to_string())),
        Error::Value { .. } | Error::Misfit(_) => {
            Fault::error("table.include.list", Reason::coded("postgres.value", error.to_string()))
        }
        Error::Scratch(_) => Fault::passing("streaming.mode", Reason::coded("postgres.scratch", error.to_string())),
        Error::Unstreamable { .. } => {
            Fault::passing("streaming.mode", Reason::coded("postgres.unstreamable", error.to_string()))
        }
        Error::Offset(_) => Fault::error("slot.name", Reason::coded("postgres.offset", error.to_string())),
        Error::Fatal(reason) => Fault::error("connector.class", Reason::new(reason.clone())),
    }
}

fn of_server(said: &ServerError, error: &Error, login: &Login) -> Fault {
    use Gravity::{Error as Refused, Passing};
    let (role, database) = (escape_identifier(&login.user), escape_identifier(&login.database));
    let says = |words: &str| said.message.contains(words);
    let message = said.message.clone();
    match said.code.as_str() {
        "28P01" => {
            let remedy =
                format!("Set `database.password` to the role's password, or run ALTER ROLE {role} PASSWORD '…';");
            fault(Refused, "database.password", "postgres.password", message, remedy)
        }
        "28000" if says("does not exist") => {
            let remedy = format!("Run CREATE ROLE {role} LOGIN REPLICATION PASSWORD '…';");
            fault(Refused, "database.user", "postgres.role_missing", message, remedy)
        }
        "28000" if says("not permitted to log in") => {
            fault(Refused, "database.user", "postgres.login_right", message, format!("Run ALTER ROLE {role} LOGIN;"))
        }
        "28000" if says("pg_hba.conf") && login.ssl != SslMode::Require => {
            let remedy = format!(
                "Set `database.sslmode` to `require` if the server takes encrypted connections only, or have the line host {database} \
                 {role} <this machine's address>/32 scram-sha-256 added to pg_hba.conf and run SELECT pg_reload_conf();"
            );
            fault(Refused, "database.sslmode", "postgres.tls_required", message, remedy)
        }
        "28000" if says("pg_hba.conf") => {
            let remedy = format!(
                "Have the line hostssl {database} {role} <this machine's address>/32 scram-sha-256 added to pg_hba.conf and run SELECT \
                 pg_reload_conf();"
            );
            fault(Refused, "database.user", "postgres.not_admitted", message, remedy)
        }
        "28000" => {
            let reason = Reason::coded("postgres.not_admitted", message);
            Fault::error("database.user", reason.remedy("Look into pg_hba.conf for how this role may log in."))
        }
        "3D000" => {
            let remedy = format!("Correct `database.dbname`, or run CREATE DATABASE {database};");
            fault(Refused, "database.dbname", "postgres.database_missing", message, remedy)
        }
        "42501" if says("for database") => {
            let remedy = format!("Run GRANT CONNECT ON DATABASE {database} TO {role};");
            fault(Refused, "database.user", "postgres.connect_right", message, remedy)
        }
        "42501" if says("replication") || says("REPLICATION") || says("superuser") => {
            let remedy = format!("Run ALTER ROLE {role} REPLICATION;");
            fault(Refused, "database.user", "postgres.replication_right", error.to_string(), remedy)
        }
        "53300" if says("max_wal_senders") => {
            let remedy = "Run ALTER SYSTEM SET max_wal_senders = … with a larger number; and restart the server.";
            fault(Passing, "database.hostname", "postgres.senders_exhausted", message, remedy)
        }
        "53300" => {
            let remedy = "Close connections that nobody needs, or raise max_connections and restart the server.";
            fault(Passing, "database.hostname", "postgres.too_many_connections", message, remedy)
        }
        "53400" => {
            let remedy = "Drop a slot that nobody uses any more with SELECT pg_drop_replication_slot('…');, or raise \
                max_replication_slots and restart the server.";
            fault(Refused, "slot.name", "postgres.slots_exhausted", error.to_string(), remedy)
        }
        "55006" => {
            let remedy = "Stop whoever uses it, or choose another `slot.name`.";
            fault(Passing, "slot.name", "postgres.slot_busy", message, remedy)
        }
        "57P03" => Fault::passing("database.hostname", Reason::coded("postgres.starting", message)),
        "08P01" if says("startup parameter") => {
            let remedy = "Connect to PostgreSQL itself: poolers such as PgBouncer do not pass replication on.";
            fault(Refused, "database.port", "postgres.pooler", message, remedy)
        }
        "58P01" if says("requested WAL segment") => lost(message),
        "55000" | "42P18" if says("can no longer") || says("has been invalidated") || says("invalidated") => {
            lost(message)
        }
        "55000" | "0A000" if says("recovery") => {
            fault(Refused, "database.hostname", "postgres.standby", message, "Connect to the primary.")
        }
        _ if error.is_undecodable() => {
            let name = message.split('"').nth(1).map(escape_identifier).unwrap_or_default();
            let remedy = format!(
                "Changes that were made while it was missing cannot be decoded. Run CREATE PUBLICATION {name} FOR TABLE …; unless \
                 `publication.autocreate.mode` makes it, and set `snapshot.mode` to `when_needed` for a new snapshot, or reset the connector's \
                 offsets."
            );
            fault(Refused, "publication.name", "postgres.publication_missing", message, remedy)
        }
        _ if error.is_of_decoding() => {
            let remedy = "The server fails at decoding its own log. Update PostgreSQL to its newest minor release and restart it. Should it \
                fail at the same place for ever, set `snapshot.mode` to `when_needed` and run SELECT pg_drop_replication_slot('…'); for a new \
                snapshot.";
            fault(Passing, "slot.name", "postgres.decoding", error.to_string(), remedy)
        }
        "42704" if says("replication slot") => {
            let remedy = "Reset the connector's offsets for a new snapshot, or set `snapshot.mode` to `when_needed`.";
            fault(Refused, "slot.name", "postgres.slot_gone", message, remedy)
        }
        _ => {
            let gravity = if error.is_passing() { Passing } else { Refused };
            let reason = Reason::coded("postgres.server", error.to_string());
            Fault { key: "database.hostname".to_owned(), gravity, reason }
        }
    }
}

fn lost(message: String) -> Fault {
    let remedy = "Set `snapshot.mode` to `when_needed` for a new snapshot, or drop the slot and reset the connector's offsets. So that it \
        does not come again, raise max_slot_wal_keep_size.";
    fault(Gravity::Error, "slot.name", "postgres.slot_lost", message, remedy)
}

/// A reason that begins with the server's address, which is told already.
fn without<'a>(reason: &'a str, server: &str) -> &'a str {
    reason.strip_prefix(server).map_or(reason, |rest| rest.trim_start_matches([':', ' ']))
}

/// Resolvers differ in their words.
fn is_unknown_host(reason: &str) -> bool {
    ["lookup", "resolve", "not known", "nodename", "No address", "name resolution"]
        .iter()
        .any(|words| reason.contains(words))
}
