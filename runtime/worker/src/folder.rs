//! What applying the folder came to. The steps themselves are planned by `config`; the supervisor carries them out.

use towpath_config::{Finding, Step};

/// The answer to applying a reading of the folder.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// The steps that were carried out, in order; none when nothing had changed.
    pub steps: Vec<Step>,
    /// Everything found in the files.
    pub findings: Vec<Finding>,
}
