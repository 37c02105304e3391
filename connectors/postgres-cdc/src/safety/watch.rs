//! What is looked at again while a stream runs: whether the server still holds what it needs, and publishes what is wanted.
//!
//! Neither makes an error of its own. A slot that falls behind is lost all the same, and of a table that is not published nothing
//! comes, so both are told, once each time they get worse.

use std::time::Duration;

use super::slot::{at_risk, thresholds_crossed};
use crate::catalog::Catalog;
use crate::config::Settings;
use crate::network::{Host, Level};
use crate::setup::ensure_publication;

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Remembers what has been told.
#[derive(Debug, Default)]
pub struct Watch {
    due: Duration,
    /// How many of the thresholds have been told.
    slot_told: usize,
    publication_told: Option<String>,
}

impl Watch {
    /// Looks when it is due. A look that fails is made up for by the next. The publication is left alone unless `streams`.
    pub fn look(&mut self, now: Duration, catalog: &mut Catalog, settings: &Settings, host: &dyn Host, streams: bool) {
        if now < self.due {
            return;
        }
        self.due = now + LOOK_EVERY;
        self.look_at_slot(catalog, settings, host);
        if streams {
            self.look_at_publication(catalog, settings, host);
        }
    }

    fn look_at_slot(&mut self, catalog: &mut Catalog, settings: &Settings, host: &dyn Host) {
        let Ok(Some(slot)) = catalog.slot(&settings.slot) else { return };
        let crossed = thresholds_crossed(&slot);
        if crossed > self.slot_told
            && let Some(fault) = at_risk(&slot, settings)
        {
            host.log(Level::Warn, format_args!("{} [postgres.slot_at_risk]", fault.reason));
        }
        self.slot_told = crossed;
    }

    /// A publication that was dropped, or that lacks a table made since, is mended as at a start, or it is said what mends it.
    fn look_at_publication(&mut self, catalog: &mut Catalog, settings: &Settings, host: &dyn Host) {
        let told = match ensure_publication(catalog, settings) {
            Ok(None) => None,
            Ok(Some(sql)) => Some(format!(
                "the publication was not what the filters want, and {sql} was run; what was written to its tables before is not captured"
            )),
            Err(error) if error.is_passing() => return,
            Err(error) => Some(error.to_string()),
        };
        if let Some(told) = &told
            && self.publication_told.as_ref() != Some(told)
        {
            host.log(Level::Warn, format_args!("{told}"));
        }
        self.publication_told = told;
    }
}
