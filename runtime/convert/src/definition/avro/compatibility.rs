//! Schema resolution after the Avro specification: whether a reader's schema can take data of a writer's, and if not, why and where.

use std::collections::HashSet;
use std::sync::Arc;

use super::{AvroSchema, Field, Kind, Named, Node, Shape};
use crate::definition::Difference;

/// Why `reader` cannot read data written under `writer`; nothing where it can.
pub(crate) fn cannot_read(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Difference> {
    let mut resolution = Resolution { reader, writer, underway: HashSet::new() };
    resolution.node(&reader.root, &writer.root, "")
}

struct Resolution<'a> {
    reader: &'a AvroSchema,
    writer: &'a AvroSchema,
    /// Pairs of names that are being looked at, or were found sound: a type may contain itself.
    underway: HashSet<(Arc<str>, Arc<str>)>,
}

impl<'a> Resolution<'a> {
    fn node(&mut self, reader: &'a Node, writer: &'a Node, path: &str) -> Vec<Difference> {
        match (&reader.kind, &writer.kind) {
            (Kind::Union(_), Kind::Union(branches)) => branches
                .iter()
                .enumerate()
                .filter(|(_, branch)| !self.node(reader, branch, path).is_empty())
                .map(|(index, branch)| missing_branch(reader, branch, &format!("{path}/{index}")))
                .collect(),
            (_, Kind::Union(branches)) => branches.iter().flat_map(|branch| self.node(reader, branch, path)).collect(),
            (Kind::Union(branches), _) => {
                let fits = branches.iter().any(|branch| self.node(branch, writer, path).is_empty());
                if fits { Vec::new() } else { vec![missing_branch(reader, writer, path)] }
            }
            (Kind::Array(reader), Kind::Array(writer)) => self.node(reader, writer, &format!("{path}/items")),
            (Kind::Map(reader), Kind::Map(writer)) => self.node(reader, writer, &format!("{path}/values")),
            (Kind::Named(first), Kind::Named(second)) => self.named(first, second, path),
            (first, second) if first == second || promotes(first, second) => Vec::new(),
            _ => vec![self.mismatch(reader, writer, path)],
        }
    }

    fn named(&mut self, reader: &Arc<str>, writer: &Arc<str>, path: &str) -> Vec<Difference> {
        let pair = (reader.clone(), writer.clone());
        let (Some(reader), Some(writer)) = (self.reader.type_of(reader), self.writer.type_of(writer)) else {
            return Vec::new();
        };
        if !self.underway.insert(pair.clone()) {
            return Vec::new();
        }
        let mut differences = Vec::new();
        if reader.kind() == writer.kind() && !same_name(reader, writer) {
            differences.push(Difference {
                kind: "NAME_MISMATCH",
                description: format!("The name of the schema has changed (path '{}')", at(&format!("{path}/name"))),
                detail: Some(format!("expected: {}", writer.name)),
            });
        }
        match (&reader.shape, &writer.shape) {
            (Shape::Record { fields: reader, .. }, Shape::Record { fields: writer, .. }) => {
                differences.extend(self.fields(reader, writer, path));
            }
            (Shape::Enum { symbols, default }, Shape::Enum { symbols: written, .. }) => {
                let missing: Vec<&str> =
                    written.iter().filter(|symbol| !symbols.contains(symbol)).map(AsRef::as_ref).collect();
                if !missing.is_empty() && default.is_none() {
                    let missing = format!("[{}]", missing.join(", "));
                    let path = format!("{path}/symbols");
                    differences.push(Difference {
                        kind: "MISSING_ENUM_SYMBOLS",
                        description: format!(
                            "The {{reader}} schema is missing enum symbols '{missing}' at path '{path}' in the {{writer}} schema"
                        ),
                        detail: Some(missing),
                    });
                }
            }
            (Shape::Fixed(size), Shape::Fixed(written)) if size != written => differences.push(Difference {
                kind: "FIXED_SIZE_MISMATCH",
                description: format!(
                    "The size of FIXED type field at path '{path}/size' in the {{reader}} schema does not match with the {{writer}} \
                     schema"
                ),
                detail: Some(format!("expected: {written}, found: {size}")),
            }),
            (Shape::Fixed(_), Shape::Fixed(_)) => {}
            _ => differences.push(mismatch(reader.kind(), writer.kind(), path)),
        }
        if !differences.is_empty() {
            self.underway.remove(&pair);
        }
        differences
    }

