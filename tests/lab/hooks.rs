//! The receiver of an example: it writes what it accepted to a file, one line a request, and refuses what it is told to.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use towpath_tests::{Answer, Receiver};

use crate::Arguments;

/// The running receiver with its file.
pub(crate) struct Hooks {
    receiver: Receiver,
    log: PathBuf,
}

impl Hooks {
    pub(crate) fn url(&self) -> String {
        self.receiver.url()
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }
}

pub(crate) async fn start(arguments: &Arguments, work: &Path) -> Result<Hooks> {
    let receiver = Receiver::start().await?;
    receiver.answer_next(std::iter::repeat_n(Answer::Status(503), arguments.hooks_fail_first));
    if let Some(pattern) = arguments.hooks_refuse.clone() {
        receiver.refuse(move |body| pattern.is_match(&String::from_utf8_lossy(body)));
    }
    let log = work.join("hooks.log");
    let mut file = std::fs::File::create(&log).with_context(|| format!("making {}", log.display()))?;
    receiver.on_accepted(move |request| {
        // One line a request, whole, so that the file can be followed while it grows.
        let mut line = request.body.to_vec();
        line.push(b'\n');
        let _ = file.write_all(&line);
    });
    Ok(Hooks { receiver, log })
}
