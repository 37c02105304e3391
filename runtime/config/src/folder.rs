//! The folder of configuration files: every `*.yaml`, `*.yml` and `*.json` in it, `defaults.yaml` apart.
//!
//! One bad file never hides another: what is wrong becomes a finding, and the rest is read. Files are read whole and hashed.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::document::{Document, Flat, Origin, Place};
use crate::parse::{self, FILE_BYTES_MAX};
use crate::{Error, Finding, Severity};

/// More files than any folder of connectors has.
const FILES_MAX: usize = 10_000;

/// The folder of configuration files.
pub struct Folder;

/// What stands in the folder.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The connectors, sorted by name.
    pub documents: Vec<Document>,
    /// What was found while reading and, after [`check_with`](Self::check_with), while checking.
    pub findings: Vec<Finding>,
    /// SHA-256 of every configuration file in hexadecimal, by path relative to the folder.
    pub files: BTreeMap<PathBuf, String>,
    /// Text of every configuration file, for rendering findings.
    pub sources: BTreeMap<PathBuf, String>,
    /// Files of which a part could not be read: connectors last seen in them are kept.
    pub broken: Vec<PathBuf>,
}

impl Folder {
    /// Reads `*.yaml`, `*.yml` and `*.json` in `dir` (not below it). What is wrong with files is in the findings.
    ///
    /// # Errors
    /// When the folder itself cannot be read.
    pub fn read(dir: &Path) -> Result<Reading, Error> {
        let mut reading = Reading::default();
        let mut defaults = Flat::default();
        for file in list(dir)? {
            let Some(text) = reading.text_of(dir, &file) else { continue };
            if is_defaults(&file) {
                defaults = reading.defaults(&file, &text);
            } else {
                reading.file(&file, &text);
            }
            reading.sources.insert(file, text);
        }
        reading.merge(&defaults);
        reading.refuse_equal_names();
        reading.documents.sort_by(|a, b| (&a.name, &a.origin.file).cmp(&(&b.name, &b.origin.file)));
        Ok(reading)
    }
}

impl Reading {
    /// Runs a check over every document, keeps what it finds, and marks documents with errors as rejected.
    pub fn check_with(&mut self, mut check: impl FnMut(&Document) -> Vec<Finding>) {
        for document in &mut self.documents {
            let mut found = check(document);
            // A key whose value could not be read is not missing.
            found.retain(|new| {
                let same = |known: &Finding| known.file == new.file && known.path == new.path && !new.path.is_empty();
                new.code != "config.missing_key" || !self.findings.iter().any(same)
            });
            document.rejected |= found.iter().any(|finding| finding.severity == Severity::Error);
            self.findings.extend(found);
        }
    }

    /// Whether any finding is an error.
    pub fn has_errors(&self) -> bool {
        self.findings.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// All findings as text for people, by file and line.
    pub fn render(&self) -> String {
        let mut findings: Vec<_> = self.findings.iter().collect();
        findings.sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        let source =
            |finding: &Finding| finding.file.as_ref().and_then(|file| self.sources.get(file)).map(String::as_str);
        findings.into_iter().map(|finding| finding.render(source(finding)) + "\n").collect()
    }

    /// The text of a file; none, with a finding, when it cannot be read.
    fn text_of(&mut self, dir: &Path, file: &Path) -> Option<String> {
        let mut bytes = Vec::new();
        let read =
            std::fs::File::open(dir.join(file)).and_then(|open| open.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes));
        let fault = match read {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
            Err(error) => Some(("config.unreadable", format!("the file cannot be read: {error}"))),
            Ok(_) if bytes.len() as u64 > FILE_BYTES_MAX => {
                Some(("config.too_large", format!("the file is larger than {} MiB", FILE_BYTES_MAX >> 20)))
            }
            Ok(_) => None,
        };
        let digest = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        self.files.insert(file.to_owned(), digest);
        let text = match fault {
            Some((code, message)) => Err(Finding::error(code, message)),
            None => String::from_utf8(bytes).map_err(|_| Finding::error("config.syntax", "the file is not UTF-8")),
        };
        match text {
            // An editor that empties a file before it writes it must not stop connectors.
            Ok(text) if text.trim().is_empty() => {
                let hint = "Connectors that were in it keep running. Delete the file to stop them.";
                self.break_file(file, Finding::warning("config.empty_file", "the file is empty").suggest(hint), 0, 0);
                None
            }
            Ok(text) => Some(text),
            Err(finding) => {
                self.break_file(file, finding, 0, 0);
                None
            }
        }
    }

    fn break_file(&mut self, file: &Path, finding: Finding, line: u64, column: u64) {
        self.findings.push(finding.at(&Place { file: file.to_owned(), line, column }));
        self.broken.push(file.to_owned());
    }

