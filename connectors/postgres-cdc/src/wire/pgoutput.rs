//! The messages of the output plugin `pgoutput`, protocol versions 1 and 2. What version 2 puts into the blocks of streamed
//! transactions is in `streamed`.
//!
//! Row changes are not parsed here beyond their heads: the tuples that follow are read into [`Cells`](crate::wire::Cells),
//! which are kept from row to row.

use crate::error::Error;
use crate::wire::{Cell, Cells, Cursor};

/// What a table puts into the log of the row as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum ReplicaIdentity {
    /// The primary key.
    Default,
    /// Nothing.
    Nothing,
    /// The whole row.
    Full,
    /// The columns of an index.
    Index,
}

/// The tuple of an old row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldTuple {
    /// There is none.
    Absent,
    /// Only the columns of the replica identity are filled.
    Key,
    /// All columns are filled.
    Full,
}

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationColumn {
    /// Whether it belongs to the replica identity.
    pub identity: bool,
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_oid: u32,
    /// What modifies the type, such as precision and scale, or -1.
    pub type_modifier: i32,
}

/// What the server says of a table before it sends rows of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationMessage {
    /// Its oid.
    pub oid: u32,
    /// Its schema.
    pub schema: String,
    /// Its name.
    pub name: String,
    /// What it puts into the log of old rows.
    pub identity: ReplicaIdentity,
    /// Its columns, in the order of tuples.
    pub columns: Vec<RelationColumn>,
}

