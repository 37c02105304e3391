//! What commands print: whole texts to stdout. Whoever reads them may have enough early, as `head` does; that is no error.

use std::io::{self, Write as _};

use serde::Serialize;

use crate::failure::{Failure, Result};

/// Prints lines.
pub(crate) fn print<L: AsRef<str>>(lines: impl IntoIterator<Item = L>) -> Result<()> {
    let mut text = String::new();
    for line in lines {
        text.push_str(line.as_ref());
        text.push('\n');
    }
    ended_early_is_fine(io::stdout().lock().write_all(text.as_bytes())).map(drop)
}

/// Prints one JSON document.
pub(crate) fn print_json<T: Serialize + ?Sized>(value: &T) -> Result<()> {
    print([serde_json::to_string_pretty(value).map_err(Failure::ours)?])
}

/// Whether the reader wants more; a reader that went is no failure.
pub(crate) fn ended_early_is_fine(written: io::Result<()>) -> Result<bool> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::environment(error).context("cannot print")),
    }
}
