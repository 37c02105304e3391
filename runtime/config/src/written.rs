//! Configurations as files of a folder: one YAML document for each connector, and the secrets in a properties file beside them.
//!
//! Files appear whole, by rename, the secrets before what refers to them. Writing the same again changes nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use towpath_model::{Config, Spec};

use crate::Error;
use crate::finding::SECRET_WORDS;
use crate::secrets::{create_private, properties, property, withhold};

/// Keys that come first in a file.
const FIRST: [&str; 3] = ["name", "connector.class", "tasks.max"];
/// Further words in the names of framework keys whose values are secrets.
const MORE_SECRET_WORDS: [&str; 3] = ["jaas.config", "user.info", "passphrase"];

/// Files that are to be written to a folder.
#[derive(Debug)]
pub struct PipelineFiles {
    secrets_file: PathBuf,
    secrets: BTreeMap<String, String>,
    /// How many secrets were put there.
    withheld: usize,
    documents: BTreeMap<PathBuf, String>,
    names: Vec<String>,
}

impl PipelineFiles {
    /// No files yet; secrets will be added to those in `secrets_file`, whose path is absolute.
    ///
    /// # Errors
    /// When that is there and cannot be read.
    pub fn new(secrets_file: PathBuf) -> Result<Self, Error> {
        let secrets = match std::fs::read_to_string(&secrets_file) {
            Ok(text) => properties(&text).into_iter().collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(source) => return Err(Error::Io { path: secrets_file, source }),
        };
        Ok(Self { secrets_file, secrets, withheld: 0, documents: BTreeMap::new(), names: Vec::new() })
    }

    /// Adds a connector. Gives its file, relative to the folder, and its configuration as it stands there, with references in place
    /// of secrets. `spec` says which keys are secret, where the plugin is known; names that sound like it are in any case.
    pub fn add(&mut self, name: &str, config: &Config, spec: Option<&Spec>) -> (PathBuf, Config) {
        let secret = |key: &str| {
            let sounds = |word: &&str| key.to_lowercase().contains(*word);
            let known = |spec: &Spec| {
                spec.keys
                    .iter()
                    .any(|known| known.secret && (known.name == key || known.aliases.iter().any(|alias| alias == key)))
            };
            spec.is_some_and(known) || SECRET_WORDS.iter().chain(&MORE_SECRET_WORDS).any(|word| sounds(word))
        };
        let mut config = config.clone();
        config.set("name", name);
        let Ok(()) = withhold(&mut config, secret, |key, value| -> Result<String, std::convert::Infallible> {
            let kept = kept_under(&format!("{name}.{key}"));
            self.secrets.insert(kept.clone(), value.to_owned());
            self.withheld += 1;
            Ok(format!("${{file:{}:{kept}}}", self.secrets_file.display()))
        });
        let file = self.file_for(name);
        self.names.push(name.to_owned());
        self.documents.insert(file.clone(), document(&config));
        (file, config)
    }

    /// The files with their texts.
    pub fn documents(&self) -> &BTreeMap<PathBuf, String> {
        &self.documents
    }

    /// The connectors that they name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// How many secrets have left the configurations.
    pub fn withheld(&self) -> usize {
        self.withheld
    }

    /// Writes all of them. Those that are there already are replaced.
    ///
    /// # Errors
    /// The disk's.
    pub fn save(&self, dir: &Path) -> Result<(), Error> {
        if self.withheld > 0 {
            let text: String = self.secrets.iter().map(|(key, value)| property(key, value)).collect();
            replace(&self.secrets_file, &text, true)?;
        }
        self.documents.iter().try_for_each(|(file, text)| replace(&dir.join(file), text, false))
    }

    /// A file that no other connector has and that is not the folder's `defaults.yaml`.
    fn file_for(&self, name: &str) -> PathBuf {
        let stem = kept_under(name);
        let stem = if stem.starts_with('.') || stem == "defaults" { format!("connector-{stem}") } else { stem };
        let names = std::iter::once(format!("{stem}.yaml")).chain((2..).map(|number| format!("{stem}-{number}.yaml")));
        names.map(PathBuf::from).find(|file| !self.documents.contains_key(file)).unwrap_or_default()
    }
}

/// The name with only such characters as need no escape in files' names and properties.
fn kept_under(name: &str) -> String {
    let kept = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '_');
    name.chars().map(|character| if kept(character) { character } else { '_' }).collect()
}

/// A configuration as one YAML document, key by key.
fn document(config: &Config) -> String {
    let first = FIRST.iter().filter_map(|key| config.get(key).map(|value| (*key, value)));
    let others = config.iter().filter(|(key, _)| !FIRST.contains(key));
    first.chain(others).map(|(key, value)| format!("{}: {}\n", scalar(key), scalar(value))).collect()
}