    fn nodes(&mut self, file: &Path, text: &str) -> Vec<parse::Node> {
        match parse::parse(text) {
            Ok(nodes) => nodes,
            Err(error) => {
                let hint = (text.lines().nth(usize::try_from(error.line.saturating_sub(1)).unwrap_or(0)))
                    .filter(|line| line.starts_with('\t'))
                    .map(|_| "YAML is indented with spaces, never with tabs.");
                let mut finding = Finding::error(error.code, error.message);
                finding.suggestion = hint.map(str::to_owned);
                self.break_file(file, finding, error.line, error.column);
                Vec::new()
            }
        }
    }

    fn defaults(&mut self, file: &Path, text: &str) -> Flat {
        let mut nodes = self.nodes(file, text).into_iter();
        let mut flat = nodes.next().map(|node| Flat::of(&node, file)).unwrap_or_default();
        if nodes.next().is_some() {
            flat.findings.push(Finding::error("config.defaults", "the defaults are one document").at(&Place {
                file: file.to_owned(),
                line: 1,
                column: 1,
            }));
        }
        if let Some(place) = flat.places.remove("name") {
            flat.config.0.remove("name");
            flat.findings
                .push(Finding::error("config.defaults", "connectors cannot share a name").on("name").at(&place));
        }
        if flat.findings.iter().any(|finding| finding.severity == Severity::Error) {
            self.broken.push(file.to_owned());
        }
        self.findings.append(&mut flat.findings);
        flat
    }

    fn file(&mut self, file: &Path, text: &str) {
        let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_owned();
        let nodes = self.nodes(file, text);
        let mut unnamed = 0;
        for (index, node) in nodes.iter().enumerate() {
            let flat = Flat::of(node, file);
            let start = Place { file: file.to_owned(), line: node.line, column: node.column };
            let stated = flat.config.get("name").map(str::to_owned);
            unnamed += usize::from(stated.is_none());
            let fault = if !matches!(node.value, parse::Value::Map(_)) {
                flat.findings.first().cloned()
            } else if stated.is_none() && unnamed > 1 {
                let hint = "The file's name stands in for one document only. Give this one a `name`.";
                Some(Finding::error("config.name_missing", "a second document of this file has no name").suggest(hint))
            } else {
                None
            };
            if let Some(fault) = fault {
                // Whoever it is cannot be said, so whatever ran of this file goes on.
                self.break_file(file, fault, start.line, start.column);
                continue;
            }
            let mut document = Document {
                name: stated.clone().unwrap_or_else(|| stem.clone()),
                named: stated.is_some(),
                config: flat.config,
                origin: Origin { file: file.to_owned(), index },
                start,
                places: flat.places,
                rejected: false,
            };
            document.config.set("name", document.name.clone());
            let findings = flat.findings;
            document.rejected = findings.iter().any(|finding| finding.severity == Severity::Error);
            self.findings.extend(findings.into_iter().map(|finding| finding.of(&document.name)));
            self.documents.push(document);
        }
    }

    /// Sets what connectors leave open. While the defaults are broken nothing that depends on them is applied.
    fn merge(&mut self, defaults: &Flat) {
        let broken = self.broken.iter().any(|file| is_defaults(file));
        for document in &mut self.documents {
            document.rejected |= broken;
            for (key, value) in defaults.config.iter() {
                if document.config.get(key).is_none() {
                    document.config.set(key, value);
                    if let Some(place) = defaults.places.get(key) {
                        document.places.insert(key.to_owned(), place.clone());
                    }
                }
            }
        }
    }

    /// Of several connectors of one name none is applied: which of them is meant is not ours to say.
    fn refuse_equal_names(&mut self) {
        let mut first: HashMap<String, usize> = HashMap::new();
        let mut twice = Vec::new();
        for (index, document) in self.documents.iter().enumerate() {
            match first.get(&document.name) {
                Some(other) => twice.push((*other, index)),
                None => drop(first.insert(document.name.clone(), index)),
            }
        }
        for (first, second) in twice {
            let at = self.documents.get(first).map(|document| document.start.clone()).unwrap_or_default();
            if let Some(document) = self.documents.get_mut(second) {
                document.rejected = true;
                let message = format!("there is a connector named {} in {} already", document.name, at.file.display());
                let place = document.place("name").clone();
                let finding = Finding::error("config.duplicate_name", message).on("name").at(&place).of(&document.name);
                self.findings.push(finding.suggest("Give each connector its own `name`."));
            }
            if let Some(document) = self.documents.get_mut(first) {
                document.rejected = true;
            }
        }
    }
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let io = |source| Error::Io { path: dir.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(io)? {
        let path = PathBuf::from(entry.map_err(io)?.file_name());
        let name = path.to_string_lossy();
        let wanted = matches!(path.extension().and_then(|end| end.to_str()), Some("yaml" | "yml" | "json"));
        // Links are followed: that is how Kubernetes hands in files.
        if wanted && !name.starts_with('.') && files.len() < FILES_MAX && !dir.join(&path).is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn is_defaults(file: &Path) -> bool {
    matches!(file.to_str(), Some("defaults.yaml" | "defaults.yml"))
}
