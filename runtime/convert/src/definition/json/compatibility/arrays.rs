//! Arrays: the schema of all items, or those of the first ones and what may follow them.

use super::super::{Array, Beyond, Shape};
use super::{Change, Changes, Comparison, Place, compare_limits, under};

impl<'a> Comparison<'a> {
    pub(super) fn arrays(&mut self, old: (Place, &'a Array), new: (Place, &'a Array)) -> Changes {
        let ((old_place, before), (new_place, after)) = (old, new);
        let mut changes = Vec::new();
        match (before.every, after.every) {
            (_, None) => {}
            (None, Some(_)) => changes.push(Change::at("items", "SCHEMA_ADDED")),
            (Some(was), Some(is)) => {
                changes.extend(under("items", self.schemas(Place(old_place.0, was), Place(new_place.0, is))?));
            }
        }
        for index in 0..before.first.len().max(after.first.len()) {
            let found = match (before.first.get(index), after.first.get(index)) {
                (Some(was), Some(is)) => self.schemas(Place(old_place.0, *was), Place(new_place.0, *is))?,
                (Some(was), None) => self.item_removed(Place(old_place.0, *was), new)?,
                (None, Some(is)) => self.item_added(old, Place(new_place.0, *is))?,
                (None, None) => Vec::new(),
            };
            changes.extend(under(&format!("items/{index}"), found));
        }
        changes.extend(self.beyond(
            (old_place, before.beyond),
            (new_place, after.beyond),
            "additionalItems",
            ["ADDITIONAL_ITEMS_REMOVED", "ADDITIONAL_ITEMS_NARROWED"],
        )?);
        changes.extend(self.beyond(
            (old_place, self.unevaluated(old_place, before.unevaluated)),
            (new_place, self.unevaluated(new_place, after.unevaluated)),
            "unevaluatedItems",
            ["UNEVALUATED_ITEMS_REMOVED", "UNEVALUATED_ITEMS_NARROWED"],
        )?);
        compare_limits(&before.limits, &after.limits, &mut changes);
        if after.unique && !before.unique {
            changes.push(Change::at("uniqueItems", "UNIQUE_ITEMS_ADDED"));
        }
        Some(changes)
    }

    fn item_removed(&mut self, was: Place, (place, after): (Place, &Array)) -> Changes {
        let covering = match self.further_items(place, after) {
            Beyond::Anything => return Some(Vec::new()),
            Beyond::Nothing if matches!(self.node(was).shape, Shape::Nothing) => return Some(Vec::new()),
            Beyond::Nothing => return Some(vec![Change::here("ITEM_REMOVED_FROM_CLOSED_CONTENT_MODEL")]),
            Beyond::Of(covering) => covering,
        };
        self.covered(was, Place(place.0, covering), "ITEM_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")
    }

    fn item_added(&mut self, (place, before): (Place, &Array), is: Place) -> Changes {
        let covering = match self.further_items(place, before) {
            Beyond::Nothing => return Some(Vec::new()),
            Beyond::Anything if matches!(self.node(is).shape, Shape::Anything) => return Some(Vec::new()),
            Beyond::Anything => return Some(vec![Change::here("ITEM_ADDED_TO_OPEN_CONTENT_MODEL")]),
            Beyond::Of(covering) => covering,
        };
        self.covered(Place(place.0, covering), is, "ITEM_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")
    }

    /// What items without a schema of their own may be.
    fn further_items(&self, place: Place, array: &Array) -> Beyond {
        match array.beyond {
            Beyond::Anything => self.unevaluated(place, array.unevaluated),
            beyond => beyond,
        }
    }
}
