//! The list against the sources and against its page.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{codes, codes_page, find_code};

/// Keys of configurations that look like codes.
const KEYS: [&str; 8] = [
    "connector.class",
    "connector.name",
    "plugin.name",
    "http.url",
    "http.method",
    "http.headers",
    "store.url",
    "s3.region",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if path.is_dir() && !matches!(name.as_ref(), "tests" | "benches" | "codes" | "target") {
            sources(&path, out);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            out.push(path);
        }
    }
}

/// Literals of the form `"family.word"` outside of tests.
fn used() -> BTreeSet<String> {
    let families: BTreeSet<&str> = codes().filter_map(|code| code.code.split('.').next()).collect();
    let mut files = Vec::new();
    for folder in ["runtime", "connectors"] {
        sources(&root().join(folder), &mut files);
    }
    let mut used = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a source");
        let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let bracketed = code.split('[').skip(1).filter_map(|rest| rest.split(']').next());
        for literal in code.split('"').chain(bracketed) {
            let word = |part: &str| {
                !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
            };
            if let Some((family, name)) = literal.split_once('.')
                && families.contains(family)
                && word(name)
                && !KEYS.contains(&literal)
            {
                used.insert(literal.to_owned());
            }
        }
    }
    used
}

#[test]
fn every_code_that_is_used_is_explained_and_the_other_way_round() {
    let explained: BTreeSet<String> = codes().map(|code| code.code.to_owned()).collect();
    let used = used();
    let unexplained: Vec<_> = used.difference(&explained).collect();
    assert!(unexplained.is_empty(), "add these to runtime/model/src/codes: {unexplained:?}");
    let unused: Vec<_> = explained.difference(&used).collect();
    assert!(unused.is_empty(), "nothing says these: {unused:?}");
    assert_eq!(explained.len(), codes().count(), "a code stands twice");
    assert!(codes().all(|code| code.meaning.ends_with('.') && !code.remedy.is_empty()));
    assert_eq!(find_code("config.syntax").map(|code| code.code), Some("config.syntax"));
}

#[test]
fn the_page_is_what_the_list_says() {
    let path = root().join("runtime/CODES.md");
    if std::env::var_os("TOWPATH_UPDATE").is_some() {
        std::fs::write(&path, codes_page()).expect("written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(page == codes_page(), "runtime/CODES.md is out of date: run the test with TOWPATH_UPDATE=1");
}
