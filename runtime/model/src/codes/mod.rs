//! The one list of codes: everything that can be said to a user has one, the same in files' findings, logs, REST and dead letters.
//!
//! A code is its family and a word. Families are files here; `towpath explain` shows the list, `runtime/CODES.md` is made from it, and a
//! test holds the list against the sources: no code is used that is not explained, and none explained that is not used. Codes of
//! connectors that others write are theirs.

mod config;
mod connectors;
mod doctor;
mod migration;
mod postgres;
mod runtime;
#[cfg(test)]
mod tests;

use std::fmt::Write;

/// Who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// Whoever wrote the configuration or the command.
    Input,
    /// Whoever runs the systems around: servers, networks, disks.
    Environment,
    /// Whoever makes the records.
    Data,
    /// Whoever wrote the plugin.
    Plugin,
    /// Whoever wrote this program.
    Ours,
}

impl Blame {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Input => "your input",
            Self::Environment => "your environment",
            Self::Data => "the data",
            Self::Plugin => "the plugin",
            Self::Ours => "Towpath",
        }
    }
}

/// A code and what it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code {
    /// The code, such as `config.unknown_key`.
    pub code: &'static str,
    /// Who can mend it.
    pub blame: Blame,
    /// What has happened, in full sentences.
    pub meaning: &'static str,
    /// What to do, in full sentences.
    pub remedy: &'static str,
}

const fn code(code: &'static str, blame: Blame, meaning: &'static str, remedy: &'static str) -> Code {
    Code { code, blame, meaning, remedy }
}

/// All codes, family by family.
pub fn codes() -> impl Iterator<Item = &'static Code> {
    let families = [config::CODES, runtime::CODES, doctor::CODES, migration::CODES, connectors::CODES, postgres::CODES];
    families.into_iter().flatten()
}

/// The entry of a code.
pub fn find_code(wanted: &str) -> Option<&'static Code> {
    codes().find(|code| code.code == wanted)
}

/// The list as a page.
pub fn codes_page() -> String {
    let mut page = "# Codes\n\nEverything that Towpath says when something is wrong carries one of these codes. `towpath explain CODE` shows \
        the same.\nThis page is made from `runtime/model/src/codes`.\n"
        .to_owned();
    let mut family = "";
    for code in codes() {
        let own = code.code.split('.').next().unwrap_or_default();
        if own != family {
            family = own;
            // Writing to a text cannot fail.
            let _ = write!(
                page,
                "\n## {family}\n\n| code | who mends it | what it means | what to do |\n|---|---|---|---|\n"
            );
        }
        let _ = writeln!(page, "| `{}` | {} | {} | {} |", code.code, code.blame.name(), code.meaning, code.remedy);
    }
    page
}
