//! Which codec and which Connect schema a PostgreSQL type has.
//!
//! Built-in types are known by their oid's name in the catalog, others (enums, domains, extensions) by what the catalog
//! says of them. Types that Debezium omits give nothing, unless the configuration wants unknown types.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use towpath_model::{Field, Schema, Type};

use super::facts::ColumnFacts;
use super::spatial;
use crate::config::{DecimalMode, HstoreMode, IntervalMode, TimePrecision, ValueSettings};
use crate::value::{Array, Codec, Unit};

/// What a type is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TypeKind {
    /// A type of its own.
    Base,
    /// One of these labels, in their order.
    Enum(Vec<String>),
    /// Another type with rules.
    Domain {
        /// That type.
        base: u32,
        /// What modifies it, or -1.
        modifier: i32,
    },
    /// Several of another type.
    Array {
        /// That type.
        element: u32,
        /// What stands between them.
        delimiter: u8,
    },
    /// The catalog does not know it any more.
    Gone,
}

/// A type of the catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PgType {
    /// Its oid.
    pub oid: u32,
    /// Its name.
    pub name: String,
    /// What it is made of.
    pub kind: TypeKind,
}

/// The types seen so far.
#[derive(Clone, Debug, Default)]
pub struct TypeRegistry(HashMap<u32, PgType>);

/// How deep domains and arrays may be nested; the catalog has no cycles, but bytes from outside might.
const DEPTH_MAX: usize = 16;

impl TypeRegistry {
    /// Enters a type.
    pub fn insert(&mut self, kind: PgType) {
        self.0.insert(kind.oid, kind);
    }

    /// Which of these types, or of the types they are made of, are not entered.
    pub fn missing(&self, oids: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut missing = HashSet::new();
        for mut oid in oids {
            for _ in 0..DEPTH_MAX {
                match self.0.get(&oid).map(|known| &known.kind) {
                    Some(TypeKind::Domain { base, .. }) => oid = *base,
                    Some(TypeKind::Array { element, .. }) => oid = *element,
                    Some(_) => break,
                    None => {
                        missing.insert(oid);
                        break;
                    }
                }
            }
        }
        missing.into_iter().collect()
    }

    /// The name of a type.
    pub fn name(&self, oid: u32) -> Option<&str> {
        self.0.get(&oid).map(|known| known.name.as_str())
    }

    /// These types and those they are made of, as far as they are entered.
    pub fn within(&self, oids: impl IntoIterator<Item = u32>) -> Vec<PgType> {
        let mut within = HashMap::new();
        for mut oid in oids {
            for _ in 0..DEPTH_MAX {
                let Some(known) = self.0.get(&oid) else { break };
                within.insert(oid, known.clone());
                match known.kind {
                    TypeKind::Domain { base, .. } => oid = base,
                    TypeKind::Array { element, .. } => oid = element,
                    TypeKind::Base | TypeKind::Enum(_) | TypeKind::Gone => break,
                }
            }
        }
        within.into_values().collect()
    }

    /// The name of a type beneath its domains.
    pub fn base_name(&self, mut oid: u32) -> Option<&str> {
        for _ in 0..DEPTH_MAX {
            let known = self.0.get(&oid)?;
            match known.kind {
                TypeKind::Domain { base, .. } => oid = base,
                _ => return Some(&known.name),
            }
        }
        None
    }

    /// The enum within a type: itself, or what its domains and arrays are made of.
    pub fn enum_within(&self, mut oid: u32) -> Option<&PgType> {
        for _ in 0..DEPTH_MAX {
            let known = self.0.get(&oid)?;
            match known.kind {
                TypeKind::Domain { base: inner, .. } | TypeKind::Array { element: inner, .. } => oid = inner,
                TypeKind::Enum(_) => return Some(known),
                TypeKind::Base | TypeKind::Gone => return None,
            }
        }
        None
    }

