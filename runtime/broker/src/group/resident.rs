//! Groups whose members live in this process: the sinks of the worker, which read the log directly and commit to `connect-<name>`.
//!
//! Clients see them like any others, and are kept from moving their offsets while they run.

use kafka_protocol::error::ResponseError as Code;
use towpath_model::TopicPartition;

use super::consumer_protocol::{CONSUMER, assignment, subscription};
use super::machine::{Described, DescribedMember, State};

/// The names that such groups have, as Connect gives them.
const PREFIX: &str = "connect-";

/// Whoever houses groups.
pub trait Residents: std::fmt::Debug + Send + Sync {
    /// Whether it is known which there are; before that nobody else may change what could be one of them.
    fn is_ready(&self) -> bool;
    /// All of them, also those that are stopped.
    fn groups(&self) -> Vec<ResidentGroup>;
}

/// A group that lives here.
#[derive(Clone, Debug)]
pub struct ResidentGroup {
    /// Its name.
    pub group: String,
    /// Who reads for it now.
    pub members: Vec<ResidentMember>,
}

/// A member of such a group.
#[derive(Clone, Debug)]
pub struct ResidentMember {
    /// Its id.
    pub member_id: String,
    /// What it is called.
    pub client_id: String,
    /// What it reads.
    pub partitions: Vec<TopicPartition>,
}

/// Whether someone who does not live here may change a group that may.
pub(crate) fn may_change(residents: Option<&dyn Residents>, group: &str, refusal: Code) -> Result<(), Code> {
    let Some(residents) = residents.filter(|_| group.starts_with(PREFIX)) else { return Ok(()) };
    if !residents.is_ready() {
        return Err(Code::CoordinatorLoadInProgress);
    }
    let runs = |one: ResidentGroup| one.group == group && !one.members.is_empty();
    if residents.groups().into_iter().any(runs) { Err(refusal) } else { Ok(()) }
}

impl ResidentGroup {
    /// The group as it is described to tools.
    pub(crate) fn described(self) -> Described {
        let state = if self.members.is_empty() { State::Empty } else { State::Stable };
        let member = |member: ResidentMember| DescribedMember {
            metadata: subscription(&member.partitions),
            assignment: assignment(&member.partitions),
            member_id: member.member_id,
            instance: None,
            client_id: member.client_id,
            client_host: "/127.0.0.1".to_owned(),
        };
        let members = self.members.into_iter().map(member).collect();
        Described { state, protocol_type: CONSUMER.to_owned(), protocol: "range".to_owned(), members }
    }
}
