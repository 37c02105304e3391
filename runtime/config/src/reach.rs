//! Where on this machine's disk a configuration that came over REST may let a connector read and write. Whoever may ask REST shall
//! not thereby come to every file of the worker's user.

use std::path::{Component, Path, PathBuf};

use towpath_model::{Config, Endpoint, Spec};

use crate::secrets::{Policy, ResolveError};

/// Files that connectors configured over REST may read and write.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Files and folders.
    pub allowed: Vec<PathBuf>,
    /// What is left out of them: the worker's own folders.
    pub except: Vec<PathBuf>,
}

/// The keys that name a file, or a folder as an object store, where this policy does not let it lie.
pub fn out_of_reach(config: &Config, spec: &Spec, policy: &Policy) -> Vec<ResolveError> {
    let Policy::Allowed { files, .. } = policy else { return Vec::new() };
    let named = spec.keys.iter().filter_map(|key| {
        let names = std::iter::once(&key.name).chain(&key.aliases);
        let value = names.filter_map(|name| config.get(name)).next()?.trim();
        let path = match key.endpoint {
            Some(Endpoint::File) => value,
            Some(Endpoint::Store) => value.strip_prefix("file://")?,
            _ => return None,
        };
        Some((key, path)).filter(|(_, path)| !path.is_empty() && !files.reach(Path::new(path)))
    });
    let refused = |(key, path): (&towpath_model::ConfigKey, &str)| ResolveError {
        key: key.name.clone(),
        code: "config.file_forbidden",
        reason: format!(
            "Invalid value {path} for configuration {}: connectors configured over REST may not use this file. Name its folder in --api-files, or configure the connector in the folder",
            key.name
        ),
    };
    named.map(refused).collect()
}

impl Files {
    fn reach(&self, path: &Path) -> bool {
        if path.components().any(|part| part == Component::ParentDir) {
            return false;
        }
        let Some(real) = real(path) else { return false };
        let within = |folder: &PathBuf| self::real(folder).is_some_and(|folder| real.starts_with(folder));
        self.allowed.iter().any(within) && !self.except.iter().any(within)
    }
}

/// Where a path leads, through all links that there are, though its end need not exist.
fn real(path: &Path) -> Option<PathBuf> {
    let path = std::path::absolute(path).ok()?;
    path.ancestors().find_map(|known| {
        let rest = path.strip_prefix(known).ok()?;
        known.canonicalize().ok().map(|known| known.join(rest))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_lies_in_what_is_allowed_and_not_in_the_workers_own() {
        let root = tempfile::tempdir().unwrap();
        let real = root.path().join("real");
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, root.path().join("link")).unwrap();
        let files = Files { allowed: vec![root.path().join("link")], except: vec![real.join("data")] };
        let reach = |path: &str| files.reach(&root.path().join(path));
        std::os::unix::fs::symlink("/etc", real.join("away")).unwrap();
        assert!(reach("real/out.txt") && reach("link/new/out.txt"));
        assert!(!reach("real/away/out.txt"), "a link leads out");
        assert!(!reach("out.txt") && !reach("real/../out.txt") && !reach("real/data/log/0"));
        assert!(!Files::default().reach(Path::new("/tmp/out.txt")), "nothing unless it is said");
    }
}
