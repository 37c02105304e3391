//! The members of a group on their way from one protocol to the other, and which ways are open.

use std::time::Duration;

use bytes::Bytes;

/// Which groups may change from one protocol to the other while they have members (`group.consumer.migration.policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Groups of the classic protocol become ones of the newer, and the other way round.
    #[default]
    Bidirectional,
    /// Only to the newer protocol.
    Upgrade,
    /// Only to the classic protocol.
    Downgrade,
    /// None.
    Disabled,
}

impl MigrationPolicy {
    pub(crate) fn upgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Upgrade)
    }

    pub(crate) fn downgrades(self) -> bool {
        matches!(self, Self::Bidirectional | Self::Downgrade)
    }
}

/// A group whose members all speak the classic protocol.
#[derive(Clone, Debug)]
pub(crate) struct Handover {
    pub(crate) generation: i32,
    pub(crate) protocol_type: String,
    pub(crate) members: Vec<HandedOver>,
}

/// One of its members.
#[derive(Clone, Debug)]
pub(crate) struct HandedOver {
    pub(crate) member_id: String,
    pub(crate) instance: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) session: Duration,
    pub(crate) rebalance: Duration,
    pub(crate) protocols: Vec<(String, Bytes)>,
    /// What it reads, where that is known.
    pub(crate) assignment: Bytes,
}
