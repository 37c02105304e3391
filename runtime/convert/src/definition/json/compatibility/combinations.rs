//! `allOf`, `anyOf` and `oneOf`: each schema of the smaller combination must have a partner of its own in the larger one.

use super::super::{Criterion, Id, Shape};
use super::{Change, Changes, Comparison, Place};

/// A combination: where, how many must hold, and its schemas.
type Combination<'a> = (Place, Criterion, &'a [Id]);

impl Comparison<'_> {
    /// Whether a schema becomes part of a combination that takes it, or is what a combination came down to.
    pub(super) fn joins_or_leaves_a_combination(&mut self, old: Place, new: Place) -> Option<bool> {
        let (before, after) = (&self.node(old).shape, &self.node(new).shape);
        let pairs: Vec<_> = match (before, after) {
            (Shape::Combined(..), Shape::Combined(..)) => return Some(false),
            (_, Shape::Combined(criterion, branches)) if *criterion != Criterion::All || branches.len() == 1 => {
                branches.iter().map(|branch| (old, Place(new.0, *branch))).collect()
            }
            (Shape::Combined(criterion, branches), _) if *criterion == Criterion::All || branches.len() == 1 => {
                branches.iter().map(|branch| (Place(old.0, *branch), new)).collect()
            }
            _ => return Some(false),
        };
        for (old, new) in pairs {
            if self.is_compatible(old, new)? {
                return Some(true);
            }
        }
        Some(false)
    }

    pub(super) fn combinations(
        &mut self,
        (old, criterion, before): Combination<'_>,
        (new, new_criterion, after): Combination<'_>,
    ) -> Changes {
        let extended = new_criterion == Criterion::Any
            || (before.len() == 1 && (after.len() == 1 || new_criterion == Criterion::One))
            || (after.len() == 1 && criterion == Criterion::All);
        if criterion != new_criterion && !extended {
            return Some(vec![Change::here("COMBINED_TYPE_CHANGED")]);
        }
        let mut changes = Vec::new();
        if before.len() < after.len() && new_criterion == Criterion::All {
            changes.push(Change::here("PRODUCT_TYPE_EXTENDED"));
        }
        if before.len() > after.len() && criterion != Criterion::All {
            changes.push(Change::here("SUM_TYPE_NARROWED"));
        }
        let mut partners = Vec::with_capacity(before.len());
        for was in before {
            let mut fitting = Vec::new();
            for (index, is) in after.iter().enumerate() {
                if self.is_compatible(Place(old.0, *was), Place(new.0, *is))? {
                    fitting.push(index);
                }
            }
            partners.push(fitting);
        }
        if self.most_pairs(&partners, after.len())? < before.len().min(after.len()) {
            changes.push(Change::here("COMBINED_TYPE_SUBSCHEMAS_CHANGED"));
        }
        Some(changes)
    }

    /// How many can be given a partner of their own, out of those that fit each.
    fn most_pairs(&mut self, partners: &[Vec<usize>], count: usize) -> Option<usize> {
        let mut taken_by: Vec<Option<usize>> = vec![None; count];
        let mut pairs = 0;
        for first in 0..partners.len() {
            // From one that has no partner, by turns to a partner that fits and to whom that one belongs, until one is free.
            let mut reached_from: Vec<Option<usize>> = vec![None; count];
            let mut waiting = vec![first];
            let mut free = None;
            'search: while let Some(one) = waiting.pop() {
                for partner in partners.get(one).into_iter().flatten() {
                    self.look()?;
                    if reached_from.get(*partner).is_none_or(Option::is_some) {
                        continue;
                    }
                    *reached_from.get_mut(*partner)? = Some(one);
                    match taken_by.get(*partner).copied().flatten() {
                        Some(other) => waiting.push(other),
                        None => {
                            free = Some(*partner);
                            break 'search;
                        }
                    }
                }
            }
            pairs += usize::from(free.is_some());
            // Back along that way everyone takes the partner that was reached from it.
            while let Some(partner) = free {
                let one = reached_from.get(partner).copied().flatten()?;
                free = taken_by.iter().position(|taken| *taken == Some(one));
                *taken_by.get_mut(partner)? = Some(one);
            }
        }
        Some(pairs)
    }
}
