//! Names of objects: `<folder>/partition=<p>/<topic>+<p>+<first offset>.<extension>`, and the first offset read back.
//!
//! The folder is that of the topic as transforms left it; the name carries the topic that the record was read from, whose
//! offsets these are. So two topics that are routed into one folder cannot overwrite each other's objects.

/// Offsets up to here have names of equal length, so names sort as numbers do.
const SORTED_BELOW: i64 = 9_000_000_000;

/// The part that all objects of a partition in a folder have in common.
pub(crate) fn prefix(folder: &str, topic: &str, partition: i32) -> String {
    format!("{folder}/partition={partition}/{topic}+{partition}+")
}

/// The path of the object that begins with `first_offset`.
pub(crate) fn path(prefix: &str, first_offset: i64, extension: &str) -> String {
    format!("{prefix}{first_offset:010}.{extension}")
}

/// Sorts just before every object that begins at or after `offset`; none where names do not sort as numbers do.
pub(crate) fn just_before(prefix: &str, offset: i64) -> Option<String> {
    (offset < SORTED_BELOW).then(|| format!("{prefix}{offset:010}"))
}

/// The first offset of an object; none for what is not an object of ours.
pub(crate) fn first_offset(prefix: &str, path: &str) -> Option<i64> {
    let (digits, extension) = path.strip_prefix(prefix)?.split_once('.')?;
    let ours = digits.len() >= 10 && digits.bytes().all(|byte| byte.is_ascii_digit()) && !extension.contains('/');
    ours.then(|| digits.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_usual_s3_sinks_and_read_back() {
        let prefix = prefix("topics/orders", "orders", 3);
        let path = path(&prefix, 42, "jsonl.gz");
        assert_eq!(path, "topics/orders/partition=3/orders+3+0000000042.jsonl.gz");
        assert_eq!(first_offset(&prefix, &path), Some(42));
        assert_eq!(just_before(&prefix, 42).as_deref(), Some("topics/orders/partition=3/orders+3+0000000042"));
        assert_eq!(just_before(&prefix, 12_345_678_901), None);
    }

    #[test]
    fn strangers_are_left_alone() {
        for name in ["", "42.jsonl", "0000000042", "00000000x2.json", "99999999999999999999.json", "0000000042.d/x"] {
            assert_eq!(first_offset("t/p", &format!("t/p{name}")), None, "{name}");
        }
        assert_eq!(first_offset("t/p", "elsewhere/0000000042.json"), None);
    }
}
