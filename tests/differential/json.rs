//! JSON as it was written: the order of fields and the spelling of numbers are kept, because consumers see them.

use std::fmt::{self, Write as _};

use anyhow::{Result, bail};
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A value whose parts are spelt as they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// Null, a truth value, a number or a string, as written.
    Scalar(String),
}

impl Node {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                let Fields(fields) = serde_json::from_str(text)?;
                let parsed = fields.into_iter().map(|(name, raw)| Ok((name, Self::parse(raw.get())?)));
                Self::Object(parsed.collect::<Result<_>>()?)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::Array(items.into_iter().map(|raw| Self::parse(raw.get())).collect::<Result<_>>()?)
            }
            Some(_) => Self::Scalar(text.to_owned()),
            None => bail!("no JSON: {text:?}"),
        })
    }

    pub(crate) fn null() -> Self {
        Self::Scalar("null".to_owned())
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(text) if text == "null")
    }

    /// The field of an object.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.iter().find(|(field, _)| field == name).map(|(_, node)| node),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        match self {
            Self::Object(fields) => fields.iter_mut().find(|(field, _)| field == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a string.
    pub(crate) fn text(&self) -> Option<String> {
        match self {
            Self::Scalar(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scalar(text) => f.write_str(text),
            Self::Array(items) => {
                f.write_char('[')?;
                for (index, item) in items.iter().enumerate() {
                    write!(f, "{}{item}", if index == 0 { "" } else { "," })?;
                }
                f.write_char(']')
            }
            Self::Object(fields) => {
                f.write_char('{')?;
                for (index, (name, value)) in fields.iter().enumerate() {
                    let name = serde_json::to_string(name).map_err(|_| fmt::Error)?;
                    write!(f, "{}{name}:{value}", if index == 0 { "" } else { "," })?;
                }
                f.write_char('}')
            }
        }
    }
}

struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Vec<(String, &'de RawValue)>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(fields)
            }
        }
        deserializer.deserialize_map(InOrder).map(Fields)
    }
}

/// A place at which two values differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) path: Vec<String>,
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

/// What stands where one side has nothing.
pub(crate) const ABSENT: &str = "absent";

/// All places at which `theirs` and `ours` differ. Fields are matched by name, and so are the field lists of Connect's schemas.
pub(crate) fn differences(theirs: &Node, ours: &Node) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(theirs, ours, &mut Vec::new(), &mut found);
    found
}

fn compare(theirs: &Node, ours: &Node, path: &mut Vec<String>, found: &mut Vec<Difference>) {
    let pairs = match (theirs, ours) {
        (Node::Object(theirs), Node::Object(ours)) => Some((named(theirs), named(ours))),
        (Node::Array(theirs), Node::Array(ours)) => schema_fields(theirs).zip(schema_fields(ours)),
        _ => None,
    };
    if let Some((theirs, ours)) = pairs {
        return compare_named(&theirs, &ours, path, found);
    }
    match (theirs, ours) {
        (Node::Array(theirs), Node::Array(ours)) if theirs.len() == ours.len() => {
            for (index, (theirs, ours)) in theirs.iter().zip(ours).enumerate() {
                path.push(index.to_string());
                compare(theirs, ours, path, found);
                path.pop();
            }
        }
        _ if theirs == ours || are_same_text(theirs, ours) || are_same_float(theirs, ours) => {}
        _ => found.push(Difference { path: path.clone(), theirs: theirs.to_string(), ours: ours.to_string() }),
    }
}

fn compare_named(
    theirs: &[(String, &Node)],
    ours: &[(String, &Node)],
    path: &mut Vec<String>,
    found: &mut Vec<Difference>,
) {
    let find = |side: &[(String, &Node)], name: &str| side.iter().position(|(field, _)| field == name);
    let mut order = Vec::new();
    for (name, value) in theirs {
        path.push(name.clone());
        match find(ours, name) {
            Some(index) => {
                order.push(index);
                compare(value, ours[index].1, path, found);
            }
            None => found.push(Difference { path: path.clone(), theirs: value.to_string(), ours: ABSENT.to_owned() }),
        }
        path.pop();
    }
    for (name, value) in ours.iter().filter(|(name, _)| find(theirs, name).is_none()) {
        path.push(name.clone());
        found.push(Difference { path: path.clone(), theirs: ABSENT.to_owned(), ours: value.to_string() });
        path.pop();
    }
    if !order.is_sorted() {
        let names =
            |side: &[(String, &Node)]| side.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        path.push("(order)".to_owned());
        found.push(Difference { path: path.clone(), theirs: names(theirs), ours: names(ours) });
        path.pop();
    }
}

/// Whether two strings hold the same characters. JSON leaves open how they are spelt: Kafka's converter escapes what lies beyond
/// sixteen bits, Towpath writes it as it is.
fn are_same_text(theirs: &Node, ours: &Node) -> bool {
    theirs.text().is_some_and(|text| ours.text() == Some(text))
}

/// Whether two spellings with a fraction or an exponent are the same number: before version 19 Java does not always find the
/// shortest.
fn are_same_float(theirs: &Node, ours: &Node) -> bool {
    let float = |node: &Node| match node {
        Node::Scalar(text) if text.contains(['.', 'e', 'E']) => text.parse::<f64>().ok(),
        _ => None,
    };
    float(theirs).is_some_and(|number| float(ours) == Some(number))
}

fn named(fields: &[(String, Node)]) -> Vec<(String, &Node)> {
    fields.iter().map(|(name, node)| (name.clone(), node)).collect()
}

/// The items of a list by the field that each describes.
fn schema_fields(items: &[Node]) -> Option<Vec<(String, &Node)>> {
    let named = items.iter().map(|item| Some((item.get("field")?.text()?, item)));
    named.collect::<Option<Vec<_>>>().filter(|fields| !fields.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Node, differences};

    fn check(theirs: &str, ours: &str, expected: &[&str]) {
        let found = differences(&Node::parse(theirs).unwrap(), &Node::parse(ours).unwrap());
        let found: Vec<String> =
            found.iter().map(|d| format!("{}: {} / {}", d.path.join("."), d.theirs, d.ours)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn spelling_order_and_presence_count() {
        check(r#"{"a":1.0,"b":"é"}"#, r#"{"a":1.0,"b":"é"}"#, &[]);
        check(r#"{"a":1.0}"#, r#"{"a":1}"#, &["a: 1.0 / 1"]);
        check(r#"{"a":1.0E21}"#, r#"{"a":1e21}"#, &[]);
        check(r#"{"a":2.7022716851951739E18}"#, r#"{"a":2.702271685195174E18}"#, &[]);
        check(r#"{"a":"é"}"#, r#"{"a":"\u00e9"}"#, &[]);
        check(r#"{"a":"1"}"#, r#"{"a":1}"#, &[r#"a: "1" / 1"#]);
        check(r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, &["(order): a, b / b, a"]);
        check(r#"{"a":1}"#, r#"{"b":null}"#, &["a: 1 / absent", "b: absent / null"]);
        check(r#"{"a":[1,2]}"#, r#"{"a":[1,3]}"#, &["a.1: 2 / 3"]);
        check(r#"{"a":[1,2]}"#, r#"{"a":[1]}"#, &["a: [1,2] / [1]"]);
    }

    #[test]
    fn fields_of_schemas_are_matched_by_name() {
        check(
            r#"[{"type":"int32","field":"x"},{"type":"int64","field":"y"}]"#,
            r#"[{"type":"int32","field":"y"}]"#,
            &[r#"x: {"type":"int32","field":"x"} / absent"#, r#"y.type: "int64" / "int32""#],
        );
    }
}
