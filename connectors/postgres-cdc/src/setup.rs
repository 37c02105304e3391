//! What must be in place on the server before anything flows: its settings, the publication, the slot.
//!
//! What must be so before is in `safety`; here is what a start does about what may be made.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use towpath_model::{Fault, Reason};

use crate::catalog::{Catalog, Published};
use crate::config::{AutoCreate, Settings};
use crate::error::Error;
use crate::offset::parse_lsn;
use crate::safety::{none_wanted, publication_missing};
use crate::wire::{Answer, Row};

/// Whoever holds a table for longer is not waited for. Vacuuming by itself gives way after a second.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '5s'; ";

/// Makes the publication, or brings it in step with the filters, where the configuration says so. Answers with what it ran.
///
/// # Errors
/// When it is missing and may not be made, or the role may not make it.
pub fn ensure_publication(catalog: &mut Catalog, settings: &Settings) -> Result<Option<String>, Error> {
    let name = escape_identifier(&settings.publication);
    let existing = catalog.publication(&settings.publication)?;
    let options = if settings.via_root && catalog.version() >= 130_000 {
        " WITH (publish_via_partition_root = true)"
    } else {
        ""
    };
    let sql = match (settings.autocreate, existing) {
        (AutoCreate::Disabled, None) => return Err(publication_missing(settings).into()),
        (AutoCreate::AllTables, None) => format!("CREATE PUBLICATION {name} FOR ALL TABLES{options}"),
        (AutoCreate::NoTables, None) => format!("CREATE PUBLICATION {name}{options}"),
        (AutoCreate::Filtered, existing) => {
            if existing.as_ref().is_some_and(|publication| publication.all_tables) {
                return Ok(None);
            }
            let wanted = wanted_tables(catalog, settings)?;
            let list = table_list(wanted.iter().map(|(schema, table)| (schema, table)));
            match existing {
                None => format!("CREATE PUBLICATION {name} FOR TABLE {list}{options}"),
                Some(_) if published_exactly(catalog, settings, &wanted)? => return Ok(None),
                Some(_) => format!("ALTER PUBLICATION {name} SET TABLE {list}"),
            }
        }
        (_, Some(_)) => return Ok(None),
    };
    match catalog.query(&format!("{LOCK_WAIT}{sql}")) {
        Ok(_) => Ok(Some(sql)),
        // Somebody made it between the look and the attempt.
        Err(error) if error.sqlstate() == Some("42710") => Ok(None),
        Err(error) if error.sqlstate() == Some("42501") => {
            let reason = Reason::coded("postgres.publication_right", error.to_string());
            let remedy = format!("Have a superuser, or the tables' owner, run {sql};");
            Err(Fault::error("publication.autocreate.mode", reason.remedy(remedy)).into())
        }
        Err(error) => Err(error),
    }
}

/// Tables for SQL.
pub(crate) fn table_list<'a>(tables: impl Iterator<Item = (&'a String, &'a String)>) -> String {
    let quoted = tables.map(|(schema, table)| format!("{}.{}", escape_identifier(schema), escape_identifier(table)));
    quoted.collect::<Vec<_>>().join(", ")
}

fn wanted_tables(catalog: &mut Catalog, settings: &Settings) -> Result<Vec<(String, String)>, Error> {
    let mut tables = catalog.tables(settings.via_root)?;
    tables.retain(|(schema, table)| is_wanted(settings, schema, table));
    if tables.is_empty() {
        return Err(none_wanted(settings).into());
    }
    Ok(tables)
}

fn published_exactly(catalog: &mut Catalog, settings: &Settings, wanted: &[(String, String)]) -> Result<bool, Error> {
    let sql = format!(
        "SELECT n.nspname, c.relname FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid \
         JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace WHERE p.pubname = {} ORDER BY 1, 2",
        escape_literal(&settings.publication)
    );
    let published: Vec<_> = catalog.query(&sql)?;
    let same = |row: &Row, table: &(String, String)| {
        row.first().and_then(Option::as_ref) == Some(&table.0) && row.get(1).and_then(Option::as_ref) == Some(&table.1)
    };
    let mut wanted = wanted.to_vec();
    wanted.sort();
    let mut published = published;
    published.sort();
    Ok(published.len() == wanted.len() && published.iter().zip(&wanted).all(|(row, table)| same(row, table)))
}

/// Whether the filters want a table.
pub fn is_wanted(settings: &Settings, schema: &str, table: &str) -> bool {
    settings.schemas.wants(schema) && settings.tables.wants(&format!("{schema}.{table}"))
}

/// The tables that are both published and wanted.
///
/// # Errors
/// When the catalog cannot be read.
pub fn captured(catalog: &mut Catalog, settings: &Settings) -> Result<Vec<Published>, Error> {
    let mut tables = catalog.published(&settings.publication)?;
    tables.retain(|table| is_wanted(settings, &table.schema, &table.name));
    Ok(tables)
}

/// The command that makes a slot and exports a snapshot of the moment from which it streams.
pub fn create_slot(name: &str, temporary: bool, failover: bool, version: u32) -> String {
    let name = escape_identifier(name);
    let lifetime = if temporary { " TEMPORARY" } else { "" };
    if failover && !temporary && version >= 170_000 {
        return format!("CREATE_REPLICATION_SLOT {name} LOGICAL pgoutput (SNAPSHOT 'export', FAILOVER)");
    }
    format!("CREATE_REPLICATION_SLOT {name}{lifetime} LOGICAL pgoutput EXPORT_SNAPSHOT")
}

/// A slot that was made: where it begins, and the snapshot of that moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Changes committed from here on are streamed; all before are in the snapshot.
    pub lsn: u64,
    /// The snapshot's name.
    pub snapshot: String,
}

/// Reads the answer to [`create_slot`].
///
/// # Errors
/// When it has another shape.
pub fn read_created(answer: Answer) -> Result<Created, Error> {
    let Answer::Rows(rows) = answer else { return Err(UNEXPECTED) };
    let mut row = rows.into_iter().next().ok_or(UNEXPECTED)?.into_iter().skip(1);
    let lsn = row.next().flatten().and_then(|lsn| parse_lsn(&lsn)).ok_or(UNEXPECTED)?;
    let snapshot = row.next().flatten().ok_or(UNEXPECTED)?;
    Ok(Created { lsn, snapshot })
}

const UNEXPECTED: Error = Error::Protocol("an answer of unexpected shape to the making of a slot");
