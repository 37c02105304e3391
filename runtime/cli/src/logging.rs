//! Structured logs: text on a terminal, one JSON object a line otherwise. They go to stderr, or above the live lines where there are any.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::failure::{Failure, Result};
use crate::screen::Screen;

/// How logs look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// What is logged and how.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    /// What is logged: error, warn, info, debug, trace, or directives such as `info,towpath_worker=debug` [default: warn beside live lines, info otherwise].
    #[arg(long, env = "TOWPATH_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
    /// How logs look.
    #[arg(long, env = "TOWPATH_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    log_format: Format,
}

/// Begins logging.
pub(crate) fn start(options: &Options, screen: &Arc<Screen>) -> Result<()> {
    let default = if screen.is_live() { "warn" } else { "info" };
    let directives = options.log_level.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(directives)
        .map_err(|error| Failure::input(format!("--log-level {directives:?} is not understood: {error}")))?;
    let terminal = io::stderr().is_terminal();
    let text = match options.log_format {
        Format::Auto => terminal,
        Format::Text => true,
        Format::Json => false,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(Above(Arc::clone(screen)));
    if text {
        builder.with_ansi(terminal).with_target(false).init();
    } else {
        builder.json().flatten_event(true).init();
    }
    Ok(())
}

/// Writes each event above the live lines.
struct Above(Arc<Screen>);

impl<'a> MakeWriter<'a> for Above {
    type Writer = Event<'a>;

    fn make_writer(&'a self) -> Event<'a> {
        Event { screen: &self.0, bytes: Vec::with_capacity(256) }
    }
}

/// One event, written when it is whole.
struct Event<'a> {
    screen: &'a Screen,
    bytes: Vec<u8>,
}

impl Write for Event<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Event<'_> {
    fn drop(&mut self) {
        self.screen.print_above(&self.bytes);
    }
}
