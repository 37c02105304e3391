//! Filter: drops every record that it is given. What it is given is the business of its predicate.

use towpath_model::Batch;

use super::Rewrite;
use crate::draft::{Draft, Rewritten};

/// Drops records.
pub(crate) struct Filter;

impl Rewrite for Filter {
    fn apply(&mut self, batch: &Batch) -> Rewritten {
        let mut draft = Draft::of(batch);
        (0..batch.len()).for_each(|_| draft.filter());
        draft.finish()
    }
}
