//! Tables as the stream describes them: its relation messages stand, the catalog adds what they do not say.

use std::sync::Arc;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::error::Error;
use crate::schema::{ColumnFacts, Table, TableFacts};
use crate::setup::is_wanted;
use crate::wire::{RelationMessage, ReplicaIdentity};

/// The table of a relation message; none when it is not wanted. What the stream says stands; the catalog adds the rest.
pub(super) fn resolve(
    relation: &RelationMessage,
    catalog: &mut Catalog,
    settings: &Settings,
) -> Result<Option<Arc<Table>>, Error> {
    if !is_wanted(settings, &relation.schema, &relation.name) {
        return Ok(None);
    }
    let known = catalog.table(relation.oid)?;
    catalog.learn_types(relation.columns.iter().map(|column| column.type_oid).collect())?;
    let facts = TableFacts::of_stream(relation, known.as_ref());
    Ok(Some(Arc::new(Table::new(&facts, &catalog.types, &settings.names, &settings.values))))
}

impl TableFacts {
    /// The facts of a relation message, with what only the catalog knows, where it still knows the column.
    pub fn of_stream(relation: &RelationMessage, known: Option<&Self>) -> Self {
        let columns = relation.columns.iter().enumerate().map(|(place, column)| {
            let catalogued = known.and_then(|known| known.columns.iter().find(|one| one.name == column.name));
            ColumnFacts {
                name: column.name.clone(),
                type_oid: column.type_oid,
                modifier: column.type_modifier,
                optional: catalogued.is_none_or(|one| one.optional),
                dimensions: catalogued.map_or(0, |one| one.dimensions),
                default: catalogued.and_then(|one| one.default.clone()),
                place,
            }
        });
        // A table that is gone still has its key in the stream, unless every column counts as one.
        let identity = || match relation.identity {
            ReplicaIdentity::Default | ReplicaIdentity::Index => {
                relation.columns.iter().filter(|column| column.identity).map(|column| column.name.clone()).collect()
            }
            ReplicaIdentity::Nothing | ReplicaIdentity::Full => Vec::new(),
        };
        Self {
            oid: relation.oid,
            schema: relation.schema.clone(),
            name: relation.name.clone(),
            identity: relation.identity,
            columns: columns.collect(),
            key: known.map_or_else(identity, |known| known.key.clone()),
        }
    }
}