    /// The codec and the schema of a column, if its type has any.
    pub fn map(&self, column: &ColumnFacts, set: &ValueSettings) -> Option<(Codec, Schema)> {
        Mapping { types: self, column, set }.map(column.type_oid, column.modifier, column.dimensions, DEPTH_MAX)
    }
}

/// The mapping of one column.
struct Mapping<'a> {
    types: &'a TypeRegistry,
    column: &'a ColumnFacts,
    set: &'a ValueSettings,
}

impl Mapping<'_> {
    fn map(&self, oid: u32, modifier: i32, dimensions: u16, depth: usize) -> Option<(Codec, Schema)> {
        let known = self.types.0.get(&oid).filter(|_| depth > 0)?;
        match &known.kind {
            TypeKind::Enum(labels) => {
                let schema = Schema::new(Type::String).named("io.debezium.data.Enum", 1);
                let mut sorted: Vec<Box<[u8]>> = labels.iter().map(|label| label.as_bytes().into()).collect();
                sorted.sort();
                let codec = if self.column.labels_open { Codec::Text } else { Codec::Enum(sorted.into()) };
                Some((codec, schema.parameter("allowed", labels.join(","))))
            }
            // A domain's own modifier stands, when it has one.
            TypeKind::Domain { base, modifier: own } => {
                self.map(*base, if *own < 0 { modifier } else { *own }, dimensions, depth - 1)
            }
            TypeKind::Array { element, delimiter } => {
                let nested = dimensions > 1;
                let (element, schema) = if nested {
                    self.map(oid, modifier, dimensions - 1, depth - 1)?
                } else {
                    self.map_element(*element, modifier, depth - 1)?
                };
                // Debezium's enums and unknown types in arrays cannot be null; they can once a null was seen.
                let of_enums = schema.name.as_deref() == Some("io.debezium.data.Enum");
                let of_unknown = matches!(element, Codec::Opaque(_) | Codec::OpaqueShape(_));
                let optional = nested || !(of_enums || of_unknown) || self.column.elements_optional;
                let schema = if optional { schema.optional() } else { schema };
                let array = Array { element, optional, delimiter: *delimiter };
                Some((Codec::Array(Box::new(array)), Schema::new(Type::Array(Arc::new(schema)))))
            }
            TypeKind::Base => base(&known.name, modifier, self.set)
                .or_else(|| self.set.include_unknown.then(|| unknown(&known.name, self.set))),
            // Its values are still text, which says more than nothing does.
            TypeKind::Gone => Some((Codec::Text, Schema::new(Type::String))),
        }
    }

    /// Arrays that Debezium cannot map are omitted as it omits them, whether unknown types are wanted or not.
    fn map_element(&self, element: u32, modifier: i32, depth: usize) -> Option<(Codec, Schema)> {
        let omitted = ["money", "name", "interval", "varbit", "bit", "xml", "point", "refcursor"];
        let known = self.types.0.get(&element)?;
        if omitted.contains(&known.name.as_str()) {
            return None;
        }
        self.map(element, modifier, 0, depth)
    }
}

/// The text of the value, as bytes; represented as bytes are.
fn unknown(name: &str, set: &ValueSettings) -> (Codec, Schema) {
    let is_shape = matches!(name, "box" | "circle" | "line" | "lseg" | "path" | "polygon");
    let codec = if is_shape { Codec::OpaqueShape(set.binary) } else { Codec::Opaque(set.binary) };
    (codec, Schema::new(set.binary.kind()))
}

