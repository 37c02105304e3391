//! PostgreSQL's protocol: bytes in, messages out, and back.
//!
//! `inbound` cuts the byte stream into messages; `connection` logs in and runs control queries on it; `tuple`, `pgoutput`
//! and `copy` read rows out of replication and COPY messages without copying them, `streamed` the messages of
//!  transactions that are still open; `status` writes the standby's answers.
//! Nothing here knows schemas or values. Bytes from outside never panic.

mod connection;
mod copy;
mod cursor;
mod inbound;
mod login;
mod pgoutput;
mod status;
mod streamed;
mod tuple;

pub use connection::{Answer, Connection, Filled, Login, Row, SslMode};
pub use copy::{Ctid, read_copy_row};
pub use cursor::Cursor;
pub use inbound::{Frame, Inbound};
pub use pgoutput::{Message, OldTuple, RelationColumn, RelationMessage, ReplicaIdentity, read_delete, read_update};
pub use status::{POSTGRES_EPOCH_US, Replication, StandbyStatus, read_replication};
pub use streamed::Streamed;
pub use tuple::{Cell, Cells};
