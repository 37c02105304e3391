//! What is logged: levels of parts of the program and of single connectors, which REST may change while the worker runs.
//!
//! An event of a connector's task carries `task` or `connector`. Where that connector has a level of its own, it decides, and else
//! that of the part of the program that the event comes from: the longest name that is set, or `root`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use towpath_rest::{Level, LoggerLevel};
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Filter};

/// The logger of everything that has none of its own.
const ROOT: &str = "root";
/// Before the name of a connector.
const CONNECTOR: &str = "connector.";
/// The parts of this program: they are known though nobody has set them.
const PARTS: [&str; 8] = [
    "towpath",
    "towpath::connector",
    "towpath_broker",
    "towpath_config",
    "towpath_host",
    "towpath_log",
    "towpath_rest",
    "towpath_worker",
];

/// The levels that are set.
#[derive(Debug)]
pub(super) struct Levels {
    root: LoggerLevel,
    parts: BTreeMap<String, LoggerLevel>,
    connectors: BTreeMap<String, LoggerLevel>,
}

impl FromStr for Levels {
    type Err = String;

    /// Reads `info` or `info,towpath_worker=debug,connector.orders=trace`.
    fn from_str(directives: &str) -> Result<Self, String> {
        let mut levels = Self::new(Level::Error);
        for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            let (logger, level) = directive.rsplit_once('=').unwrap_or((ROOT, directive));
            let found = Level::find(level.trim());
            let level = found.ok_or_else(|| format!("{level} is none of off, error, warn, info, debug, trace"))?;
            *levels.entry(logger.trim(), level) = LoggerLevel { level, last_modified: None };
        }
        Ok(levels)
    }
}

impl Levels {
    fn new(root: Level) -> Self {
        let root = LoggerLevel { level: root, last_modified: None };
        Self { root, parts: BTreeMap::new(), connectors: BTreeMap::new() }
    }

    /// All loggers that are known, by name.
    pub(super) fn all(&self) -> IndexMap<String, LoggerLevel> {
        let mut all = BTreeMap::from([(ROOT.to_owned(), self.root)]);
        all.extend(PARTS.map(|part| (part.to_owned(), self.of(part))));
        all.extend(self.parts.iter().map(|(name, level)| (name.clone(), *level)));
        all.extend(self.connectors.iter().map(|(name, level)| (format!("{CONNECTOR}{name}"), *level)));
        all.into_iter().collect()
    }

    /// Sets a logger and those below it; answers which had another level.
    pub(super) fn set(&mut self, logger: &str, level: Level, now_ms: i64) -> Vec<String> {
        let below = |name: &String| logger.eq_ignore_ascii_case(ROOT) || is_below(name, logger);
        let mut names: Vec<String> = self.all().into_keys().filter(below).collect();
        if names.is_empty() {
            names.push(logger.to_owned());
        }
        let all = self.all();
        names.retain(|name| all.get(name).is_none_or(|known| known.level != level));
        for name in &names {
            *self.entry(name, level) = LoggerLevel { level, last_modified: Some(now_ms) };
        }
        names
    }

    fn entry(&mut self, logger: &str, level: Level) -> &mut LoggerLevel {
        if logger.eq_ignore_ascii_case(ROOT) {
            return &mut self.root;
        }
        let (set, name) = match logger.strip_prefix(CONNECTOR) {
            Some(name) => (&mut self.connectors, name),
            None => (&mut self.parts, logger),
        };
        set.entry(name.to_owned()).or_insert(LoggerLevel { level, last_modified: None })
    }

    /// The level of a part of the program.
    fn of(&self, target: &str) -> LoggerLevel {
        let set = self.parts.iter().filter(|(name, _)| is_below(target, name));
        set.max_by_key(|(name, _)| name.len()).map_or(self.root, |(_, level)| *level)
    }

    fn of_connectors(&self) -> Option<Level> {
        self.connectors.values().map(|level| level.level).max()
    }
}

/// Whether this is the logger of that name or one below it.
fn is_below(logger: &str, name: &str) -> bool {
    logger.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::") || rest.starts_with('.'))
}

