//! From PostgreSQL's tables to Connect schemas, named and shaped as Debezium 3.6 has them.
//!
//! `types` maps one type; `default` evaluates column defaults; `envelope` builds the schemas around a row; `table` puts them
//! together, once for each version of a table, with all that writing its records needs precomputed.

mod default;
mod envelope;
mod table;
mod types;

pub use envelope::{STRING_SCHEMA, Source};
pub use table::{Column, ColumnFacts, Names, Table, TableFacts};
pub use types::{PgType, TypeKind, TypeRegistry};

/// A datum as JsonConverter would show it, for the defaults of schemas and for tests.
pub use default::datum_to_json;
