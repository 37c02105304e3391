//! The Java programs that run the originals, and how they are talked to: a line in, a line out.

use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A running program; it ends when its input does.
pub(crate) struct Originals {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Originals {
    /// Starts a program of this folder on what `make peers` fetched.
    pub(crate) fn start(program: &str) -> Result<Self> {
        let peers = peers()?;
        ensure!(
            peers.join(".made").exists(),
            "Kafka, Debezium and Apicurio are not in {}: run `make peers`",
            peers.display()
        );
        let jars = |folder: &str| peers.join(folder).join("*").display().to_string();
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
        let mut child = Command::new("java")
            .args(["-Duser.timezone=UTC", "-Duser.language=en", "-Duser.country=US", "-Xshare:auto", "-Xmx256m"])
            .args(["-cp", &["kafka", "plugins/debezium", "registry"].map(jars).join(":")])
            .arg(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("starting java")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("java has no output")?);
        Ok(Self { child, input, output })
    }

    /// What becomes of a case.
    pub(crate) fn ask<C: Serialize + Debug, O: DeserializeOwned>(&mut self, case: &C) -> Result<O> {
        let input = self.input.as_mut().context("the program has ended")?;
        writeln!(input, "{}", serde_json::to_string(case)?)?;
        input.flush()?;
        loop {
            let mut line = String::new();
            ensure!(self.output.read_line(&mut line)? > 0, "the Java program ended at {case:?}");
            // Kafka's classes log to the same place.
            if line.starts_with('{') {
                return serde_json::from_str(&line).with_context(|| format!("the Java program answered {line}"));
            }
        }
    }
}

impl Drop for Originals {
    fn drop(&mut self) {
        self.input = None;
        // There is nobody left to tell.
        let _ = self.child.wait();
    }
}

fn peers() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("TOWPATH_PEERS") {
        return Ok(folder.into());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    Ok(cache.context("neither TOWPATH_PEERS nor HOME is set")?.join("towpath-peers"))
}