fn base(name: &str, modifier: i32, set: &ValueSettings) -> Option<(Codec, Schema)> {
    let plain = |codec, kind| Some((codec, Schema::new(kind)));
    let text = |name: &str| Some((Codec::Text, Schema::new(Type::String).named(name, 1)));
    match name {
        "bool" => plain(Codec::Boolean, Type::Boolean),
        "int2" => plain(Codec::Integer, Type::Int16),
        "int4" => plain(Codec::Integer, Type::Int32),
        "int8" | "oid" => plain(Codec::Integer, Type::Int64),
        "float4" => plain(Codec::Float, Type::Float32),
        "float8" => plain(Codec::Double, Type::Float64),
        "numeric" => Some(numeric(modifier, set)),
        "money" => {
            let money_digits = usize::try_from(set.money_digits).unwrap_or(0);
            let (codec, schema) = match set.decimal {
                DecimalMode::Precise => (Codec::MoneyDecimal(set.money_digits), decimal_schema(set.money_digits)),
                DecimalMode::String => {
                    (Codec::Money(Box::new(Codec::DecimalText(money_digits))), Schema::new(Type::String))
                }
                DecimalMode::Double => (Codec::Money(Box::new(Codec::Double)), Schema::new(Type::Float64)),
            };
            Some((codec, schema))
        }
        "char" => plain(Codec::Char, Type::String),
        "text" | "varchar" | "bpchar" | "name" | "citext" | "inet" | "cidr" | "macaddr" | "macaddr8" | "int4range"
        | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" | "isbn" => plain(Codec::Text, Type::String),
        "uuid" => Some((Codec::Uuid, Schema::new(Type::String).named("io.debezium.data.Uuid", 1))),
        "json" | "jsonb" => text("io.debezium.data.Json"),
        "xml" => text("io.debezium.data.Xml"),
        "ltree" => text("io.debezium.data.Ltree"),
        "tsvector" => text("io.debezium.data.Tsvector"),
        "hstore" => Some(match set.hstore {
            HstoreMode::Json => (Codec::Hstore, Schema::new(Type::String).named("io.debezium.data.Json", 1)),
            HstoreMode::Map => {
                let values = Schema::new(Type::String).optional();
                let map = Type::Map(Arc::new(Schema::new(Type::String)), Arc::new(values));
                (Codec::HstoreMap, Schema::new(map))
            }
        }),
        "bytea" => plain(Codec::Bytes(set.binary), set.binary.kind()),
        "bit" if modifier == 1 => plain(Codec::Bit, Type::Boolean),
        "varbit" if modifier == 1 => plain(Codec::Bit, Type::Boolean),
        "bit" | "varbit" => {
            let length = if modifier > 0 { modifier } else { i32::MAX };
            let schema = Schema::new(Type::Bytes).named("io.debezium.data.Bits", 1);
            Some((Codec::Bits, schema.parameter("length", length.to_string())))
        }
        "date" => Some(date(set)),
        "time" => Some(time(modifier, set)),
        "timetz" => Some((Codec::TimeWithZone, Schema::new(Type::String).named("io.debezium.time.ZonedTime", 1))),
        "timestamp" => Some(timestamp(modifier, set)),
        "timestamptz" => {
            let width = usize::try_from(modifier).unwrap_or(6);
            let schema = Schema::new(Type::String).named("io.debezium.time.ZonedTimestamp", 1);
            Some((Codec::TimestampWithZone(width), schema))
        }
        "interval" => Some(match set.interval {
            IntervalMode::Numeric => {
                (Codec::Interval, Schema::new(Type::Int64).named("io.debezium.time.MicroDuration", 1))
            }
            IntervalMode::String => {
                (Codec::IntervalText, Schema::new(Type::String).named("io.debezium.time.Interval", 1))
            }
        }),
        "point" => Some((Codec::Point, spatial::point())),
        "geometry" => Some((Codec::Geometry, spatial::geometry("Geometry"))),
        "geography" => Some((Codec::Geometry, spatial::geometry("Geography"))),
        "vector" => Some((Codec::Vector, spatial::vector("DoubleVector", Type::Float64))),
        "halfvec" => Some((Codec::HalfVector, spatial::vector("FloatVector", Type::Float32))),
        "sparsevec" => Some((Codec::SparseVector, spatial::sparse_vector())),
        _ => None,
    }
}

