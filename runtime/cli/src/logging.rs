//! Structured logs: text on a terminal, one JSON object a line otherwise. They go to stderr, or above the live lines where there are any.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;

use indexmap::IndexMap;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry, reload};

use self::levels::Levels;
use crate::failure::{Failure, Result};
use crate::screen::Screen;

mod levels;

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
    /// What is logged: error, warn, info, debug, trace, or for parts of the program and single connectors `info,towpath_worker=debug,connector.orders=trace` [default: warn beside live lines, info otherwise].
    #[arg(long, env = "TOWPATH_LOG_LEVEL", value_name = "LEVEL")]
    log_level: Option<String>,
    /// How logs look.
    #[arg(long, env = "TOWPATH_LOG_FORMAT", value_name = "FORMAT", default_value = "auto")]
    log_format: Format,
}

/// The levels in force.
pub(crate) struct Loggers(reload::Handle<Levels, Registry>);

impl towpath_rest::Loggers for Loggers {
    fn all(&self) -> IndexMap<String, towpath_rest::LoggerLevel> {
        self.0.with_current(Levels::all).unwrap_or_default()
    }

    fn set(&self, logger: &str, level: towpath_rest::Level, now_ms: i64) -> Vec<String> {
        let mut changed = Vec::new();
        // It fails only where the logs have ended.
        _ = self.0.modify(|levels| changed = levels.set(logger, level, now_ms));
        changed
    }
}

/// Begins logging.
pub(crate) fn start(options: &Options, screen: &Arc<Screen>) -> Result<Loggers> {
    let default = if screen.is_live() { "warn" } else { "info" };
    let directives = options.log_level.as_deref().unwrap_or(default);
    let levels = directives
        .parse::<Levels>()
        .map_err(|error| Failure::input(format!("--log-level {directives:?} is not understood: {error}")))?;
    let (levels, handle) = reload::Layer::new(levels);
    let terminal = io::stderr().is_terminal();
    let text = match options.log_format {
        Format::Auto => terminal,
        Format::Text => true,
        Format::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(Above(Arc::clone(screen)));
    let layer = match text {
        true => layer.with_ansi(terminal).with_target(false).boxed(),
        false => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(layer.with_filter(levels)).init();
    Ok(Loggers(handle))
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
