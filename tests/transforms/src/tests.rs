//! What was recorded of the originals, without Java.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::case::{self, Recorded};
use crate::{compare, converters, schemas};

fn replay<C: DeserializeOwned, O: DeserializeOwned>(
    folder: &str,
    differing: impl Fn(&[Recorded<C, O>]) -> Vec<String>,
) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("recordings").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    assert!(!files.is_empty(), "there are no recordings");
    for file in files {
        let recorded = case::read(&file).expect("a recording");
        assert!(recorded.len() >= 20, "{} is nearly empty", file.display());
        let differing = differing(&recorded);
        assert!(differing.is_empty(), "{}:\n{}", file.display(), differing.join("\n"));
    }
}

#[test]
fn transforms_do_what_the_originals_did() {
    replay("recordings", compare::differing);
}

#[test]
fn converters_do_what_the_originals_did() {
    replay("recordings/converters", converters::differing);
}

#[test]
fn schemas_may_follow_each_other_as_the_originals_said() {
    replay("recordings/schemas", schemas::differing);
}
