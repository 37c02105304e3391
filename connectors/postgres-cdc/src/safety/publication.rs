//! The publication: that it is there, or that the role may make it, and that it holds what is wanted.

use postgres_protocol::escape::escape_identifier;
use towpath_model::{Fault, Gravity};

use super::{fault, some};
use crate::catalog::{Catalog, Publication, Server, Standing};
use crate::config::{AutoCreate, Settings};
use crate::error::Error;
use crate::setup;

const KEY: &str = "publication.name";
const MODE: &str = "publication.autocreate.mode";

/// It is missing and may not be made.
pub(crate) fn publication_missing(settings: &Settings) -> Fault {
    let name = escape_identifier(&settings.publication);
    let message = format!("there is no publication {name}, and `{MODE}` forbids to make it");
    let remedy = format!("Run CREATE PUBLICATION {name} FOR ALL TABLES; or name the tables, or change `{MODE}`.");
    fault(Gravity::Error, KEY, "postgres.publication_missing", message, remedy)
}

pub(super) fn look(
    catalog: &mut Catalog,
    server: &Server,
    settings: &Settings,
    wanted: &[Standing],
    faults: &mut Vec<Fault>,
) -> Result<(), Error> {
    match catalog.publication(&settings.publication)? {
        Some(publication) => {
            faults.extend(operations(&publication, settings));
            faults.extend(contents(&publication, settings, wanted));
        }
        None if settings.autocreate == AutoCreate::Disabled => faults.push(publication_missing(settings)),
        None => faults.extend(may_make(server, settings, wanted)),
    }
    Ok(())
}

/// Whether the role may make it.
fn may_make(server: &Server, settings: &Settings, wanted: &[Standing]) -> Option<Fault> {
    let name = escape_identifier(&settings.publication);
    let role = escape_identifier(&settings.login.user);
    if server.is_superuser {
        return None;
    }
    let by_superuser = |message: String, sql: &str| {
        let remedy = format!("Have a superuser run {sql};");
        Some(fault(Gravity::Error, MODE, "postgres.publication_right", message, remedy))
    };
    if settings.autocreate == AutoCreate::AllTables {
        let message = format!(
            "there is no publication {name}, and the role {role} may not make one for all tables, which takes a superuser"
        );
        let tables = setup::table_list(wanted.iter().map(|table| (&table.schema, &table.name)));
        return by_superuser(message, &format!("CREATE PUBLICATION {name} FOR TABLE {tables}"));
    }
    if !server.may_create {
        let database = escape_identifier(&settings.login.database);
        let message = format!("there is no publication {name}, and the role {role} may not make one in this database");
        let remedy = format!("Run GRANT CREATE ON DATABASE {database} TO {role};");
        return Some(fault(Gravity::Error, MODE, "postgres.publication_right", message, remedy));
    }
    let foreign = || wanted.iter().filter(|table| !table.is_owned);
    if settings.autocreate == AutoCreate::Filtered && foreign().next().is_some() {
        let list = some(foreign().map(|table| table.quoted.as_str()));
        let message = format!("the role {role} may not publish tables that it does not own: {list}");
        let tables = setup::table_list(wanted.iter().map(|table| (&table.schema, &table.name)));
        return by_superuser(message, &format!("CREATE PUBLICATION {name} FOR TABLE {tables}"));
    }
    None
}

/// Operations that are not published, and yet wanted.
fn operations(publication: &Publication, settings: &Settings) -> Option<Fault> {
    let skipped = settings.skipped;
    let wanted = [
        ("insert", publication.inserts, !skipped.creates),
        ("update", publication.updates, !skipped.updates),
        ("delete", publication.deletes, !skipped.deletes),
        ("truncate", publication.truncates, !skipped.truncates),
    ];
    let lacking: Vec<_> = wanted.iter().filter(|(_, published, wanted)| *wanted && !published).collect();
    let (first, ..) = lacking.first()?;
    let name = escape_identifier(&settings.publication);
    let list = lacking.iter().map(|(operation, ..)| *operation).collect::<Vec<_>>().join(", ");
    let all = wanted.iter().filter(|(_, published, wanted)| *wanted || *published);
    let all = all.map(|(operation, ..)| *operation).collect::<Vec<_>>().join(", ");
    let letter = if *first == "insert" { "c" } else { first.get(..1).unwrap_or_default() };
    let message = format!("the publication {name} does not publish {list}, so that such changes are never captured");
    let remedy = format!(
        "Run ALTER PUBLICATION {name} SET (publish = '{all}');, or name the operations in `skipped.operations`, such as {letter}, if \
         that is meant."
    );
    Some(fault(Gravity::Warning, KEY, "postgres.publication_operations", message, remedy))
}

/// Tables that are wanted and not published.
fn contents(publication: &Publication, settings: &Settings, wanted: &[Standing]) -> Option<Fault> {
    let name = escape_identifier(&settings.publication);
    let lacking: Vec<_> = wanted.iter().filter(|table| !table.is_published).collect();
    if publication.all_tables || lacking.is_empty() {
        return None;
    }
    let tables = setup::table_list(lacking.iter().map(|table| (&table.schema, &table.name)));
    if settings.autocreate == AutoCreate::Filtered {
        // The start brings it in step, if it may.
        let owned = publication.is_owned && lacking.iter().all(|table| table.is_owned);
        return (!owned).then(|| {
            let role = escape_identifier(&settings.login.user);
            let message = format!("the publication {name} lacks tables, and the role {role} may not add them");
            let remedy = format!("Have a superuser, or their owner, run ALTER PUBLICATION {name} ADD TABLE {tables};");
            fault(Gravity::Error, MODE, "postgres.publication_right", message, remedy)
        });
    }
    // What was left open is meant to be what is published; what was asked for by name is meant to come.
    let none_at_all = lacking.len() == wanted.len();
    if !none_at_all && !settings.has_include_list {
        return None;
    }
    let list = some(lacking.iter().map(|table| table.quoted.as_str()));
    let message = format!("the publication {name} does not hold {list}, so that nothing of it is captured");
    let remedy = format!("Run ALTER PUBLICATION {name} ADD TABLE {tables};");
    let gravity = if none_at_all { Gravity::Error } else { Gravity::Warning };
    Some(fault(gravity, KEY, "postgres.publication_tables", message, remedy))
}
