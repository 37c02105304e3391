//! Tables as the stream describes them, each record by the description of its own time.
//!
//! A relation message comes ahead of the first row after every change of a table: names, types and the replica identity are of
//! that moment. What it does not say (what may be null, defaults, dimensions, the order of the key) only the catalog knows, and
//! the catalog may be ahead of the stream. So its word counts for columns that it still has as the stream has them; where it
//! does not, the description before this one counts, and where there is none, the schema that any value fits. A row that
//! contradicts the catalog makes room for itself.

use std::collections::HashMap;
use std::sync::Arc;

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::error::Error;
use crate::schema::{ColumnFacts, Misfit, Table, TableFacts};
use crate::setup::is_wanted;
use crate::wire::{RelationColumn, RelationMessage, ReplicaIdentity};

/// The tables of a stream, by their oids.
#[derive(Default)]
pub(super) struct Tables(HashMap<u32, Option<Known>>);

/// A table as it is described at some time; none when it is not wanted.
#[derive(Clone)]
pub(super) struct Described(Option<Known>);

/// A table that is wanted.
#[derive(Clone)]
struct Known {
    /// As it is described.
    described: TableFacts,
    /// With room for what rows have shown since.
    table: Arc<Table>,
}

impl Tables {
    /// The table; none when it is not wanted.
    ///
    /// # Errors
    /// When the stream has not described it.
    #[inline]
    pub(super) fn get(&self, oid: u32) -> Result<Option<&Arc<Table>>, Error> {
        let known = self.0.get(&oid).ok_or(Error::Protocol("a change of a table that was not described"))?;
        Ok(known.as_ref().map(|known| &known.table))
    }

    /// Takes in a relation message.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(super) fn describe(
        &mut self,
        relation: &RelationMessage,
        catalog: &mut Catalog,
        settings: &Settings,
    ) -> Result<(), Error> {
        if !is_wanted(settings, &relation.schema, &relation.name) {
            self.0.insert(relation.oid, None);
            return Ok(());
        }
        let types: Vec<_> = relation.columns.iter().map(|column| column.type_oid).collect();
        let catalogued = catalog.table(relation.oid)?;
        catalog.learn_types(&types)?;
        let before = self.0.get(&relation.oid).and_then(Option::as_ref);
        let described = describe(relation, catalogued.as_ref(), before.map(|known| &known.described));
        // The server repeats itself after whatever touches a table; its records then go on under the same schema.
        if before.is_none_or(|before| before.described != described) {
            let table = Table::new(described.clone(), &catalog.types, &settings.names, &settings.values);
            self.0.insert(relation.oid, Some(Known { described, table: Arc::new(table) }));
        }
        Ok(())
    }

    /// How a table is described now, to be put back after a transaction that knows an earlier description.
    pub(super) fn described(&self, oid: u32) -> Option<Described> {
        self.0.get(&oid).cloned().map(Described)
    }

    /// Makes a table what it was described as.
    pub(super) fn put_back(&mut self, oid: u32, described: Described) {
        self.0.insert(oid, described.0);
    }

    /// Makes room for a value that the table's schema has none for. Nothing is made twice for one row, or the error stands.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub(super) fn make_room(
        &mut self,
        oid: u32,
        misfit: &Misfit,
        catalog: &mut Catalog,
        settings: &Settings,
    ) -> Result<(), Error> {
        if let Some(Some(known)) = self.0.get_mut(&oid) {
            known.table = catalog.make_room(&known.table, misfit, settings)?;
        }
        Ok(())
    }
}

