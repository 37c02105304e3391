//! The way to a field: a name (`field.syntax.version=V1`), or names with dots between them and backticks around those that
//! hold dots themselves (`V2`).

use std::sync::Arc;

use towpath_model::{ConfigKey, Importance, Schema, ValueType};

use super::{Settings, structs};
use crate::error::Error;
use crate::fault::Fault;
use crate::keys::default_key;

const VERSION: &str = "field.syntax.version";

pub(crate) fn version_key() -> ConfigKey {
    let doc = "How `field` is read. V1: a name at the root. V2: names divided by dots; a name that holds dots stands in backticks.";
    let mut key = default_key(VERSION, ValueType::String, "V1", Importance::High, doc);
    key.valid_values = ["V1", "V2"].map(str::to_owned).to_vec();
    key
}

/// The steps to a field; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldPath {
    pub(crate) text: String,
    pub(crate) steps: Vec<Arc<str>>,
}

/// A step into a struct.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The struct.
    pub(crate) schema: Arc<Schema>,
    /// Which of its fields.
    pub(crate) index: usize,
    /// The datum that stands for a null on the way.
    pub(crate) default: Option<Vec<u8>>,
}

impl FieldPath {
    /// The path under `name`.
    pub(crate) fn new(settings: &Settings<'_>, name: &str) -> Result<Self, Error> {
        let text = settings.required(name)?;
        let version = settings.get(VERSION).unwrap_or("V1");
        let steps = match version.to_ascii_uppercase().as_str() {
            "V1" => vec![text.into()],
            "V2" => dotted(text).map_err(|reason| Error::value(settings.key(name), reason))?,
            _ => return Err(Error::value(settings.key(VERSION), "Unrecognized field syntax version")),
        };
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The steps through a schema, and the schema at their end.
    pub(crate) fn through(&self, schema: &Schema) -> Result<(Vec<Step>, Arc<Schema>), Fault> {
        let mut current = Arc::new(schema.clone());
        let mut steps = Vec::new();
        for name in &self.steps {
            let index = structs::position(current.fields(), name);
            let index = index.ok_or_else(|| Fault::transform(format!("Unknown field: {}", self.text)))?;
            let next = current.fields()[index].schema.clone();
            let default = structs::default_datum(&next)?;
            steps.push(Step { schema: current, index, default });
            current = next;
        }
        Ok((steps, current))
    }
}

/// Names divided by dots.
fn dotted(path: &str) -> Result<Vec<Arc<str>>, String> {
    let mut steps: Vec<Arc<str>> = Vec::new();
    let mut rest = path;
    loop {
        let Some(quoted) = rest.strip_prefix('`') else {
            match rest.split_once('.') {
                Some((name, after)) => {
                    steps.push(name.into());
                    rest = after;
                    continue;
                }
                None => {
                    steps.push(rest.into());
                    return Ok(steps);
                }
            }
        };
        let at = path.len() - rest.len();
        let (name, after) = closed(quoted).ok_or_else(|| {
            format!(
                "Incomplete backtick pair in path: [{path}], consider adding a backslash before backtick at position {at} to escape it"
            )
        })?;
        steps.push(name.into());
        match after {
            Some(after) => rest = after,
            None => return Ok(steps),
        }
    }
}

/// What stands before the closing backtick, which a dot or the end follows, and what stands after that dot.
fn closed(quoted: &str) -> Option<(String, Option<&str>)> {
    let mut name = String::new();
    let mut taken = 0;
    for (at, _) in quoted.match_indices('`') {
        let after = &quoted[at + 1..];
        let escaped = quoted[..at].ends_with('\\');
        if !after.is_empty() && !after.starts_with('.') {
            // A backtick amid a name needs no backslash.
            continue;
        }
        if escaped {
            name.push_str(&quoted[taken..at - 1]);
            name.push('`');
            taken = at + 1;
            continue;
        }
        name.push_str(&quoted[taken..at]);
        return Some((name, after.strip_prefix('.')));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_as_connect_reads_them() {
        let cases: [(&str, &[&str]); 8] = [
            ("a", &["a"]),
            ("a.b", &["a", "b"]),
            ("`a.b`.c", &["a.b", "c"]),
            ("a.`b.c`", &["a", "b.c"]),
            ("a.", &["a", ""]),
            ("`a`b`.c", &["a`b", "c"]),
            (r"`a\`.b`.c", &["a`.b", "c"]),
            ("", &[""]),
        ];
        for (path, expected) in cases {
            let steps = dotted(path).expect(path);
            assert_eq!(steps.iter().map(|step| &**step).collect::<Vec<_>>(), expected, "{path}");
        }
        assert!(dotted("a.`b").expect_err("it is open").contains("position 2"));
    }
}
