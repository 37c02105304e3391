//! The tables: whether the role may read them, and whether what identifies a row is there for updates and deletes.

use postgres_protocol::escape::escape_identifier;
use towpath_model::{Fault, Gravity};

use super::{fault, some};
use crate::catalog::Standing;
use crate::config::{Settings, SnapshotMode};
use crate::wire::ReplicaIdentity;

/// The filters want nothing that is there.
pub(crate) fn none_wanted(settings: &Settings) -> Fault {
    let key = if settings.has_include_list { "table.include.list" } else { "database.dbname" };
    let database = &settings.login.database;
    let message = format!("no table of the database `{database}` matches the filters");
    let remedy =
        "Tables are named with their schema, as in public.orders; each entry is a regular expression for a whole name.";
    fault(Gravity::Error, key, "postgres.no_tables", message, remedy)
}

/// What is wrong with the tables that are wanted.
pub(super) fn faults(wanted: &[Standing], settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    // A stream needs no right to read tables; a snapshot does.
    if settings.snapshot != SnapshotMode::NoData {
        rights(wanted, settings, &mut faults);
    }
    identities(wanted, settings, &mut faults);
    faults
}

fn rights(wanted: &[Standing], settings: &Settings, faults: &mut Vec<Fault>) {
    let role = escape_identifier(&settings.login.user);
    let mut closed: Vec<&str> =
        wanted.iter().filter(|table| !table.is_reachable).map(|table| table.schema.as_str()).collect();
    closed.dedup();
    if !closed.is_empty() {
        let list = closed.iter().map(|schema| escape_identifier(schema)).collect::<Vec<_>>().join(", ");
        let message = format!("the role {role} may not use the schema {}", some(closed.into_iter()));
        let remedy = format!("Run GRANT USAGE ON SCHEMA {list} TO {role};");
        faults.push(fault(Gravity::Error, "database.user", "postgres.read_right", message, remedy));
    }
    let unreadable: Vec<&str> =
        wanted.iter().filter(|table| !table.is_readable).map(|table| table.quoted.as_str()).collect();
    if !unreadable.is_empty() {
        let list = unreadable.join(", ");
        let message = format!("the role {role} may not read {}", some(unreadable.into_iter()));
        let remedy = format!("Run GRANT SELECT ON {list} TO {role};");
        faults.push(fault(Gravity::Error, "database.user", "postgres.read_right", message, remedy));
    }
    let filtered: Vec<&str> =
        wanted.iter().filter(|table| table.has_row_security).map(|table| table.quoted.as_str()).collect();
    if !filtered.is_empty() {
        let message = format!(
            "row security hides rows of {} from the role {role}, also from the snapshot",
            some(filtered.into_iter())
        );
        let remedy = format!("Run ALTER ROLE {role} BYPASSRLS;");
        faults.push(fault(Gravity::Warning, "database.user", "postgres.row_security", message, remedy));
    }
}

/// Tables whose updates and deletes cannot be told, or are even refused by the server once they are published.
fn identities(wanted: &[Standing], settings: &Settings, faults: &mut Vec<Fault>) {
    if settings.skipped.updates && settings.skipped.deletes {
        return;
    }
    let kinds: [(&str, fn(&Standing) -> bool, &str, &str); 3] = [
        (
            "postgres.no_key",
            |table| table.identity == ReplicaIdentity::Default && !table.has_key,
            "without a primary key",
            "Add a primary key, or",
        ),
        (
            "postgres.identity_nothing",
            |table| table.identity == ReplicaIdentity::Nothing,
            "with the replica identity NOTHING",
            "Run ALTER TABLE … REPLICA IDENTITY DEFAULT; where there is a primary key, or",
        ),
        (
            "postgres.identity_index",
            |table| table.identity == ReplicaIdentity::Index && !table.has_identity_index,
            "whose replica identity is an index that is gone",
            "Make the index again and name it with REPLICA IDENTITY USING INDEX, or",
        ),
    ];
    for (code, is_kind, which, first) in kinds {
        let found: Vec<_> = wanted.iter().filter(|table| is_kind(table)).collect();
        if found.is_empty() {
            continue;
        }
        let message = format!(
            "the server refuses UPDATE and DELETE on published tables {which}: {}",
            some(found.iter().map(|table| table.quoted.as_str()))
        );
        let sql = found.iter().map(|table| format!("ALTER TABLE {} REPLICA IDENTITY FULL;", table.quoted));
        let remedy = format!("{first} run {}", sql.collect::<Vec<_>>().join(" "));
        faults.push(fault(Gravity::Warning, "table.include.list", code, message, remedy));
    }
}
