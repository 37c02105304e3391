//! Types as the catalog describes them, learnt once; an enum's labels are looked up again when one appears that is not known.

use std::sync::Arc;

use super::{Catalog, Fields};
use crate::config::Settings;
use crate::error::Error;
use crate::network::Level;
use crate::schema::{Misfit, MisfitKind, PgType, Table, TypeKind};

impl Catalog {
    /// Learns types that are not known yet, and those they are made of. Types that the catalog does not know any more are
    /// remembered as gone.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn learn_types(&mut self, oids: &[u32]) -> Result<(), Error> {
        // Each round learns one layer of domains and arrays.
        for _ in 0..8 {
            let missing = self.types.missing(oids.iter().copied());
            if missing.is_empty() {
                break;
            }
            for known in self.look_up(&missing)? {
                self.types.insert(known);
            }
            for oid in missing {
                if self.types.name(oid).is_none() {
                    self.types.insert(PgType { oid, name: String::new(), kind: TypeKind::Gone });
                }
            }
        }
        Ok(())
    }

    fn look_up(&mut self, oids: &[u32]) -> Result<Vec<PgType>, Error> {
        let list = oids.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
        // An array type is one that its element names; a few older types look like arrays and are not.
        let sql = format!(
            "SELECT t.oid, t.typname, t.typtype, e.oid, e.typdelim, t.typbasetype, t.typtypmod, \
             (SELECT json_agg(l.enumlabel ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid) \
             FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid WHERE t.oid IN ({list})"
        );
        self.query(&sql)?.into_iter().map(|row| read_type(Fields(row.into_iter()))).collect()
    }

    /// A version of the table whose schema has room for the misfit.
    ///
    /// # Errors
    /// When the catalog cannot be read.
    pub fn make_room(&mut self, table: &Table, misfit: &Misfit, settings: &Settings) -> Result<Arc<Table>, Error> {
        let learnt = misfit.kind == MisfitKind::Label && self.learn_labels(table, &misfit.column)?;
        if !learnt {
            self.host
                .log(Level::Info, format_args!("{misfit}; the schema of its records has room for that from here on"));
        }
        let facts = table.facts.with_room_for(misfit, learnt);
        Ok(Arc::new(Table::new(facts, &self.types, &settings.names, &settings.values)))
    }

    /// Looks up the labels of a column's enum; answers whether there are new ones.
    fn learn_labels(&mut self, table: &Table, column: &str) -> Result<bool, Error> {
        let column = table.facts.columns.iter().find(|known| known.name == column);
        let Some(known) = column.and_then(|column| self.types.enum_within(column.type_oid)).cloned() else {
            return Ok(false);
        };
        let found = self.look_up(&[known.oid])?.into_iter().next();
        let Some(found) = found.filter(|found| found.kind != known.kind) else { return Ok(false) };
        self.types.insert(found);
        Ok(true)
    }
}

fn read_type(mut fields: Fields) -> Result<PgType, Error> {
    let (oid, name, form) = (fields.number()?, fields.text()?, fields.text()?);
    let (element, delimiter) = (fields.optional(), fields.optional());
    let (base, modifier) = (fields.number()?, fields.number()?);
    let kind = match (form.as_str(), element.and_then(|oid| oid.parse().ok())) {
        ("e", _) => {
            let labels = fields.optional().and_then(|labels| serde_json::from_str(&labels).ok());
            TypeKind::Enum(labels.unwrap_or_default())
        }
        ("d", _) => TypeKind::Domain { base, modifier },
        (_, Some(element)) => {
            let delimiter = delimiter.and_then(|text| text.bytes().next()).unwrap_or(b',');
            TypeKind::Array { element, delimiter }
        }
        _ => TypeKind::Base,
    };
    // Composite types and ranges of one's own have names that might be those of a built-in type.
    let name = if form == "c" || (form == "b" || form == "r") && oid >= 16_384 && is_builtin(&name) {
        format!("{form}:{name}")
    } else {
        name
    };
    Ok(PgType { oid, name, kind })
}

/// Names that mean a built-in type; a type of one's own may not take them.
fn is_builtin(name: &str) -> bool {
    !matches!(
        name,
        "citext" | "hstore" | "ltree" | "isbn" | "geometry" | "geography" | "vector" | "halfvec" | "sparsevec"
    )
}
