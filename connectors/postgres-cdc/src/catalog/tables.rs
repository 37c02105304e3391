//! Tables as the catalog describes them: where their rows stand, their columns, their keys.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::{Catalog, Fields, Published, TableFile, identity};
use crate::error::Error;
use crate::schema::{ColumnFacts, TableFacts, choose_key};
use crate::wire::Row;

impl Catalog {
    /// The tables of a publication, with where their rows stand, sorted by name.
    pub fn published(&mut self, publication: &str) -> Result<Vec<Published>, Error> {
        let (columns, filter) =
            if self.version >= 150_000 { ("array_to_json(t.attnames)", "t.rowfilter") } else { ("NULL", "NULL") };
        let sql = format!(
            "SELECT c.oid, t.schemaname, t.tablename, {columns}, {filter}, c.relkind FROM pg_publication_tables t \
             JOIN pg_namespace n ON n.nspname = t.schemaname JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = t.tablename \
             WHERE t.pubname = {} ORDER BY 2, 3",
            escape_literal(publication)
        );
        let mut tables = Vec::new();
        for row in self.query(&sql)? {
            let mut fields = Fields(row.into_iter());
            let (oid, schema, name) = (fields.number()?, fields.text()?, fields.text()?);
            let columns = fields.optional().and_then(|list| serde_json::from_str(&list).ok());
            let row_filter = fields.optional();
            let files = self.files(oid, fields.text()? == "p")?;
            tables.push(Published { oid, schema, name, columns, row_filter, files });
        }
        Ok(tables)
    }

    fn files(&mut self, oid: u32, partitioned: bool) -> Result<Vec<TableFile>, Error> {
        let which = if partitioned {
            format!("c.oid IN (SELECT relid FROM pg_partition_tree({oid}) WHERE isleaf)")
        } else {
            format!("c.oid = {oid}")
        };
        let sql = format!(
            "SELECT c.oid, n.nspname, c.relname, coalesce(pg_relation_filenode(c.oid), 0), s.blocks, \
             CASE WHEN c.relpages > 0 THEN c.reltuples * s.blocks / c.relpages ELSE c.reltuples END, \
             coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0) > 0 \
             FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (SELECT \
             coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::bigint AS blocks) s \
             WHERE {which} ORDER BY 2, 3"
        );
        self.query(&sql)?
            .into_iter()
            .map(|row| {
                let mut fields = Fields(row.into_iter());
                let oid = fields.number()?;
                let (schema, name) = (fields.text()?, fields.text()?);
                Ok(TableFile {
                    oid,
                    path: format!("{schema}.{name}"),
                    quoted: format!("{}.{}", escape_identifier(&schema), escape_identifier(&name)),
                    file: fields.number()?,
                    blocks: fields.number()?,
                    rows: fields.number::<f64>()?.max(0.0),
                    toasted: fields.flag()?,
                })
            })
            .collect()
    }

    /// Whether a table is there, whatever its name is by now.
    pub fn exists(&mut self, oid: u32) -> Result<bool, Error> {
        Ok(!self.query(&format!("SELECT FROM pg_class WHERE oid = {oid}"))?.is_empty())
    }

    /// What the catalog says of a table now; none when it is gone. Columns that the stream cannot carry are left out.
    pub fn table(&mut self, oid: u32) -> Result<Option<TableFacts>, Error> {
        let sql = format!(
            "SELECT n.nspname, c.relname, c.relreplident FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = {oid}"
        );
        let Some(row) = self.query(&sql)?.into_iter().next() else { return Ok(None) };
        let mut fields = Fields(row.into_iter());
        let (schema, name) = (fields.text()?, fields.text()?);
        let identity = identity(&fields.text()?);
        let columns = self.columns(oid)?;
        let keys = self.keys(oid)?;
        let key_deferrable = keys.iter().any(|(_, kind)| *kind == KeyKind::Deferrable);
        let of = |wanted: &[KeyKind]| -> Vec<String> {
            keys.iter().filter(|(_, kind)| wanted.contains(kind)).map(|(name, _)| name.clone()).collect()
        };
        let key = choose_key(identity, of(&[KeyKind::Primary, KeyKind::Deferrable]), of(&[KeyKind::Identity]));
        let types = columns.iter().map(|column: &ColumnFacts| column.type_oid).collect::<Vec<_>>();
        self.learn_types(&types)?;
        Ok(Some(TableFacts { oid, schema, name, identity, columns, key, key_deferrable }))
    }

    fn columns(&mut self, oid: u32) -> Result<Vec<ColumnFacts>, Error> {
        // Before version 18 no publication carries generated columns; since then it says which it does.
        let generated = if (120_000..180_000).contains(&self.version) { "AND a.attgenerated = ''" } else { "" };
        let sql = format!(
            "SELECT a.attname, a.atttypid, a.atttypmod, a.attnotnull OR t.typnotnull, a.attndims, pg_get_expr(d.adbin, d.adrelid) \
             FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid \
             LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
             WHERE a.attrelid = {oid} AND a.attnum > 0 AND NOT a.attisdropped {generated} ORDER BY a.attnum"
        );
        self.query(&sql)?
            .into_iter()
            .enumerate()
            .map(|(place, row)| {
                let mut fields = Fields(row.into_iter());
                Ok(ColumnFacts {
                    name: fields.text()?,
                    type_oid: fields.number()?,
                    modifier: fields.number()?,
                    optional: !fields.flag()?,
                    dimensions: fields.number()?,
                    default: fields.optional(),
                    elements_optional: false,
                    labels_open: false,
                    place,
                })
            })
            .collect()
    }

    /// The columns of the primary key, and those of the index that is the replica identity, each in their order.
    fn keys(&mut self, oid: u32) -> Result<Vec<(String, KeyKind)>, Error> {
        let own = if self.version >= 110_000 { "AND k.place <= i.indnkeyatts" } else { "" };
        // A primary key that is the replica identity as well stands twice.
        let sql = format!(
            "SELECT a.attname, r.kind FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(number, place), pg_attribute a, \
             (VALUES ('primary'), ('deferrable'), ('identity')) r(kind) \
             WHERE i.indrelid = {oid} AND a.attrelid = {oid} AND a.attnum = k.number {own} AND CASE r.kind \
             WHEN 'primary' THEN i.indisprimary AND i.indimmediate WHEN 'deferrable' THEN i.indisprimary AND NOT i.indimmediate \
             ELSE i.indisreplident END ORDER BY k.place"
        );
        let read = |row: Row| {
            let mut fields = Fields(row.into_iter());
            let name = fields.text()?;
            let kind = match fields.text()?.as_str() {
                "primary" => KeyKind::Primary,
                "deferrable" => KeyKind::Deferrable,
                _ => KeyKind::Identity,
            };
            Ok((name, kind))
        };
        self.query(&sql)?.into_iter().map(read).collect()
    }
}

/// Of which index a column is part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyKind {
    /// The primary key.
    Primary,
    /// The primary key, checked late.
    Deferrable,
    /// The replica identity.
    Identity,
}
