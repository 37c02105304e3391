//! The schemas of points, of PostGIS's shapes and of pgvector's vectors.

use std::sync::Arc;

use towpath_model::{Field, Schema, Type};

fn field(name: &str, schema: Schema) -> Field {
    Field { name: name.into(), schema: Arc::new(schema) }
}

fn documented(fields: Vec<Field>, name: &str, doc: &str) -> Schema {
    Schema { doc: Some(doc.into()), ..Schema::new(Type::Struct(fields)).named(name, 1) }
}

pub(super) fn point() -> Schema {
    let fields = vec![
        field("x", Schema::new(Type::Float64)),
        field("y", Schema::new(Type::Float64)),
        field("wkb", Schema::new(Type::Bytes).optional()),
        field("srid", Schema::new(Type::Int32).optional()),
    ];
    documented(fields, "io.debezium.data.geometry.Point", "Geometry (POINT)")
}

/// `Geometry` or `Geography`.
pub(super) fn geometry(name: &str) -> Schema {
    let fields = vec![field("wkb", Schema::new(Type::Bytes)), field("srid", Schema::new(Type::Int32).optional())];
    documented(fields, &format!("io.debezium.data.geometry.{name}"), name)
}

pub(super) fn vector(name: &str, kind: Type) -> Schema {
    Schema::new(Type::Array(Arc::new(Schema::new(kind)))).named(&format!("io.debezium.data.{name}"), 1)
}

pub(super) fn sparse_vector() -> Schema {
    let numbers = Type::Map(Arc::new(Schema::new(Type::Int16)), Arc::new(Schema::new(Type::Float64)));
    let fields = vec![field("dimensions", Schema::new(Type::Int16)), field("vector", Schema::new(numbers))];
    documented(fields, "io.debezium.data.SparseDoubleVector", "Sparse double vector")
}
