//! Writes Prometheus' text format, version 0.0.4: families with their help and type, samples with escaped labels.

use std::fmt::Write as _;

/// The content type of the format.
pub(crate) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How a family's values behave.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    Counter,
    Gauge,
    Histogram,
    Untyped,
}

impl Type {
    fn word(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
            Self::Untyped => "untyped",
        }
    }
}

/// A page of metrics being written. Samples of a family follow its head at once, as the format demands.
#[derive(Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// Begins a family.
    pub(crate) fn family(&mut self, name: &str, kind: Type, help: &str) {
        // Writing to a String cannot fail.
        _ = writeln!(self.text, "# HELP {name} {help}");
        _ = writeln!(self.text, "# TYPE {name} {}", kind.word());
    }

    /// Adds a sample of the family begun last.
    pub(crate) fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.text.push_str(name);
        for (index, (label, value)) in labels.iter().enumerate() {
            self.text.push(if index == 0 { '{' } else { ',' });
            self.text.push_str(label);
            self.text.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.text.push_str("\\\\"),
                    '"' => self.text.push_str("\\\""),
                    '\n' => self.text.push_str("\\n"),
                    other => self.text.push(other),
                }
            }
            self.text.push('"');
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        _ = writeln!(self.text, " {value}");
    }

    /// The page.
    pub(crate) fn finish(self) -> String {
        self.text
    }
}

/// A name that the format allows.
pub(crate) fn metric_name(prefix: &str, name: &str) -> String {
    let legal = |character: char| if character.is_ascii_alphanumeric() || character == '_' { character } else { '_' };
    prefix.chars().chain(name.chars().map(legal)).collect()
}
