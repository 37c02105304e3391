//! A child process with its output in a file. It never outlives its owner.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};

use crate::{Usage, eventually};

/// How much of a process's output an error quotes.
const QUOTED_LINES: usize = 40;

/// A running child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: std::process::Child,
    output: PathBuf,
    at_drop: Signal,
}

impl Process {
    /// Starts `command`; what it prints is added to the file `output`.
    pub fn start(name: &str, command: &mut Command, output: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(output)?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("starting {name} ({})", command.get_program().to_string_lossy()))?;
        Ok(Self { name: name.to_owned(), child, output: output.to_owned(), at_drop: Signal::KILL })
    }

    /// The signal that ends it when it is dropped; SIGKILL unless told otherwise.
    pub fn ends_with(mut self, signal: Signal) -> Self {
        self.at_drop = signal;
        self
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it uses of the machine.
    pub fn usage(&self) -> Result<Usage> {
        Usage::of(self.pid())
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or_else(|| anyhow!("no process id"))?;
        kill_process(pid, signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Waits until it ends by itself or by a signal sent before.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let name = self.name.clone();
        let result = {
            let child = std::sync::Mutex::new(&mut self.child);
            eventually(&format!("the end of {name}"), limit, || {
                let ended = child.lock().map_err(|_| anyhow!("poisoned")).and_then(|mut child| Ok(child.try_wait()?));
                async move { ended?.ok_or_else(|| anyhow!("it still runs")) }
            })
            .await
        };
        result.map_err(|error| anyhow!("{error:#}\n{}", self.last_output()))
    }

    /// Ends it with `signal` and waits for it.
    pub async fn end(&mut self, signal: Signal, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.ended()? {
            return Ok(status);
        }
        self.signal(signal)?;
        self.wait(limit).await
    }

    /// Fails if it has ended.
    pub fn must_run(&mut self) -> Result<()> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => {
                let how = status.signal().map_or_else(|| status.to_string(), |signal| format!("signal {signal}"));
                bail!("{} has ended ({how})\n{}", self.name, self.last_output())
            }
        }
    }

    /// The end of what it printed.
    pub fn last_output(&self) -> String {
        let text = std::fs::read(&self.output).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let from = lines.len().saturating_sub(QUOTED_LINES);
        format!("--- {} ---\n{}", self.output.display(), lines.get(from..).unwrap_or_default().join("\n"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.signal(self.at_drop);
            let _ = self.child.wait();
        }
    }
}
