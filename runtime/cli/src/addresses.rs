//! `addresses.json` in the data directory: where a running worker listens, so that commands find it also when the system chose the port.
//!
//! It appears whole, by rename, once the worker answers, and goes when the worker ends; one left by a killed worker is recognised by nobody answering.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Result};

/// Where a worker listens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Addresses {
    /// The REST interface, `host:port`; none where the log runs alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rest: Option<String>,
    /// Whether it speaks TLS.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) rest_tls: bool,
    /// The listener for Kafka clients, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kafka: Option<String>,
    /// The schema registry, `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) registry: Option<String>,
    /// The worker's process.
    pub(crate) pid: u32,
    /// When it started, in milliseconds since the epoch.
    pub(crate) started_ms: i64,
}

impl Addresses {
    /// The addresses in a data directory, if a worker left any.
    pub(crate) fn read(data_dir: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(file(data_dir)).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Writes them, whole or not at all.
    pub(crate) fn write(&self, data_dir: &Path) -> Result<()> {
        let target = file(data_dir);
        let fresh = target.with_extension("json.new");
        let failed =
            |error: std::io::Error| Failure::environment(error).context(format!("cannot write {}", target.display()));
        let mut text = serde_json::to_string_pretty(self).map_err(Failure::ours)?;
        text.push('\n');
        let mut out = std::fs::File::create(&fresh).map_err(failed)?;
        out.write_all(text.as_bytes()).and_then(|()| out.sync_all()).map_err(failed)?;
        std::fs::rename(&fresh, &target).map_err(failed)
    }

    /// Takes them away; a worker that ends is no longer found.
    pub(crate) fn remove(data_dir: &Path) {
        if let Err(error) = std::fs::remove_file(file(data_dir)) {
            tracing::debug!(%error, "addresses.json stays behind");
        }
    }
}

fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("addresses.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_found_and_gone_after_removal() {
        let dir = std::env::temp_dir().join(format!("towpath-addresses-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let addresses = Addresses {
            rest: Some("127.0.0.1:1".to_owned()),
            rest_tls: true,
            kafka: None,
            registry: None,
            pid: 7,
            started_ms: 9,
        };
        addresses.write(&dir).unwrap();
        assert_eq!(Addresses::read(&dir), Some(addresses));
        assert!(!dir.join("addresses.json.new").exists());
        Addresses::remove(&dir);
        assert_eq!(Addresses::read(&dir), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
