//! Messages inside a block of a streamed transaction: those of other transactions, with the number of the transaction or
//! subtransaction that they belong to put between kind and body.

use crate::error::Error;
use crate::wire::Cursor;

/// One message of a block. Bodies are those of [`Message`](crate::wire::Message), without the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Streamed<'a> {
    /// A change, a message of an application, or the description of a type.
    Change {
        /// The transaction or subtransaction. For a message of an application always the transaction.
        xid: u32,
        /// Which kind of message it is.
        kind: u8,
        /// Its body.
        rest: &'a [u8],
    },
    /// A table of which rows follow in this transaction.
    Relation {
        /// The transaction or subtransaction.
        xid: u32,
        /// The table.
        oid: u32,
        /// Its body.
        rest: &'a [u8],
    },
    /// Where the transaction came from, on a server that is itself a replica. Where its commit stands there is not known yet.
    Origin {
        /// The name of the origin.
        name: &'a str,
    },
    /// The block ends.
    Stop,
}

impl<'a> Streamed<'a> {
    /// Reads the head of a message.
    ///
    /// # Errors
    /// When it is malformed or of a kind that no block has.
    #[inline]
    pub fn read(bytes: &'a [u8]) -> Result<Self, Error> {
        let mut cursor = Cursor::new(bytes);
        Ok(match cursor.u8()? {
            kind @ (b'I' | b'U' | b'D' | b'T' | b'M' | b'Y') => {
                Self::Change { xid: cursor.u32()?, kind, rest: cursor.rest() }
            }
            b'R' => {
                let xid = cursor.u32()?;
                let rest = cursor.rest();
                Self::Relation { xid, oid: cursor.u32()?, rest }
            }
            b'O' => {
                cursor.u64()?;
                Self::Origin { name: cursor.string()? }
            }
            b'E' => Self::Stop,
            _ => return Err(Error::Protocol("a message of a kind that no streamed transaction has")),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_number_is_taken_out_from_between_kind_and_body() {
        let insert = Streamed::read(b"I\0\0\x02\xdd\0\0\0\x01N\0\0");
        assert_eq!(insert, Ok(Streamed::Change { xid: 733, kind: b'I', rest: b"\0\0\0\x01N\0\0" }));
        let relation = Streamed::read(b"R\0\0\x02\xdd\0\0\x40\x01rest");
        assert_eq!(relation, Ok(Streamed::Relation { xid: 733, oid: 0x4001, rest: b"\0\0\x40\x01rest" }));
        assert_eq!(Streamed::read(b"O\0\0\0\0\0\0\0\0there\0"), Ok(Streamed::Origin { name: "there" }));
        assert_eq!(Streamed::read(b"E"), Ok(Streamed::Stop));
        for none in [&b"B\0\0\0\0"[..], b"", b"I\0\0", b"R\0\0\0\x01\0"] {
            assert!(Streamed::read(none).is_err(), "{none:?}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..50)) {
            let _ = Streamed::read(&bytes);
        }
    }
}
