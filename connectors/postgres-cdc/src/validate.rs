//! Faults that the definition of the keys cannot express: what the server, its catalog and the role say.

use towpath_model::Checkpoint;

use crate::catalog::Catalog;
use crate::config::{AutoCreate, Settings};
use crate::error::Error;
use crate::offset::{Offset, TableProgress};
use crate::setup;

/// Connects and looks, without changing anything. Faults are (key, reason).
///
/// # Errors
/// When the server could not be examined for a reason that may pass.
pub fn validate(catalog: &mut Catalog, settings: &Settings) -> Result<Vec<(String, String)>, Error> {
    match examine(catalog, settings) {
        Ok(faults) => Ok(faults.into_iter().map(|(key, reason)| (key.to_owned(), reason)).collect()),
        Err(Error::Setting { key, reason }) => Ok(vec![(key.to_owned(), reason)]),
        Err(error) => match error.sqlstate() {
            Some("28P01") => Ok(vec![("database.password".into(), error.to_string())]),
            Some("28000") => Ok(vec![("database.user".into(), error.to_string())]),
            Some("3D000") => Ok(vec![("database.dbname".into(), error.to_string())]),
            _ => match error {
                Error::Network(_) => Ok(vec![("database.hostname".into(), error.to_string())]),
                error => Err(error),
            },
        },
    }
}

fn examine(catalog: &mut Catalog, settings: &Settings) -> Result<Vec<(&'static str, String)>, Error> {
    let server = catalog.probe()?;
    let mut faults = setup::check_server(&server, settings);
    let publication = catalog.publication(&settings.publication)?;
    if publication.is_none()
        && settings.autocreate == AutoCreate::Disabled
        && let Error::Setting { key, reason } = setup::publication_missing(settings)
    {
        faults.push((key, reason));
    }
    let mut tables = catalog.tables(settings.via_root)?;
    tables.retain(|(schema, table)| setup::is_wanted(settings, schema, table));
    if tables.is_empty() {
        let reason = "no table of the database matches the filters".to_owned();
        faults.push(("table.include.list", reason));
    }
    let unreadable = catalog.unreadable(&tables)?;
    if !unreadable.is_empty() {
        let role = postgres_protocol::escape::escape_identifier(&settings.login.user);
        let list = unreadable.join(", ");
        faults.push(("database.user", format!("the role cannot read {list}; run GRANT SELECT ON {list} TO {role};")));
    }
    if let Some(slot) = catalog.slot(&settings.slot)? {
        if slot.plugin != "pgoutput" {
            faults.push((
                "slot.name",
                format!("the slot's plugin is `{}`, not pgoutput; choose another name", slot.plugin),
            ));
        } else if slot.database != settings.login.database {
            faults.push((
                "slot.name",
                format!("the slot belongs to the database `{}`; choose another name", slot.database),
            ));
        }
    }
    Ok(faults)
}

/// Whether positions that an operator wants are ones that could be ours.
///
/// # Errors
/// When one cannot be; the text says why.
pub fn offsets(offsets: &[Checkpoint]) -> Result<(), String> {
    for checkpoint in offsets {
        let partition: serde_json::Value = serde_json::from_str(&checkpoint.partition).unwrap_or_default();
        if !partition.get("server").is_some_and(serde_json::Value::is_string) {
            return Err(format!(
                "{} is no source partition; it is {{\"server\": \"<topic.prefix>\"}}",
                checkpoint.partition
            ));
        }
        let Some(offset) = &checkpoint.offset else { continue };
        if partition.get("table").is_some() {
            TableProgress::parse(offset).ok_or("the progress of a table has `through`, `file` and `xmin`")?;
        } else {
            Offset::parse(offset).map_err(|error| error.to_string())?;
        }
    }
    Ok(())
}