    fn fields(&mut self, reader: &'a [Field], writer: &'a [Field], path: &str) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (index, field) in reader.iter().enumerate() {
            let path = format!("{path}/fields/{index}");
            let named = |name: &Arc<str>| writer.iter().find(|written| written.name == *name);
            match named(&field.name).or_else(|| field.aliases.iter().find_map(named)) {
                Some(written) => differences.extend(self.node(&field.node, &written.node, &format!("{path}/type"))),
                None if field.default.is_some() || self.has_enum_default(&field.node) => {}
                None => differences.push(Difference {
                    kind: "READER_FIELD_MISSING_DEFAULT_VALUE",
                    description: format!(
                        "The field '{}' at path '{path}' in the {{reader}} schema has no default value and is missing in the \
                         {{writer}} schema",
                        field.name
                    ),
                    detail: Some(field.name.to_string()),
                }),
            }
        }
        differences
    }

    /// Java's library takes the default of an enum for that of a field, too.
    fn has_enum_default(&self, node: &Node) -> bool {
        let Kind::Named(name) = &node.kind else { return false };
        let shape = self.reader.type_of(name).map(|named| &named.shape);
        matches!(shape, Some(Shape::Enum { default: Some(_), .. }))
    }

    fn mismatch(&self, reader: &Node, writer: &Node, path: &str) -> Difference {
        mismatch(kind_of(self.reader, reader), kind_of(self.writer, writer), path)
    }
}

fn kind_of(schema: &AvroSchema, node: &Node) -> &'static str {
    match &node.kind {
        Kind::Named(name) => schema.type_of(name).map_or("named", Named::kind),
        other => other.name(),
    }
}

fn mismatch(reader: &str, writer: &str, path: &str) -> Difference {
    Difference {
        kind: "TYPE_MISMATCH",
        description: format!(
            "The type (path '{}') of a field in the {{reader}} schema does not match with the {{writer}} schema",
            at(path)
        ),
        detail: Some(format!(
            "reader type: {} not compatible with writer type: {}",
            reader.to_uppercase(),
            writer.to_uppercase()
        )),
    }
}

fn missing_branch(reader: &Node, writer: &Node, path: &str) -> Difference {
    let name = match &writer.kind {
        Kind::Named(name) => name.to_string(),
        other => other.name().to_uppercase(),
    };
    let lacking = matches!(reader.kind, Kind::Union(_)).then(|| format!("reader union lacking writer type: {name}"));
    Difference {
        kind: "MISSING_UNION_BRANCH",
        description: format!(
            "The {{reader}} schema is missing a type inside a union field at path '{}' in the {{writer}} schema",
            at(path)
        ),
        detail: lacking,
    }
}

fn at(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

/// Namespaces do not count; aliases of the reader do, in full.
fn same_name(reader: &Named, writer: &Named) -> bool {
    reader.short_name() == writer.short_name() || reader.aliases.contains(&writer.name)
}

/// Whether a value of the writer's type becomes one of the reader's.
fn promotes(reader: &Kind, writer: &Kind) -> bool {
    matches!(
        (reader, writer),
        (Kind::Long | Kind::Float | Kind::Double, Kind::Int)
            | (Kind::Float | Kind::Double, Kind::Long)
            | (Kind::Double, Kind::Float)
            | (Kind::String, Kind::Bytes)
            | (Kind::Bytes, Kind::String)
    )
}