fn filter(level: Level) -> LevelFilter {
    match level {
        Level::Off => LevelFilter::OFF,
        Level::Fatal | Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace | Level::All => LevelFilter::TRACE,
    }
}

impl<S> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        let level = self.of(metadata.target()).level;
        filter(self.of_connectors().map_or(level, |of_connectors| level.max(of_connectors))) >= *metadata.level()
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let mut connector = ConnectorOf(None);
        if !self.connectors.is_empty() {
            event.record(&mut connector);
        }
        let own = connector.0.and_then(|name| self.connectors.get(&name));
        let level = own.copied().unwrap_or_else(|| self.of(event.metadata().target())).level;
        filter(level) >= *event.metadata().level()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let parts = self.parts.values().map(|level| level.level).max();
        [Some(self.root.level), parts, self.of_connectors()].into_iter().flatten().max().map(filter)
    }
}

/// The connector that an event names.
struct ConnectorOf(Option<String>);

impl ConnectorOf {
    fn take(&mut self, field: &Field, text: &str) {
        match field.name() {
            "connector" => self.0 = Some(text.to_owned()),
            // A task is named by its connector and its number.
            "task" => self.0 = text.rsplit_once('-').map(|(connector, _)| connector.to_owned()),
            _ => {}
        }
    }
}

impl Visit for ConnectorOf {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if matches!(field.name(), "connector" | "task") {
            self.take(field, &format!("{value:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::{Layer, SubscriberExt as _};

    use super::*;

    struct Collect(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Collect {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            let metadata = event.metadata();
            self.0.lock().unwrap().push(format!("{} {}", metadata.level(), metadata.target()));
        }
    }

    fn logged(directives: &str, log: impl FnOnce()) -> Vec<String> {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let layer = Collect(Arc::clone(&lines)).with_filter(directives.parse::<Levels>().unwrap());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let lines = lines.lock().unwrap();
        lines.clone()
    }

    fn say() {
        tracing::info!(target: "towpath_log::segment", "one");
        tracing::debug!(target: "towpath_worker::task", task = %"orders-a-0", "two");
        tracing::debug!(target: "towpath_worker::task", task = %"payments-0", "three");
        tracing::warn!(target: "towpath_workers", connector = "payments", "four");
    }

    #[test]
    fn the_longest_name_decides_and_a_connector_before_all() {
        assert_eq!(logged("info", say), ["INFO towpath_log::segment", "WARN towpath_workers"]);
        assert_eq!(
            logged("warn,towpath_worker=debug", say),
            ["DEBUG towpath_worker::task", "DEBUG towpath_worker::task", "WARN towpath_workers"]
        );
        assert_eq!(
            logged("error, connector.orders-a = trace", say),
            ["DEBUG towpath_worker::task"],
            "one connector alone"
        );
        assert_eq!(
            logged("debug,connector.payments=off,towpath_log=warn", say),
            ["DEBUG towpath_worker::task"],
            "a connector that says too much"
        );
        assert!("info,towpath_log=loud".parse::<Levels>().unwrap_err().contains("loud is none of"));
    }

    #[test]
    fn setting_a_logger_sets_those_below_and_tells_what_has_changed() {
        let mut levels: Levels = "info".parse().unwrap();
        assert_eq!(levels.set("towpath", Level::Debug, 7), ["towpath", "towpath::connector"]);
        assert_eq!(levels.set("towpath", Level::Debug, 8), [""; 0], "nothing is changed");
        assert_eq!(levels.set("connector.a", Level::Trace, 9), ["connector.a"]);
        assert_eq!(levels.all()["connector.a"], LoggerLevel { level: Level::Trace, last_modified: Some(9) });
        assert_eq!(levels.all()["towpath_log"], LoggerLevel { level: Level::Info, last_modified: None });
        assert_eq!(levels.set("org.apache.kafka", Level::Warn, 10), ["org.apache.kafka"], "any name will do");
        assert_eq!(levels.set("ROOT", Level::Warn, 11).len(), PARTS.len() + 2, "all but what had this level");
        assert_eq!(levels.all()["root"].level, Level::Warn);
    }
}
