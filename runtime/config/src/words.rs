//! The word that was probably meant.

/// The candidate closest to `word`, if any is close enough to be meant.
pub(crate) fn closest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| {
        let other = candidate.to_lowercase();
        let distance = strsim::damerau_levenshtein(&lower, &other);
        (distance, lower.len().max(other.len()), candidate)
    });
    // One letter in four may differ, and at least two; a word of one or two letters has no near neighbour.
    let near = scored.filter(|(distance, length, _)| *distance <= (length / 4).max(2).min(length / 2));
    near.min_by_key(|(distance, _, candidate)| (*distance, candidate.len())).map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn the_nearest_word_is_meant() {
        let words = ["topic.prefix", "table.include.list", "table.exclude.list", "slot.name"];
        for (typed, meant) in [
            ("topic.prefx", Some("topic.prefix")),
            ("table.inclde.list", Some("table.include.list")),
            ("Slot.Name", Some("slot.name")),
            ("sltname", Some("slot.name")),
            ("heartbeat.interval.ms", None),
            ("x", None),
        ] {
            assert_eq!(closest(typed, words), meant, "{typed}");
        }
    }
}
