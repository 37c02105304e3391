//! Objects: their properties by the content model that takes or gives them, and what they require.

use std::sync::Arc;

use super::super::{Beyond, Id, Object, Shape};
use super::{Change, Changes, Comparison, Place, compare_limits, under};

impl<'a> Comparison<'a> {
    pub(super) fn objects(&mut self, old: (Place, &'a Object), new: (Place, &'a Object)) -> Changes {
        let ((old_place, before), (new_place, after)) = (old, new);
        let mut changes = self.newly_required(old, new);
        for (name, was) in &before.properties {
            let was = Place(old_place.0, *was);
            let found = match after.properties.get(name) {
                Some(is) => self.schemas(was, Place(new_place.0, *is))?,
                None => self.removed(was, new, name)?,
            };
            changes.extend(under(&format!("properties/{name}"), found));
        }
        for (name, is) in after.properties.iter().filter(|(name, _)| !before.properties.contains_key(*name)) {
            let found = self.added(old, new, name, *is)?;
            changes.extend(under(&format!("properties/{name}"), found));
        }
        changes.extend(under("dependencies", self.dependencies(old, new)?));
        changes.extend(self.beyond(
            (old_place, before.beyond),
            (new_place, after.beyond),
            "additionalProperties",
            ["ADDITIONAL_PROPERTIES_REMOVED", "ADDITIONAL_PROPERTIES_NARROWED"],
        )?);
        changes.extend(self.beyond(
            (old_place, self.unevaluated(old_place, before.unevaluated)),
            (new_place, self.unevaluated(new_place, after.unevaluated)),
            "unevaluatedProperties",
            ["UNEVALUATED_PROPERTIES_REMOVED", "UNEVALUATED_PROPERTIES_NARROWED"],
        )?);
        compare_limits(&before.limits, &after.limits, &mut changes);
        Some(changes)
    }

    fn newly_required(&self, (_, before): (Place, &Object), (place, after): (Place, &Object)) -> Vec<Change> {
        let kept = before.properties.keys().filter_map(|name| Some((name, *after.properties.get(name)?)));
        let newly = kept.filter(|(name, is)| {
            after.required.contains(*name)
                && !before.required.contains(*name)
                && self.node(Place(place.0, *is)).default.is_none()
        });
        newly.map(|(name, _)| Change::at(&format!("required/{name}"), "REQUIRED_ATTRIBUTE_ADDED")).collect()
    }

    fn removed(&mut self, was: Place, (place, after): (Place, &Object), name: &str) -> Changes {
        if self.is_open(place, after) {
            return Some(Vec::new());
        }
        let Some(covering) = self.covering(place, after, name) else {
            let nothing = matches!(self.node(was).shape, Shape::Nothing);
            let removed = || Change::here("PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL");
            return Some((!nothing).then(removed).into_iter().collect());
        };
        self.covered(was, covering, "PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")
    }

    fn added(
        &mut self,
        (old, before): (Place, &Object),
        (new, after): (Place, &Object),
        name: &Arc<str>,
        is: Id,
    ) -> Changes {
        let is = Place(new.0, is);
        let (required, has_default) = (after.required.contains(name), self.node(is).default.is_some());
        if self.is_open(old, before) {
            let kind = match (required, has_default) {
                _ if matches!(self.node(is).shape, Shape::Anything) => return Some(Vec::new()),
                (true, true) => "REQUIRED_PROPERTY_WITH_DEFAULT_ADDED_TO_OPEN_CONTENT_MODEL",
                (true, false) => "REQUIRED_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
                (false, _) => "OPTIONAL_PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL",
            };
            return Some(vec![Change::here(kind)]);
        }
        let mut changes = Vec::new();
        if let Some(covering) = self.covering(old, before, name) {
            changes = self.covered(covering, is, "PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL")?;
        }
        if required && !has_default {
            changes.push(Change::here("REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL"));
        }
        Some(changes)
    }

    fn dependencies(&mut self, (old, before): (Place, &Object), (new, after): (Place, &Object)) -> Changes {
        let mut changes = Vec::new();
        for (name, is) in &after.needs {
            let kind = match before.needs.get(name) {
                None => "DEPENDENCY_ARRAY_ADDED",
                Some(was) if was.is_superset(is) => continue,
                Some(was) if was.is_subset(is) => "DEPENDENCY_ARRAY_EXTENDED",
                Some(_) => "DEPENDENCY_ARRAY_CHANGED",
            };
            changes.push(Change::at(name, kind));
        }
        for (name, is) in &after.demands {
            match before.demands.get(name) {
                None => changes.push(Change::at(name, "DEPENDENCY_SCHEMA_ADDED")),
                Some(was) => changes.extend(under(name, self.schemas(Place(old.0, *was), Place(new.0, *is))?)),
            }
        }
        Some(changes)
    }

    fn is_open(&self, place: Place, object: &Object) -> bool {
        object.beyond == Beyond::Anything
            && object.patterns.is_empty()
            && self.unevaluated(place, object.unevaluated) == Beyond::Anything
    }

    /// The schema that a property without one of its own is under, in a partially open content model.
    fn covering(&self, place: Place, object: &Object, name: &str) -> Option<Place> {
        // A pattern that takes too long to be matched covers nothing.
        let by_pattern = object.patterns.iter().find(|(pattern, _)| pattern.is_match(name).unwrap_or_default());
        let schema = by_pattern.map(|(_, schema)| *schema).or_else(|| match object.beyond {
            Beyond::Of(schema) => Some(schema),
            Beyond::Nothing => None,
            Beyond::Anything => match self.unevaluated(place, object.unevaluated) {
                Beyond::Of(schema) => Some(schema),
                Beyond::Anything | Beyond::Nothing => None,
            },
        });
        schema.map(|schema| Place(place.0, schema))
    }
}
