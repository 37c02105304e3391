//! Logging in: SASL's PLAIN and SCRAM, against users in a file.
//!
//! ```text
//! SaslHandshake ──> machine ──> exchange (plain, scram) ──> users
//! SaslAuthenticate ─┘  decides what a connection may do before, during and after
//! ```
//! Passwords are known by what SCRAM stores of them alone, and what is compared is compared in constant time. Whoever names a user that
//! does not exist is led through the same steps and refused at the end, with the same words.

mod exchange;
mod machine;
mod scram;
#[cfg(test)]
mod tests;
mod users;

use rand::rngs::StdRng;

pub(crate) use exchange::{Exchange, Step};
pub(crate) use machine::{Answer, Machine};
pub use users::{RestAccess, Users};

/// A SASL mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Mechanism {
    Plain,
    ScramSha256,
    ScramSha512,
}

impl Mechanism {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Plain, Self::ScramSha256, Self::ScramSha512];

    /// Its name in Kafka.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha512 => "SCRAM-SHA-512",
        }
    }

    /// The mechanism of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name() == name)
    }
}

/// Randomness of its own for each login.
pub(crate) type Random = StdRng;
