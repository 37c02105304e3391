//! From PostgreSQL's tables to Connect schemas, named and shaped as Debezium 3.6 has them.
//!
//! `facts` is what catalog and stream say of a table; `types` maps one type, `spatial` and `source_type` parts of its schema;
//! `default` evaluates column defaults; `names` names topics, schemas and fields; `envelope` builds the schemas around a row;
//! `column` and `table` put them together, once for each version of a table, with all that writing its records needs.

mod column;
mod default;
mod envelope;
mod facts;
mod names;
mod source_type;
mod spatial;
mod table;
mod types;

pub use column::Column;
pub use envelope::{STRING_SCHEMA, SharedSchemas, Source};
pub use facts::{ColumnFacts, Misfit, MisfitKind, TableFacts, choose_key};
pub use names::{Adjustment, Names};
pub use table::{Key, Table};
pub use types::{PgType, TypeKind, TypeRegistry};

/// A datum as JsonConverter would show it, for the defaults of schemas and for tests.
pub use default::datum_to_json;