/// The facts of a relation message, with what only the catalog knows, as far as that still is what the stream describes.
fn describe(relation: &RelationMessage, catalogued: Option<&TableFacts>, before: Option<&TableFacts>) -> TableFacts {
    let columns = relation.columns.iter().enumerate().map(|(place, column)| {
        let sources = [catalogued, before].into_iter().flatten();
        let known = sources.filter_map(|facts| counterpart(relation, place, facts)).next();
        let same = known.filter(|known| (known.type_oid, known.modifier) == (column.type_oid, column.type_modifier));
        ColumnFacts {
            name: column.name.clone(),
            type_oid: column.type_oid,
            modifier: column.type_modifier,
            optional: known.is_none_or(|known| known.optional),
            dimensions: same.map_or(0, |known| known.dimensions),
            default: same.and_then(|known| known.default.clone()),
            elements_optional: false,
            labels_open: false,
            place,
        }
    });
    TableFacts {
        oid: relation.oid,
        schema: relation.schema.clone(),
        name: relation.name.clone(),
        identity: relation.identity,
        columns: columns.collect(),
        key: key(relation, catalogued, before),
        key_deferrable: catalogued.is_some_and(|facts| facts.key_deferrable),
    }
}

/// What `facts` say of a column: of the one of its name, or, when that name is not there, of the one that stands in its place
/// with the same type and has a name that the stream does not know. Such a column was renamed.
fn counterpart<'a>(relation: &RelationMessage, place: usize, facts: &'a TableFacts) -> Option<&'a ColumnFacts> {
    let column = relation.columns.get(place)?;
    let by_name = facts.columns.iter().find(|known| known.name == column.name);
    by_name.or_else(|| {
        let known = facts.columns.get(place).filter(|_| facts.columns.len() == relation.columns.len())?;
        let free = !relation.columns.iter().any(|column| column.name == known.name);
        (free && known.type_oid == column.type_oid && known.modifier == column.type_modifier).then_some(known)
    })
}

/// The key's columns in the names of the stream. Where the stream tells which columns changes carry, the key is among those.
fn key(relation: &RelationMessage, catalogued: Option<&TableFacts>, before: Option<&TableFacts>) -> Vec<String> {
    let flagged: Vec<_> =
        relation.columns.iter().filter(|column| column.identity).map(|column| column.name.clone()).collect();
    let fits = |facts: &TableFacts, key: &Vec<String>| {
        let among = || key.iter().all(|name| flagged.contains(name));
        match relation.identity {
            _ if key.is_empty() => false,
            ReplicaIdentity::Default if flagged.is_empty() => facts.key_deferrable,
            ReplicaIdentity::Default => key.len() == flagged.len() && among(),
            // An index that is no primary key may carry more columns than the key has.
            ReplicaIdentity::Index => among(),
            ReplicaIdentity::Full | ReplicaIdentity::Nothing => true,
        }
    };
    let known = [catalogued, before].into_iter().flatten();
    let known = known.filter_map(|facts| renamed_key(relation, facts).filter(|key| fits(facts, key))).next();
    known.unwrap_or_else(|| match relation.identity {
        ReplicaIdentity::Default | ReplicaIdentity::Index => flagged,
        ReplicaIdentity::Full | ReplicaIdentity::Nothing => Vec::new(),
    })
}