fn decimal_schema(scale: i32) -> Schema {
    let schema = Schema::new(Type::Bytes).named("org.apache.kafka.connect.data.Decimal", 1);
    schema.parameter("scale", scale.to_string())
}

fn numeric(modifier: i32, set: &ValueSettings) -> (Codec, Schema) {
    match set.decimal {
        DecimalMode::String => {
            let digits = if modifier < 4 { 0 } else { usize::try_from(numeric_scale(modifier)).unwrap_or(0) };
            (Codec::DecimalText(digits), Schema::new(Type::String))
        }
        DecimalMode::Double => (Codec::Double, Schema::new(Type::Float64)),
        DecimalMode::Precise if modifier < 4 => {
            let field = |name: &str, kind| Field { name: name.into(), schema: Arc::new(Schema::new(kind)) };
            let fields = vec![field("scale", Type::Int32), field("value", Type::Bytes)];
            let mut schema = Schema::new(Type::Struct(fields)).named("io.debezium.data.VariableScaleDecimal", 1);
            schema.doc = Some("Variable scaled decimal".into());
            (Codec::VariableDecimal, schema)
        }
        DecimalMode::Precise => {
            let scale = numeric_scale(modifier);
            let precision = ((modifier - 4) >> 16) & 0xffff;
            let schema = decimal_schema(scale).parameter("connect.decimal.precision", precision.to_string());
            (Codec::Decimal(scale), schema)
        }
    }
}

/// The scale of a numeric: the lower 11 bits, with a sign.
pub(super) fn numeric_scale(modifier: i32) -> i32 {
    (((modifier - 4) & 0x7ff) ^ 1024) - 1024
}

fn iso(codec: Codec, name: &str) -> (Codec, Schema) {
    (codec, Schema::new(Type::String).named(name, 1))
}

fn date(set: &ValueSettings) -> (Codec, Schema) {
    let name = match set.time {
        TimePrecision::IsoString => return iso(Codec::DateText, "io.debezium.time.IsoDate"),
        TimePrecision::Connect => "org.apache.kafka.connect.data.Date",
        _ => "io.debezium.time.Date",
    };
    (Codec::Date, Schema::new(Type::Int32).named(name, 1))
}

fn time(modifier: i32, set: &ValueSettings) -> (Codec, Schema) {
    let (unit, kind, name) = match set.time {
        TimePrecision::IsoString => return iso(Codec::TimeText, "io.debezium.time.IsoTime"),
        TimePrecision::Connect => (Unit::Millis, Type::Int32, "org.apache.kafka.connect.data.Time"),
        TimePrecision::Nanoseconds => (Unit::Nanos, Type::Int64, "io.debezium.time.NanoTime"),
        TimePrecision::Adaptive if (0..=3).contains(&modifier) => (Unit::Millis, Type::Int32, "io.debezium.time.Time"),
        _ => (Unit::Micros, Type::Int64, "io.debezium.time.MicroTime"),
    };
    (Codec::Time(unit), Schema::new(kind).named(name, 1))
}

fn timestamp(modifier: i32, set: &ValueSettings) -> (Codec, Schema) {
    let (unit, name) = match set.time {
        TimePrecision::IsoString => return iso(Codec::TimestampText, "io.debezium.time.IsoTimestamp"),
        TimePrecision::Connect => (Unit::Millis, "org.apache.kafka.connect.data.Timestamp"),
        TimePrecision::Nanoseconds => (Unit::Nanos, "io.debezium.time.NanoTimestamp"),
        TimePrecision::Adaptive | TimePrecision::AdaptiveTimeMicroseconds if (0..=3).contains(&modifier) => {
            (Unit::Millis, "io.debezium.time.Timestamp")
        }
        _ => (Unit::Micros, "io.debezium.time.MicroTimestamp"),
    };
    (Codec::Timestamp(unit), Schema::new(Type::Int64).named(name, 1))
}
