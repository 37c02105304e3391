//! Versions of plugins, in the order in which one is newer than another.

/// A version that sorts by its numbers: 0.10.0 comes after 0.9.0.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    numbers: Vec<u64>,
    /// A release comes after what is said to come before it, as in `1.0.0-rc.1`.
    is_release: bool,
    text: String,
}

impl Version {
    /// Reads a version; what is no number counts as zero.
    pub(super) fn new(text: &str) -> Self {
        let (release, before) = text.split_once('-').map_or((text, None), |(release, before)| (release, Some(before)));
        let numbers = release.split('.').map(|number| number.parse().unwrap_or(0)).collect();
        Self { numbers, is_release: before.is_none(), text: text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_by_their_numbers() {
        let mut versions: Vec<_> =
            ["0.10.0", "0.9.1", "1.0.0", "1.0.0-rc.1"].iter().map(|text| Version::new(text)).collect();
        versions.sort();
        let texts: Vec<_> = versions.iter().map(|version| version.text.as_str()).collect();
        assert_eq!(texts, ["0.9.1", "0.10.0", "1.0.0-rc.1", "1.0.0"]);
    }
}