/// The key of `facts` in the names of the stream; none when a column of it is not there.
fn renamed_key(relation: &RelationMessage, facts: &TableFacts) -> Option<Vec<String>> {
    let name = |column: &RelationColumn| column.name.clone();
    let in_stream = |key: &String| {
        (0..relation.columns.len())
            .find(|place| counterpart(relation, *place, facts).is_some_and(|known| known.name == *key))
            .and_then(|place| relation.columns.get(place).map(name))
    };
    facts.key.iter().map(in_stream).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INT: u32 = 23;
    const TEXT: u32 = 25;

    fn relation(identity: ReplicaIdentity, columns: &[(&str, u32, bool)]) -> RelationMessage {
        let column = |(name, type_oid, identity): &(&str, u32, bool)| RelationColumn {
            identity: *identity,
            name: (*name).into(),
            type_oid: *type_oid,
            type_modifier: -1,
        };
        RelationMessage {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            identity,
            columns: columns.iter().map(column).collect(),
        }
    }

    /// Columns that are NOT NULL and have a default.
    fn facts(columns: &[(&str, u32)], key: &[&str]) -> TableFacts {
        let column = |(place, (name, type_oid)): (usize, &(&str, u32))| ColumnFacts {
            name: (*name).into(),
            type_oid: *type_oid,
            modifier: -1,
            optional: false,
            dimensions: 0,
            default: Some("1".into()),
            elements_optional: false,
            labels_open: false,
            place,
        };
        TableFacts {
            oid: 1,
            schema: "public".into(),
            name: "t".into(),
            identity: ReplicaIdentity::Default,
            columns: columns.iter().enumerate().map(column).collect(),
            key: key.iter().map(|name| (*name).into()).collect(),
            key_deferrable: false,
        }
    }

    #[test]
    fn a_catalog_that_has_moved_on_describes_only_what_is_still_there() {
        let old = relation(ReplicaIdentity::Default, &[("id", INT, true), ("gone", TEXT, false), ("v", INT, false)]);
        let now = facts(&[("id", INT), ("v", TEXT), ("new", INT)], &["id"]);
        let described = describe(&old, Some(&now), None);
        let told: Vec<_> = described.columns.iter().map(|column| (column.optional, column.default.is_some())).collect();
        // Another type may have another default, but a column stays what it was.
        assert_eq!(told, [(false, true), (true, false), (false, false)]);
        let before = facts(&[("id", INT), ("gone", TEXT), ("v", INT)], &["id"]);
        let described = describe(&old, Some(&now), Some(&before));
        assert!(!described.columns[1].optional && described.columns[1].default.is_some());
    }

    #[test]
    fn a_renamed_column_is_found_by_its_place() {
        let old = relation(ReplicaIdentity::Default, &[("id", INT, true), ("v", TEXT, false)]);
        let described = describe(&old, Some(&facts(&[("number", INT), ("v", TEXT)], &["number"])), None);
        assert_eq!(described.key, ["id"]);
        assert!(!described.columns[0].optional);
        // Not when something else of the table changed too.
        let described = describe(&old, Some(&facts(&[("number", TEXT), ("v", TEXT)], &["v"])), None);
        assert!(described.columns[0].optional);
    }

    #[test]
    fn a_key_that_is_checked_late_is_no_identity_and_still_the_key() {
        let now = TableFacts { key_deferrable: true, ..facts(&[("a", INT)], &["a"]) };
        let relation = relation(ReplicaIdentity::Default, &[("a", INT, false)]);
        assert_eq!(key(&relation, Some(&now), None), ["a"]);
    }

    #[test]
    fn the_key_is_that_of_the_stream() {
        use ReplicaIdentity::{Default, Full, Index, Nothing};
        let check = |identity, flags: [bool; 3], catalogued: Option<&[&str]>, expected: &[&str]| {
            let columns = [("a", INT, flags[0]), ("b", INT, flags[1]), ("c", INT, flags[2])];
            let now = catalogued.map(|key| facts(&[("a", INT), ("b", INT), ("c", INT)], key));
            assert_eq!(key(&relation(identity, &columns), now.as_ref(), None), expected, "{identity:?} {catalogued:?}");
        };
        check(Default, [true, true, false], Some(&["b", "a"]), &["b", "a"]);
        check(Default, [true, true, false], Some(&["c"]), &["a", "b"]);
        check(Default, [true, true, false], Some(&["a"]), &["a", "b"]);
        check(Default, [true, false, false], None, &["a"]);
        check(Default, [false; 3], Some(&["a"]), &[]);
        check(Default, [false; 3], None, &[]);
        check(Index, [true, true, false], Some(&["a"]), &["a"]);
        check(Index, [true, true, false], Some(&["c"]), &["a", "b"]);
        check(Full, [true; 3], Some(&["c"]), &["c"]);
        check(Full, [true; 3], None, &[]);
        check(Nothing, [false; 3], Some(&["c"]), &["c"]);
    }
}
