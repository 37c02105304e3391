//! Schema resolution after the Avro specification: whether a reader's schema can take data of a writer's, and if not, why and where.

use std::collections::HashSet;
use std::sync::Arc;

use super::{AvroSchema, Field, Kind, Named, Node, Shape};
use crate::definition::Difference;

/// Why `reader` cannot read data written under `writer`; nothing where it can.
pub(crate) fn cannot_read(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Difference> {
    let mut resolution = Resolution { reader, writer, underway: HashSet::new(), ambiguous: None };
    let differences = resolution.node(&reader.root, &writer.root, "");
    // Java's library gives up there, wherever it is.
    resolution.ambiguous.map_or(differences, |ambiguous| vec![ambiguous])
}

struct Resolution<'a> {
    reader: &'a AvroSchema,
    writer: &'a AvroSchema,
    /// Pairs of names that are being looked at, or were found sound: a type may contain itself.
    underway: HashSet<(Arc<str>, Arc<str>)>,
    /// A field of the reader's that is several of the writer's.
    ambiguous: Option<Difference>,
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
            (_, Kind::Union(branches)) => {
                let branches = branches.iter().enumerate();
                branches.flat_map(|(index, branch)| self.node(reader, branch, &format!("{path}/{index}"))).collect()
            }
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
        if type_name(reader) == type_name(writer) && !same_name(reader, writer) {
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
            _ => differences.push(mismatch(type_name(reader), type_name(writer), path)),
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
            let names = [&field.name].into_iter().chain(&field.aliases);
            let mut found = names.filter_map(|name| writer.iter().find(|written| written.name == *name));
            let (written, other) = (found.next(), found.next());
            if other.is_some() {
                self.ambiguous.get_or_insert_with(|| ambiguous(field, &path));
            }
            match written {
                Some(written) => differences.extend(self.node(&field.node, &written.node, &format!("{path}/type"))),
                None if field.default.is_some() => {}
                // Java's library holds the type of such a field against the record that lacks it.
                None if self.has_enum_default(&field.node) => {
                    differences.push(mismatch("enum", "record", &format!("{path}/type")));
                }
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

    /// Whether it is an enum with a default of its own, which is for unknown symbols and not for a missing field.
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
        Kind::Named(name) => schema.type_of(name).map_or("named", type_name),
        other => other.name(),
    }
}

/// What a type is to schema resolution: an error is a record.
fn type_name(named: &Named) -> &'static str {
    match named.shape {
        Shape::Record { .. } => "record",
        Shape::Enum { .. } | Shape::Fixed(_) => named.kind(),
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

fn ambiguous(field: &Field, path: &str) -> Difference {
    let description = format!(
        "The field '{}' at path '{path}' in the {{reader}} schema is more than one field of the {{writer}} schema, by its name and its \
         aliases",
        field.name
    );
    Difference { kind: "READER_FIELD_AMBIGUOUS", description, detail: Some(field.name.to_string()) }
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