/// One message of the plugin.
#[derive(Clone, Debug)]
pub enum Message<'a> {
    /// A transaction begins.
    Begin {
        /// Where its commit stands in the log.
        commit_lsn: u64,
        /// When it was committed, in microseconds since 2000-01-01.
        commit_us: i64,
        /// Its number.
        xid: u32,
    },
    /// It ends.
    Commit {
        /// The end of its commit in the log.
        end_lsn: u64,
    },
    /// Where the transaction came from, on a server that is itself a replica.
    Origin {
        /// The commit's position there.
        lsn: u64,
        /// The name of the origin.
        name: &'a str,
    },
    /// A table of which rows follow.
    Relation(RelationMessage),
    /// A row was inserted; its tuple follows.
    Insert(u32, Cursor<'a>),
    /// A row was changed; the kind of the old tuple, and the tuples, follow.
    Update(u32, Cursor<'a>),
    /// A row was deleted; the kind of the old tuple and the tuple follow.
    Delete(u32, Cursor<'a>),
    /// Tables were emptied.
    Truncate(Vec<u32>),
    /// A message that an application put into the log.
    Logical {
        /// Whether it belongs to the transaction around it.
        transactional: bool,
        /// What kind of message it is, by the application's own rules.
        prefix: &'a str,
        /// What it says.
        content: &'a [u8],
    },
    /// A data type of its own, which the catalog tells better.
    Type,
    /// A block of a transaction that is still open begins.
    StreamStart {
        /// The transaction's number.
        xid: u32,
        /// Whether it is the transaction's first block.
        is_first: bool,
    },
    /// A transaction, or one of its subtransactions, of which blocks were sent is undone.
    StreamAbort {
        /// The transaction's number.
        xid: u32,
        /// The subtransaction's number, or the transaction's own.
        subxid: u32,
    },
    /// A transaction of which blocks were sent ends.
    StreamCommit {
        /// The transaction's number.
        xid: u32,
        /// Where its commit stands in the log.
        commit_lsn: u64,
        /// The end of its commit in the log.
        end_lsn: u64,
        /// When it was committed, in microseconds since 2000-01-01.
        commit_us: i64,
    },
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is malformed or of a kind that was not asked for.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        Ok(match cursor.u8()? {
            b'I' => {
                let oid = cursor.u32()?;
                expect(&mut cursor, b'N')?;
                Self::Insert(oid, cursor)
            }
            b'U' => Self::Update(cursor.u32()?, cursor),
            b'D' => Self::Delete(cursor.u32()?, cursor),
            b'B' => Self::Begin { commit_lsn: cursor.u64()?, commit_us: cursor.i64()?, xid: cursor.u32()? },
            b'C' => {
                cursor.take(9)?;
                Self::Commit { end_lsn: cursor.u64()? }
            }
            b'R' => Self::Relation(read_relation(&mut cursor)?),
            b'O' => Self::Origin { lsn: cursor.u64()?, name: cursor.string()? },
            b'T' => {
                let count = cursor.u32()?;
                cursor.u8()?;
                Self::Truncate((0..count).map(|_| cursor.u32()).collect::<Result<_, _>>()?)
            }
            b'M' => {
                let transactional = cursor.u8()? & 1 == 1;
                cursor.u64()?;
                let prefix = cursor.string()?;
                let length = cursor.u32()? as usize;
                Self::Logical { transactional, prefix, content: cursor.take(length)? }
            }
            b'Y' => Self::Type,
            b'S' => Self::StreamStart { xid: cursor.u32()?, is_first: cursor.u8()? == 1 },
            b'A' => Self::StreamAbort { xid: cursor.u32()?, subxid: cursor.u32()? },
            b'c' => {
                let xid = cursor.u32()?;
                cursor.u8()?;
                let (commit_lsn, end_lsn) = (cursor.u64()?, cursor.u64()?);
                Self::StreamCommit { xid, commit_lsn, end_lsn, commit_us: cursor.i64()? }
            }
            _ => return Err(Error::Protocol("a pgoutput message of unknown kind")),
        })
    }
}

/// Reads the tuples of an update. Unchanged values of the new row are taken from the old one where that is whole.
///
/// # Errors
/// When the message is malformed.
#[inline]
pub fn read_update(cursor: &mut Cursor<'_>, old: &mut Cells, new: &mut Cells) -> Result<OldTuple, Error> {
    let mut kind = OldTuple::Absent;
    let mut tag = cursor.u8()?;
    if tag != b'N' {
        kind = old_kind(tag)?;
        old.read_tuple(cursor)?;
        if kind == OldTuple::Key {
            old.set_nulls_absent();
        }
        tag = cursor.u8()?;
    }
    if tag != b'N' {
        return Err(Error::Protocol("an update without a new row"));
    }
    new.read_tuple(cursor)?;
    if kind == OldTuple::Full {
        for (new, old) in new.0.iter_mut().zip(&old.0) {
            if *new == Cell::Unchanged {
                new.clone_from(old);
            }
        }
    }
    Ok(kind)
}

/// Reads the tuple of a delete.
///
/// # Errors
/// When the message is malformed.
#[inline]
pub fn read_delete(cursor: &mut Cursor<'_>, old: &mut Cells) -> Result<OldTuple, Error> {
    let kind = old_kind(cursor.u8()?)?;
    old.read_tuple(cursor)?;
    if kind == OldTuple::Key {
        old.set_nulls_absent();
    }
    Ok(kind)
}

fn old_kind(tag: u8) -> Result<OldTuple, Error> {
    match tag {
        b'K' => Ok(OldTuple::Key),
        b'O' => Ok(OldTuple::Full),
        _ => Err(Error::Protocol("an old row of unknown kind")),
    }
}

fn expect(cursor: &mut Cursor<'_>, tag: u8) -> Result<(), Error> {
    if cursor.u8()? == tag { Ok(()) } else { Err(Error::Protocol("a change without its row")) }
}

fn read_relation(cursor: &mut Cursor<'_>) -> Result<RelationMessage, Error> {
    let oid = cursor.u32()?;
    let schema = cursor.string()?;
    // The plugin sends an empty name for the system's own schema.
    let schema = if schema.is_empty() { "pg_catalog" } else { schema }.to_owned();
    let name = cursor.string()?.to_owned();
    let identity = match cursor.u8()? {
        b'd' => ReplicaIdentity::Default,
        b'n' => ReplicaIdentity::Nothing,
        b'f' => ReplicaIdentity::Full,
        b'i' => ReplicaIdentity::Index,
        _ => return Err(Error::Protocol("a replica identity of unknown kind")),
    };
    let columns = (0..cursor.u16()?)
        .map(|_| {
            Ok(RelationColumn {
                identity: cursor.u8()? & 1 == 1,
                name: cursor.string()?.to_owned(),
                type_oid: cursor.u32()?,
                type_modifier: cursor.i32()?,
            })
        })
        .collect::<Result<_, Error>>()?;
    Ok(RelationMessage { oid, schema, name, identity, columns })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(bytes: &[u8]) -> Result<(), Error> {
        let (mut old, mut new) = (Cells::default(), Cells::default());
        match Message::read(bytes)? {
            Message::Insert(_, mut cursor) => new.read_tuple(&mut cursor),
            Message::Update(_, mut cursor) => read_update(&mut cursor, &mut old, &mut new).map(|_| ()),
            Message::Delete(_, mut cursor) => read_delete(&mut cursor, &mut old).map(|_| ()),
            _ => Ok(()),
        }
    }

    #[test]
    fn an_update_takes_unchanged_values_from_a_whole_old_row() {
        let bytes = b"U\0\0\0\x01O\0\x02t\0\0\0\x011t\0\0\0\x03bigN\0\x02t\0\0\0\x012u";
        let (mut old, mut new) = (Cells::default(), Cells::default());
        let Ok(Message::Update(1, mut cursor)) = Message::read(bytes) else { panic!("no update") };
        assert_eq!(read_update(&mut cursor, &mut old, &mut new), Ok(OldTuple::Full));
        assert_eq!(new.0[1], old.0[1]);
        assert!(cursor.is_at_end());
    }

    #[test]
    fn messages_cut_short_are_refused() {
        let relation = b"R\0\0\0\x07public\0t\0d\0\x01\x01id\0\0\0\0\x17\xff\xff\xff\xff";
        let update = b"U\0\0\0\x01K\0\x01t\0\0\0\x011N\0\x01n";
        let commit = b"c\0\0\0\x07\0\0\0\0\0\0\0\0\x10\0\0\0\0\0\0\0\x20\0\0\0\0\0\0\0\x30";
        for whole in [&relation[..], update, commit, b"S\0\0\0\x07\x01", b"A\0\0\0\x07\0\0\0\x08"] {
            assert!(read_all(whole).is_ok());
            for cut in 0..whole.len() {
                assert!(read_all(&whole[..cut]).is_err(), "cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), tag in 0usize..13) {
            if let (Some(first), Some(tag)) = (bytes.first_mut(), b"IUDBCROTMYSAc".get(tag)) {
                *first = *tag;
            }
            let _ = read_all(&bytes);
        }
    }
}
