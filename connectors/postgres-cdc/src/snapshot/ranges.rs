//! Which places of a table are read: stretches of row addresses, as the ledger keeps them.
//!
//! An address is a number, block before item, so that neighbours differ by one. Stretches are half open, in order, and never
//! touch. What is not in them is still to be read, and a table without gaps is read whole.

use serde_json::{Value, json};

use crate::wire::Ctid;

/// Beyond every address.
pub(super) const END: u64 = u64::MAX;

/// Stretches of addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Everything.
    pub fn whole() -> Self {
        Self(vec![(0, END)])
    }

    /// Adds the addresses from `from` up to `to`, that one left out.
    pub fn add(&mut self, from: u64, to: u64) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|known| known.1 < from);
        let behind = self.0.partition_point(|known| known.0 <= to);
        let touched = self.0.get(first..behind).unwrap_or_default();
        let from = touched.first().map_or(from, |known| known.0.min(from));
        let to = touched.last().map_or(to, |known| known.1.max(to));
        self.0.splice(first..behind, [(from, to)]);
    }

    /// The stretches that are in it.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (u64, u64)> {
        self.0.iter().copied()
    }

    /// The stretches that are not.
    pub fn gaps(&self) -> Vec<(u64, u64)> {
        let ends = std::iter::once(0).chain(self.0.iter().map(|known| known.1));
        let begins = self.0.iter().map(|known| known.0).chain([END]);
        ends.zip(begins).filter(|(from, to)| from < to).collect()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether everything is.
    pub fn is_whole(&self) -> bool {
        self.0 == [(0, END)]
    }

    /// How many addresses before `end` are in it, in blocks.
    pub fn blocks(&self, end: u64) -> f64 {
        let length = |(from, to): (u64, u64)| to.min(end).saturating_sub(from.min(end));
        self.iter().map(length).sum::<u64>() as f64 / f64::from(1 << 16)
    }

    /// Reads what [`to_json`](Self::to_json) wrote.
    pub fn parse(value: &Value) -> Option<Self> {
        let mut ranges = Self::default();
        for stretch in value.as_array()? {
            let [from, to] = stretch.as_array()?.as_slice() else { return None };
            let to = if to.is_null() { END } else { place(to)? };
            ranges.add(place(from)?, to);
        }
        Some(ranges)
    }

    /// Pairs of addresses as PostgreSQL writes them; a stretch without end has null for it.
    pub fn to_json(&self) -> Value {
        let show = |address| Ctid::from_address(address).to_string();
        let stretch = |&(from, to): &(u64, u64)| json!([show(from), (to != END).then(|| show(to))]);
        Value::Array(self.0.iter().map(stretch).collect())
    }
}

fn place(value: &Value) -> Option<u64> {
    Some(Ctid::parse(value.as_str()?.as_bytes())?.address())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn they_hold_what_was_added_and_no_more(added in prop::collection::vec((0u64..60, 0u64..12), 0..20)) {
            let mut ranges = Ranges::default();
            let mut told = [false; 80];
            for (from, length) in added {
                ranges.add(from, from + length);
                told[from as usize..(from + length) as usize].fill(true);
            }
            let within = |stretches: &[(u64, u64)], at: u64| stretches.iter().any(|(from, to)| (*from..*to).contains(&at));
            let (held, gaps) = (ranges.iter().collect::<Vec<_>>(), ranges.gaps());
            for (at, told) in told.into_iter().enumerate() {
                prop_assert_eq!(within(&held, at as u64), told);
                prop_assert_eq!(within(&gaps, at as u64), !told);
            }
            prop_assert!(held.windows(2).all(|pair| pair[0].1 < pair[1].0), "stretches touch: {:?}", held);
            prop_assert_eq!(Ranges::parse(&ranges.to_json()), Some(ranges));
        }
    }

    #[test]
    fn the_whole_is_known_as_such() {
        let mut ranges = Ranges::default();
        ranges.add(5, END);
        assert!(!ranges.is_whole() && ranges.to_json().to_string() == r#"[["(0,5)",null]]"#);
        ranges.add(0, 5);
        assert!(ranges.is_whole() && ranges.gaps().is_empty());
        assert_eq!(ranges, Ranges::whole());
        assert!(Ranges::parse(&json!([["(0,1)"]])).is_none() && Ranges::parse(&json!("x")).is_none());
    }
}
