//! What is known of one connection: where it came in, and who has logged in over it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError as Code;
use kafka_protocol::messages::{SaslAuthenticateResponse, SaslHandshakeResponse};
use kafka_protocol::protocol::StrBytes;
use rand::SeedableRng;

use crate::call::Call;
use crate::error::Hangup;
use crate::listener::Listener;
use crate::node::Node;
use crate::sasl::{Answer, Machine, Random, Step};

/// How long a refused login waits for its answer, so that guessing is slow.
const REFUSAL_DELAY: Duration = Duration::from_millis(100);

/// Where a request comes from.
pub(crate) struct Origin {
    pub(crate) listener: Arc<Listener>,
    /// The two ends of its connection.
    pub(crate) local: SocketAddr,
    pub(crate) peer: SocketAddr,
}

impl Origin {
    /// The address that its client is told to connect to.
    pub(crate) fn endpoint(&self) -> (StrBytes, i32) {
        self.listener.endpoint(self.local)
    }
}

/// A connection's way in, where there is one to go.
pub(crate) struct Session {
    pub(crate) origin: Arc<Origin>,
    login: Option<Machine>,
}

/// An answer, and whether the connection ends with it.
type Answered = (Bytes, Option<Hangup>);

impl Session {
    pub(crate) fn new(origin: Arc<Origin>, node: &Node) -> Self {
        let listener = &origin.listener;
        let login = listener
            .protocol
            .is_sasl()
            .then(|| Machine::new(listener.mechanisms.clone(), listener.protocol.name(), node.config.session_lifetime));
        Self { origin, login }
    }

    /// Whether the client may do everything.
    pub(crate) fn is_in(&self) -> bool {
        self.login.as_ref().is_none_or(Machine::is_in)
    }

    /// Whether a request may be begun.
    pub(crate) fn admit(&self, key: i16, node: &Node) -> Result<(), Hangup> {
        self.login.as_ref().map_or(Ok(()), |login| login.admit(key, node.clock.monotonic()))
    }

    /// Whether what comes next is a token without the head of a request.
    pub(crate) fn takes_bare_tokens(&self) -> bool {
        self.login.as_ref().is_some_and(Machine::takes_bare_tokens)
    }

    /// SaslHandshake: the client chooses a mechanism.
    pub(crate) fn handshake(&mut self, call: &Call) -> Result<Bytes, Hangup> {
        let request: kafka_protocol::messages::SaslHandshakeRequest = call.decode()?;
        let chosen = match &mut self.login {
            Some(login) => login.handshake(&request.mechanism, call.version == 0),
            None => Err(Code::IllegalSaslState),
        };
        let names = self.origin.listener.mechanisms.iter().map(|one| StrBytes::from_static_str(one.name()));
        let answer = SaslHandshakeResponse::default().with_mechanisms(names.collect());
        call.encode(&answer.with_error_code(chosen.err().map_or(0, |code| code.code())))
    }

    /// SaslAuthenticate: a token as a request.
    pub(crate) async fn authenticate(&mut self, call: &Call, node: &Node) -> Result<Answered, Hangup> {
        let request: kafka_protocol::messages::SaslAuthenticateRequest = call.decode()?;
        let answer = SaslAuthenticateResponse::default().with_error_message(None);
        let (answer, hangup) = match self.token(request.auth_bytes, false, node).await {
            Answer::Token(token) => (answer.with_auth_bytes(token.into()), None),
            Answer::In { token, lifetime } => {
                let lifetime_ms = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
                (answer.with_auth_bytes(token.into()).with_session_lifetime_ms(lifetime_ms), None)
            }
            Answer::Out { code, reason } => {
                let words = StrBytes::from_string(reason.clone());
                let answer = answer.with_error_code(code.code()).with_error_message(Some(words));
                (answer, Some(Hangup::LoginRefused(reason)))
            }
        };
        Ok((call.encode(&answer)?, hangup))
    }

    /// A bare token, as follows the oldest handshake: answered bare, and a refusal not at all.
    pub(crate) async fn bare_token(&mut self, token: Bytes, node: &Node) -> Result<Bytes, Hangup> {
        let token = match self.token(token, true, node).await {
            Answer::Token(token) | Answer::In { token, .. } => token,
            Answer::Out { reason, .. } => return Err(Hangup::LoginRefused(reason)),
        };
        let mut out = BytesMut::with_capacity(4 + token.len());
        out.put_u32(u32::try_from(token.len()).unwrap_or(0));
        out.extend_from_slice(&token);
        Ok(out.freeze())
    }

    async fn token(&mut self, token: Bytes, bare: bool, node: &Node) -> Answer {
        let illegal = || Answer::Out { code: Code::IllegalSaslState, reason: "it has not said how".to_owned() };
        let (Some(login), Some(users)) = (&mut self.login, &node.users) else { return illegal() };
        let Ok(mut exchange) = login.take() else { return illegal() };
        let mut random = Random::from_rng(&mut *node.random());
        // Hashing passwords takes milliseconds: a few at a time, and beside what serves everybody else.
        let turn = node.logins.acquire().await;
        let users = Arc::clone(users);
        let computing = tokio::task::spawn_blocking(move || {
            let step = exchange.step(&token, &users, &mut random);
            (exchange, step)
        });
        let Ok((exchange, step)) = computing.await else { return illegal() };
        drop(turn);
        if matches!(step, Step::Refused(_)) {
            node.metrics.login(false);
            tokio::time::sleep(REFUSAL_DELAY).await;
        }
        let answer = login.give(exchange, bare, step, node.clock.monotonic());
        if let (Answer::In { .. }, Some(user)) = (&answer, login.user()) {
            node.metrics.login(true);
            tracing::debug!(peer = %self.origin.peer, user, "a Kafka client has logged in");
        }
        answer
    }
}
