//! Pipelines with holes: `${name}` stands for what only a running test knows, such as a port.
//!
//! Only known names are filled in, so that the worker's own `${env:X}` and `${file:/p:key}` pass through untouched.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};

/// What stands in for the holes.
#[derive(Clone, Debug, Default)]
pub struct Holes(BTreeMap<String, String>);

impl Holes {
    /// Says what `${name}` stands for.
    pub fn set(&mut self, name: impl Into<String>, value: impl ToString) -> &mut Self {
        self.0.insert(name.into(), value.to_string());
        self
    }

    /// What `${name}` stands for, if it is known.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// The text with its holes filled.
    pub fn fill(&self, text: &str) -> String {
        let mut filled = String::with_capacity(text.len());
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("${") {
            filled.push_str(before);
            match after.split_once('}').and_then(|(name, rest)| Some((self.0.get(name)?, rest))) {
                Some((value, after)) => {
                    filled.push_str(value);
                    rest = after;
                }
                None => {
                    filled.push_str("${");
                    rest = after;
                }
            }
        }
        filled.push_str(rest);
        filled
    }
}

/// Copies a folder of pipelines and fills the holes of every file that is text.
pub fn copy_pipelines(from: &Path, to: &Path, holes: &Holes) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_pipelines(&entry.path(), &target, holes)?;
            continue;
        }
        match String::from_utf8(std::fs::read(entry.path())?) {
            Ok(text) => std::fs::write(target, holes.fill(&text))?,
            Err(binary) => std::fs::write(target, binary.into_bytes())?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Holes;

    #[test]
    fn only_known_holes_are_filled() {
        let mut holes = Holes::default();
        holes.set("pg.port", 5433);
        let text = "port: ${pg.port}, password: \"${env:PW}\", ${unknown} ${pg.port} ${open";
        assert_eq!(holes.fill(text), "port: 5433, password: \"${env:PW}\", ${unknown} 5433 ${open");
    }
}
