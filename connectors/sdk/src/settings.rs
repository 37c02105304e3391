//! From a configuration to settings that cannot be wrong: read once at the edge, with every fault told at once.
//!
//! A [`Reader`] fills in the spec's defaults and aliases and gathers faults while values are taken from it; at the end the
//! settings are handed out only if there are none. Values never appear here before the host has checked their types.

use std::ops::RangeInclusive;

use towpath_model::{Config, ConnectorError, Fault, Spec};

/// Takes values out of a configuration and gathers what is wrong with them.
#[derive(Debug)]
pub struct Reader {
    config: Config,
    faults: Vec<Fault>,
}

impl Reader {
    /// Begins with the defaults and aliases of the spec filled in.
    pub fn new(spec: &Spec, config: &Config) -> Self {
        Self { config: spec.complete(config), faults: Vec::new() }
    }

    /// A value without surrounding blanks; none when nothing else is there.
    pub fn optional(&self, key: &str) -> Option<String> {
        self.config.get(key).map(str::trim).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// A value, or the empty text.
    pub fn text(&self, key: &str) -> String {
        self.optional(key).unwrap_or_default()
    }

    /// A whole number in the range; the least of it after a fault.
    pub fn number(&mut self, key: &str, range: RangeInclusive<i64>) -> i64 {
        let (min, max) = (*range.start(), *range.end());
        let text = self.text(key);
        let reason = match text.parse() {
            Ok(number) if range.contains(&number) => return number,
            Ok(_) if max == i64::MAX => format!("{text} is too small; the least is {min}"),
            Ok(_) => format!("{text} is not between {min} and {max}"),
            Err(_) => format!("`{text}` is not a whole number"),
        };
        self.fault(key, reason);
        min
    }

    /// Notes a fault.
    pub fn fault(&mut self, key: &str, reason: impl Into<String>) {
        self.faults.push(Fault::error(key, reason.into()));
    }

    /// Hands out the settings.
    ///
    /// # Errors
    /// With all faults, when there are any.
    pub fn finish<T>(self, settings: T) -> Result<T, Vec<Fault>> {
        if self.faults.is_empty() { Ok(settings) } else { Err(self.faults) }
    }
}

/// The first fault, as the error of a connector that cannot start with such a configuration.
pub fn refused(faults: Vec<Fault>) -> ConnectorError {
    match faults.into_iter().next() {
        Some(fault) => ConnectorError::config(fault.key, fault.reason),
        None => ConnectorError::config("", "the configuration is refused"),
    }
}

#[cfg(test)]
mod tests {
    use towpath_model::ConnectorKind;

    use super::*;
    use crate::{key, spec};

    #[test]
    fn defaults_are_filled_in_and_all_faults_are_told() {
        let spec = spec("sample", "1", ConnectorKind::Sink)
            .key(key("size").int().default(7).alias("length"))
            .key(key("name").optional())
            .build();
        let mut reader = Reader::new(&spec, &Config::default());
        assert_eq!((reader.number("size", 1..=9), reader.optional("name")), (7, None));
        assert_eq!(reader.finish("settings"), Ok("settings"));

        let config: Config = [("length", "12"), ("name", " x ")].into_iter().collect();
        let mut reader = Reader::new(&spec, &config);
        assert_eq!((reader.number("size", 1..=9), reader.text("name").as_str()), (1, "x"));
        assert_eq!(reader.number("name", 0..=i64::MAX), 0);
        assert_eq!(
            reader.finish(()),
            Err(vec![
                Fault::error("size", "12 is not between 1 and 9"),
                Fault::error("name", "`x` is not a whole number")
            ])
        );
    }
}
