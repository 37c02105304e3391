//! A piece of a snapshot on its way to a reader, and the report on its way back: all that an instance of its own needs.
//!
//! Both cross from one instance of this component to another of the same, so their form is nobody else's business.

use serde::{Deserialize, Serialize};

use super::queue::{Held, Pass, Piece, Report};
use crate::error::Error;
use crate::schema::{PgType, TableFacts};

/// A snapshot of the database that other transactions can take up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Where it stands in the log.
    pub lsn: u64,
    /// When it was taken, in microseconds since 1970.
    pub ts_us: i64,
    /// The first transaction that it cannot see.
    pub xid: u64,
}

/// How the rows of a table are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// `schema.table`, for people.
    pub path: String,
    /// Select list and table.
    pub select: String,
    /// The condition of the publication, if it has one.
    pub filter: Option<String>,
    /// The oldest transaction that was open when reading began.
    pub xmin: u64,
}

/// A piece for a reader.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Share {
    /// What to read.
    pub piece: Piece,
    /// In which snapshot.
    pub standing: Standing,
    /// How.
    pub selection: Selection,
    /// What the table is.
    pub facts: TableFacts,
    /// The types that its columns are made of.
    pub types: Vec<PgType>,
}

impl Share {
    /// The bytes to hand out.
    ///
    /// # Errors
    /// Never for what this component makes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|_| Error::Protocol("a share that cannot be written"))
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|_| Error::Protocol("a share that is not one of ours"))
    }
}

/// A report without the line of the row that is held back, which follows it.
#[derive(Serialize, Deserialize)]
struct Head {
    piece: (usize, Pass, u64),
    through: Option<u64>,
    rows: u64,
    done: bool,
    held: Option<u64>,
    facts: Option<TableFacts>,
}

impl Report {
    /// The bytes to hand back.
    ///
    /// # Errors
    /// Never for what this component makes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let held = self.held.as_ref();
        let head = Head {
            piece: self.piece,
            through: self.through,
            rows: self.rows,
            done: self.done,
            held: held.map(|row| row.address),
            facts: self.facts.clone(),
        };
        let mut bytes = serde_json::to_vec(&head).map_err(|_| Error::Protocol("a report that cannot be written"))?;
        bytes.push(b'\n');
        bytes.extend_from_slice(held.map_or(&[], |row| &row.line));
        Ok(bytes)
    }

    /// Reads [`to_bytes`](Self::to_bytes).
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let foreign = || Error::Protocol("a report that is not one of ours");
        let end = memchr::memchr(b'\n', bytes).ok_or_else(foreign)?;
        let (head, line) = bytes.split_at_checked(end).ok_or_else(foreign)?;
        let Head { piece, through, rows, done, held, facts } = serde_json::from_slice(head).map_err(|_| foreign())?;
        let line = line.get(1..).unwrap_or_default().to_vec();
        Ok(Self { piece, through, rows, done, held: held.map(|address| Held { address, line }), facts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_survive_the_way_whatever_a_row_holds() {
        let row = Held { address: 65_537, line: b"(1,1)\ta\\nb\t\xff\xfe\n".to_vec() };
        for held in [None, Some(row)] {
            let report = Report {
                piece: (3, Pass::Moved, 7),
                through: Some(9),
                rows: 2,
                done: held.is_some(),
                held,
                facts: None,
            };
            assert_eq!(Report::parse(&report.to_bytes().expect("bytes")).expect("a report"), report);
        }
        assert!(Report::parse(b"{}\n").is_err() && Report::parse(b"").is_err());
    }
}
