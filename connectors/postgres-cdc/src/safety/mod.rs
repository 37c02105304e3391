//! The source's safety: what must be so on the server for a capture to begin and to go on, and what mends it where it is not.
//!
//! | file | looks at |
//! |---|---|
//! | `diagnosis` | errors of network and server |
//! | `server` | version, `wal_level`, the role, room for one more slot and sender |
//! | `publication` | that it is there or may be made, and holds what is wanted |
//! | `slot` | whose it is, who uses it, what the server has kept for it |
//! | `tables` | rights to read, replica identities |
//! | `watch` | slot and publication again, while a stream runs |
//!
//! Each fault has a code, says whether it passes by itself, and carries the SQL or setting that mends it. `validate` and the start of a
//! task use the same looks; nothing here changes anything but what `setup` may.

mod diagnosis;
mod publication;
mod server;
mod slot;
mod tables;
mod watch;

use std::time::Duration;

use towpath_model::{Fault, Gravity, Reason};

use crate::catalog::Catalog;
use crate::config::{AutoCreate, Settings};
use crate::error::Error;
use crate::setup::is_wanted;

pub use diagnosis::diagnose;
pub(crate) use publication::publication_missing;
pub(crate) use server::server_faults;
pub(crate) use slot::{slot_busy, slot_faults, slot_gone, slot_lost, slot_moved};
pub(crate) use tables::none_wanted;
pub use watch::Watch;

/// A server that does not answer for so long while a configuration is looked at will not do so soon.
const ANSWER_MAX: Duration = Duration::from_secs(8);

/// Connects and looks, without changing anything.
pub fn look(catalog: &mut Catalog, settings: &Settings) -> Vec<Fault> {
    catalog.answer_within(ANSWER_MAX);
    let mut faults = Vec::new();
    if let Err(error) = look_further(catalog, settings, &mut faults) {
        // What was found before may well be the cause.
        faults.push(diagnose(error, &settings.login));
    }
    faults
}

fn look_further(catalog: &mut Catalog, settings: &Settings, faults: &mut Vec<Fault>) -> Result<(), Error> {
    let server = catalog.probe()?;
    faults.extend(server_faults(&server, settings));
    let slot = catalog.slot(&settings.slot)?;
    if let Some(slot) = &slot {
        faults.extend(slot_faults(slot, settings));
        if let Some(pid) = slot.active_pid {
            let owner = catalog.owner(pid)?;
            // Whoever checks the configuration of a connector that runs finds it at its slot.
            if owner.application != settings.login.application_name {
                faults.push(slot_busy(&owner, settings));
            }
        }
    }
    faults.extend(server::room(&catalog.capacity()?, slot.is_none()));
    let mut wanted = catalog.tables(settings.via_root)?;
    wanted.retain(|(schema, table)| is_wanted(settings, schema, table));
    if wanted.is_empty() && settings.autocreate != AutoCreate::NoTables {
        faults.push(tables::none_wanted(settings));
        return Ok(());
    }
    let wanted = catalog.standing(&wanted, &settings.publication)?;
    publication::look(catalog, &server, settings, &wanted, faults)?;
    faults.extend(tables::faults(&wanted, settings));
    Ok(())
}

/// A fault with what mends it.
fn fault(
    gravity: Gravity,
    key: &'static str,
    code: &'static str,
    message: impl Into<String>,
    remedy: impl Into<String>,
) -> Fault {
    Fault { key: key.to_owned(), gravity, reason: Reason::coded(code, message).remedy(remedy) }
}

/// Some names for a sentence, and how many there are beside.
fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 5;
    let names: Vec<_> = names.collect();
    let mut text = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
