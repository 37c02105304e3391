//! Moving connectors between a Kafka Connect cluster and a log of ours, while neither runs them.
//!
//! ```text
//! three topics of Connect ─ ConnectState ─▶ Kept ─ Arrival ─▶ one commit in the log       import
//! the log's own three     ─ ConnectState ─▶ Kept ─────────▶ records for Connect's topics  export
//! ```
//! Both sides keep the same keys and JSON, so one reader reads both. Who reads a cluster and who writes files is no concern of this
//! folder. Invariant 2: positions that are here already give way to others only when an operator says so. Invariant 5: what
//! arrives is one commit.

mod arrival;
mod state;

pub use arrival::{Arrival, Standing, arrive, kept, standing};
pub use state::{ConnectState, Kept, Unread, config_records, offset_record_of, reads};
