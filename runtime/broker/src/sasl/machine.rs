//! What a connection may do before, during and after a login. Events in, answers out; no clock, no IO, no arithmetic of passwords.
//!
//! ```text
//!            SaslHandshake           token, token         the last token fits
//!   Stranger ─────────────> Choosing ────────────> ... ─────────────────────> LoggedIn ──> (again, before it expires)
//! ```
//! The login itself runs elsewhere, as it computes: the machine hands its exchange out and takes what came of it back.

use std::time::Duration;

use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::ApiKey;

use super::{Exchange, Mechanism, Step};
use crate::error::Hangup;

/// A connection on its way in.
pub(crate) struct Machine {
    offered: Vec<Mechanism>,
    protocol: &'static str,
    lifetime: Duration,
    state: State,
    /// Who has logged in, once someone has: another login is of the same user by the same mechanism.
    user: Option<(String, Mechanism)>,
}

enum State {
    Stranger,
    /// A mechanism is chosen and tokens follow, as requests or, with the oldest handshake, bare.
    Choosing {
        mechanism: Mechanism,
        exchange: Box<Exchange>,
        bare: bool,
    },
    /// The exchange is out, being computed.
    Away {
        mechanism: Mechanism,
    },
    LoggedIn {
        until: Option<Duration>,
    },
    Refused,
}

/// What a token is answered with.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The client goes on.
    Token(Vec<u8>),
    /// It is in, for so long.
    In { token: Vec<u8>, lifetime: Duration },
    /// It is out: told so, and hung up on.
    Out { code: Code, reason: String },
}

impl Machine {
    /// A stranger.
    pub(crate) fn new(offered: Vec<Mechanism>, protocol: &'static str, lifetime: Duration) -> Self {
        Self { offered, protocol, lifetime, state: State::Stranger, user: None }
    }

    /// Whether a login is done.
    pub(crate) fn is_in(&self) -> bool {
        self.user.is_some()
    }

    /// Who is in.
    pub(crate) fn user(&self) -> Option<&str> {
        self.user.as_ref().map(|(user, _)| user.as_str())
    }

    /// Whether what comes next is a token without the head of a request.
    pub(crate) fn takes_bare_tokens(&self) -> bool {
        matches!(self.state, State::Choosing { bare: true, .. })
    }

    /// Whether a request may be begun.
    pub(crate) fn admit(&self, key: i16, now: Duration) -> Result<(), Hangup> {
        let login = [ApiKey::ApiVersions, ApiKey::SaslHandshake, ApiKey::SaslAuthenticate];
        if login.iter().any(|allowed| *allowed as i16 == key) {
            return Ok(());
        }
        match &self.state {
            State::LoggedIn { until } if until.is_none_or(|until| now < until) => Ok(()),
            State::LoggedIn { .. } => Err(Hangup::LoginExpired),
            _ => Err(Hangup::NotLoggedIn { key, protocol: self.protocol }),
        }
    }

    /// The client chooses a mechanism.
    pub(crate) fn handshake(&mut self, wanted: &str, bare: bool) -> Result<(), Code> {
        if !matches!(self.state, State::Stranger | State::LoggedIn { .. }) {
            return Err(Code::IllegalSaslState);
        }
        let found = Mechanism::find(wanted).filter(|mechanism| self.offered.contains(mechanism));
        let mechanism = found.ok_or(Code::UnsupportedSaslMechanism)?;
        // Once in, a client speaks in requests.
        let bare = bare && self.user.is_none();
        self.state = State::Choosing { mechanism, exchange: Box::new(Exchange::new(mechanism)), bare };
        Ok(())
    }

    /// Hands the exchange out, which is to take the next token in.
    pub(crate) fn take(&mut self) -> Result<Box<Exchange>, Code> {
        match std::mem::replace(&mut self.state, State::Refused) {
            State::Choosing { mechanism, exchange, .. } => {
                self.state = State::Away { mechanism };
                Ok(exchange)
            }
            _ => Err(Code::IllegalSaslState),
        }
    }

    /// Takes back what came of a token.
    pub(crate) fn give(&mut self, exchange: Box<Exchange>, bare: bool, step: Step, now: Duration) -> Answer {
        let State::Away { mechanism } = self.state else {
            return Answer::Out { code: Code::IllegalSaslState, reason: "there is no login under way".to_owned() };
        };
        self.state = State::Refused;
        let out = |reason: &str| Answer::Out { code: Code::SaslAuthenticationFailed, reason: reason.to_owned() };
        match step {
            Step::Continue(token) => {
                self.state = State::Choosing { mechanism, exchange, bare };
                Answer::Token(token)
            }
            Step::Refused(reason) => out(reason),
            Step::Done { user, .. } if self.user.as_ref().is_some_and(|was| *was != (user.clone(), mechanism)) => {
                out("a connection stays with the user and the mechanism that it began with")
            }
            Step::Done { user, last } => {
                self.user = Some((user, mechanism));
                let until = (!self.lifetime.is_zero()).then(|| now + self.lifetime);
                self.state = State::LoggedIn { until };
                Answer::In { token: last, lifetime: self.lifetime }
            }
        }
    }
}
