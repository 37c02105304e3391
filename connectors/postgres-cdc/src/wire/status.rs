//! What travels inside a replication stream beside changes: keepalives from the server, status from us.

use crate::error::Error;
use crate::wire::Cursor;

/// The body of one CopyData message of a replication stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replication<'a> {
    /// A message of the output plugin, and the position in the log it belongs to.
    Data {
        /// Where the change stands.
        lsn: u64,
        /// The plugin's message.
        message: &'a [u8],
    },
    /// The server is alive.
    Keepalive {
        /// All that commits before this position has been sent.
        wal_end: u64,
        /// Whether it wants an answer at once.
        reply: bool,
    },
}

/// Reads the body of a CopyData message.
///
/// # Errors
/// When it is malformed.
#[inline]
pub fn read_replication(body: &[u8]) -> Result<Replication<'_>, Error> {
    let mut cursor = Cursor::new(body);
    match cursor.u8()? {
        b'w' => {
            let lsn = cursor.u64()?;
            cursor.take(16)?;
            Ok(Replication::Data { lsn, message: cursor.rest() })
        }
        b'k' => {
            let wal_end = cursor.u64()?;
            cursor.i64()?;
            Ok(Replication::Keepalive { wal_end, reply: cursor.u8()? == 1 })
        }
        _ => Err(Error::Protocol("a replication message of unknown kind")),
    }
}

/// Our answer: how far we have read, and how far everything is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyStatus {
    /// How far the log has been received.
    pub received: u64,
    /// How far it is durable downstream. Invariant 1: never beyond what was committed there.
    pub durable: u64,
    /// Microseconds since the Unix epoch.
    pub now_us: i64,
    /// Whether the server should answer with a keepalive at once.
    pub reply: bool,
}

/// Microseconds between the Unix epoch and PostgreSQL's, 2000-01-01.
pub const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

impl StandbyStatus {
    /// The whole CopyData message.
    pub fn to_bytes(self) -> [u8; 39] {
        let mut bytes = [0u8; 39];
        let body = [
            (0, &b"d"[..]),
            (1, &38u32.to_be_bytes()[..]),
            (5, b"r"),
            (6, &self.received.max(self.durable).to_be_bytes()),
            (14, &self.durable.to_be_bytes()),
            (22, &self.durable.to_be_bytes()),
            (30, &(self.now_us - POSTGRES_EPOCH_US).to_be_bytes()),
            (38, &[u8::from(self.reply)]),
        ];
        for (at, part) in body {
            bytes[at..at + part.len()].copy_from_slice(part);
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_has_the_layout_of_the_documentation() {
        let status = StandbyStatus { received: 0x1122, durable: 0x33, now_us: POSTGRES_EPOCH_US + 5, reply: true };
        let bytes = status.to_bytes();
        assert_eq!(bytes[..6], *b"d\0\0\0\x26r");
        assert_eq!(bytes[6..14], 0x1122u64.to_be_bytes());
        assert_eq!(bytes[14..22], 0x33u64.to_be_bytes());
        assert_eq!(bytes[22..30], 0x33u64.to_be_bytes());
        assert_eq!(bytes[30..], [0, 0, 0, 0, 0, 0, 0, 5, 1]);
    }

    #[test]
    fn truncated_messages_are_refused() {
        let keepalive = [&b"k"[..], &7u64.to_be_bytes(), &[0; 8], &[1]].concat();
        assert_eq!(read_replication(&keepalive), Ok(Replication::Keepalive { wal_end: 7, reply: true }));
        for cut in 0..keepalive.len() {
            assert!(read_replication(&keepalive[..cut]).is_err());
        }
        assert!(read_replication(b"z").is_err());
    }
}