/// A text as YAML: plain where it can be nothing else, quoted as JSON quotes it elsewhere.
fn scalar(text: &str) -> String {
    const WORDS: [&str; 2] = ["null", "~"];
    let plain = |character: char| {
        character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '/' | ',' | ':' | '$' | '*')
    };
    let begins =
        text.starts_with(|character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '/'));
    let is_plain =
        begins && text.chars().all(plain) && !text.ends_with(':') && !WORDS.contains(&text.to_lowercase().as_str());
    if is_plain {
        return text.to_owned();
    }
    // YAML takes fewer characters as they are than JSON does.
    let quoted = serde_json::Value::from(text).to_string();
    quoted.chars().fold(String::with_capacity(quoted.len()), |mut out, character| {
        match character {
            '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => push_escaped(&mut out, character),
            other if other.is_control() => push_escaped(&mut out, other),
            other => out.push(other),
        }
        out
    })
}

fn push_escaped(out: &mut String, character: char) {
    out.push_str(&format!("\\u{:04x}", u32::from(character)));
}

/// Puts a file in place whole; one that says the same already is left alone.
fn replace(path: &Path, text: &str, private: bool) -> Result<(), Error> {
    if std::fs::read_to_string(path).is_ok_and(|there| there == text) {
        return Ok(());
    }
    let io = |source| Error::Io { path: path.to_owned(), source };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // The folder's watcher passes over files that begin with a dot.
    let beside = path.with_file_name(format!(".{name}.new"));
    let mut file = if private { create_private(&beside) } else { std::fs::File::create(&beside) }.map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    std::fs::rename(&beside, path).map_err(io)
}

#[cfg(test)]
mod tests {
    use towpath_model::ConnectorKind;

    use super::*;
    use crate::Folder;

    fn config(entries: &[(&str, &str)]) -> Config {
        entries.iter().copied().collect()
    }

    #[test]
    fn what_is_written_is_read_back_as_it_was() {
        let dir = tempfile::tempdir().expect("a directory");
        let values = [
            "1",
            "true",
            "null",
            "~",
            "",
            " ",
            "a,b",
            "http://h:1/x",
            "x:",
            "- a",
            "#c",
            "a #b",
            "a: b",
            "{a}",
            "[a]",
            "*",
            "&a",
            "!a",
            "|",
            "'q'",
            "\"q\"",
            "ü\n\t\\",
            "${env:X}",
            "0x1f",
            "1e3",
            "@",
            "`",
            "%",
            "yes",
            "2026-11-28",
            "😀\u{7f}\u{85}\u{2028}",
            "=",
            "<<",
            ".5",
            "-1",
            "?",
        ];
        let mut files = PipelineFiles::new(dir.path().join("s.properties")).expect("new");
        for (number, value) in values.iter().enumerate() {
            files.add(
                &format!("c{number}"),
                &config(&[("connector.class", "file-sink"), ("a.b", value), ("a b:c", "1")]),
                None,
            );
        }
        files.save(dir.path()).expect("saved");
        let reading = Folder::read(dir.path()).expect("read");
        assert!(reading.findings.is_empty(), "{}", reading.render());
        for (number, value) in values.iter().enumerate() {
            let name = format!("c{number}");
            let document = reading.documents.iter().find(|document| document.name == name).expect("it is there");
            assert_eq!(document.config.get("a.b"), Some(*value));
        }
        assert!(!dir.path().join("s.properties").exists(), "no secret, no file");
    }

    #[test]
    fn secrets_lie_in_a_file_that_only_its_owner_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let secrets = dir.path().join("s.properties");
        std::fs::write(&secrets, "kept=1\n").expect("written");
        let mut files = PipelineFiles::new(secrets.clone()).expect("new");
        let given = config(&[
            ("database.password", "p=1 \\ü"),
            ("http.url", "http://u:pw@h/"),
            ("value.converter.basic.auth.user.info", "u:p"),
            ("other.password", "${env:X}"),
        ]);
        let (file, stored) = files.add("a/b", &given, None);
        files.save(dir.path()).expect("saved");
        assert_eq!(file.to_str(), Some("a_b.yaml"));
        let text = std::fs::read_to_string(dir.path().join(file)).expect("a file");
        assert!(!text.contains("p=1") && !text.contains("pw@") && !text.contains("u:p\n"), "{text}");
        assert_eq!(stored.get("other.password"), Some("${env:X}"));
        let answers = crate::Answers::new();
        let env = |_: &str| Some("e".to_owned());
        let providers = crate::Providers { store: None, env: &env, answers: &answers };
        let resolved =
            crate::resolve(&stored, &crate::tests::spec(ConnectorKind::Sink), &crate::Policy::Trusted, providers);
        let resolved = resolved.expect("resolved").config;
        assert_eq!(resolved.get("database.password"), given.get("database.password"));
        assert_eq!(resolved.get("http.url"), given.get("http.url"));
        let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&secrets).expect("there").permissions());
        assert_eq!(mode & 0o777, 0o600);
        assert!(std::fs::read_to_string(&secrets).expect("there").contains("kept=1\n"), "what was there is gone");
    }

    #[test]
    fn no_two_connectors_share_a_file() {
        let mut files = PipelineFiles::new("/nonexistent/s".into()).expect("new");
        let mut file = |name: &str| files.add(name, &Config::default(), None).0.display().to_string();
        let names = ["a:b", "a b", "defaults", ".hidden"].map(&mut file);
        assert_eq!(names, ["a_b.yaml", "a_b-2.yaml", "connector-defaults.yaml", "connector-.hidden.yaml"]);
    }
}
