//! The command that begins replication.

use postgres_protocol::escape::escape_identifier;

use crate::config::Settings;
use crate::offset::show_lsn;

/// From this version on the server can send open transactions, and messages of applications.
pub const STREAMING_SINCE: u32 = 140_000;

/// Streamed transactions need version 2 of the protocol, which is version 1 otherwise.
pub(super) fn command(settings: &Settings, version: u32, lsn: u64, is_streaming: bool) -> String {
    let slot = escape_identifier(&settings.slot);
    let names = escape_identifier(&settings.publication).replace('\'', "''");
    let options = match (version >= STREAMING_SINCE, is_streaming) {
        (true, true) => "\"proto_version\" '2', \"streaming\" 'on', \"messages\" 'true'",
        (true, false) => "\"proto_version\" '1', \"messages\" 'true'",
        (false, _) => "\"proto_version\" '1'",
    };
    let from = show_lsn(lsn);
    format!("START_REPLICATION SLOT {slot} LOGICAL {from} ({options}, \"publication_names\" '{names}')")
}
