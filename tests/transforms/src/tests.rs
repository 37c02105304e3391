//! What was recorded of the originals, without Java.

use std::path::Path;

use crate::{case, compare};

#[test]
fn transforms_do_what_the_originals_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("recordings").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "jsonl"));
    assert!(!files.is_empty(), "there are no recordings");
    for file in files {
        let recorded = case::read(&file).expect("a recording");
        assert!(recorded.len() >= 20, "{} is nearly empty", file.display());
        let differing = compare::differing(&recorded);
        assert!(differing.is_empty(), "{}:\n{}", file.display(), differing.join("\n"));
    }
}
