//! One connection: requests are begun in the order in which they come and answered in that order.
//!
//! ```text
//! TLS ──> login ──> frames ──> begin ──┬─ produce: queued in the log at once; its answer waits for the disk while the next one is begun
//!                                      └─ anything else: after all before it are answered; nothing is read meanwhile
//! ```
//! A client that does not read its answers is not read from either, so what a connection holds is bounded.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use kafka_protocol::messages::ApiKey;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout, timeout_at};

use crate::api::{self, Begun};
use crate::call::{Call, Opening};
use crate::error::Hangup;
use crate::frames::Frames;
use crate::listener::{Listener, is_tls};
use crate::node::Node;
use crate::server::stopped;
use crate::session::{Origin, Session};

/// What an answer waits for, and how many bytes its request holds.
type Owed = BoxFuture<'static, (Result<Option<Bytes>, Hangup>, usize)>;

/// A client that was accepted and has not shown yet who it is.
pub(crate) struct Newcomer {
    pub(crate) stream: TcpStream,
    pub(crate) peer: SocketAddr,
    pub(crate) listener: Arc<Listener>,
    /// Its place among those who are strangers still.
    pub(crate) place: OwnedSemaphorePermit,
}

struct Connection<W> {
    node: Arc<Node>,
    session: Session,
    writer: W,
    owed: FuturesOrdered<Owed>,
    owed_bytes: usize,
}

/// Serves a connection until it ends, breaks, or the broker stops.
pub(crate) async fn serve(
    newcomer: Newcomer,
    node: Arc<Node>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), Hangup> {
    let Newcomer { stream, peer, listener, place } = newcomer;
    // Answers are whole when they are written; waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    let local = stream.local_addr()?;
    let until = Instant::now() + node.config.limits.login;
    let certificate = listener.certificate.as_ref().map(|certificate| certificate.acceptor(node.clock.monotonic()));
    let session = Session::new(Arc::new(Origin { listener: Arc::clone(&listener), local, peer }), &node);
    let Some(acceptor) = certificate else {
        let (reader, writer) = stream.into_split();
        let connection = Connection { node, session, writer, owed: FuturesOrdered::new(), owed_bytes: 0 };
        return connection.serve(reader, (until, place), shutdown).await;
    };
    let handshake = async {
        let mut first = [0; 2];
        let looked = stream.peek(&mut first).await?;
        if !is_tls(first.get(..looked).unwrap_or_default()) && looked == first.len() {
            return Err(Hangup::SpeaksPlain(listener.protocol.name()));
        }
        acceptor.accept(stream).await.map_err(Hangup::Handshake)
    };
    let stream = tokio::select! {
        stream = timeout_at(until, handshake) => stream.map_err(|_| Hangup::SlowLogin)??,
        () = stopped(&mut shutdown) => return Ok(()),
    };
    let (reader, writer) = tokio::io::split(stream);
    let connection = Connection { node, session, writer, owed: FuturesOrdered::new(), owed_bytes: 0 };
    connection.serve(reader, (until, place), shutdown).await
}

impl<W: AsyncWrite + Unpin> Connection<W> {
    async fn serve<R: AsyncRead + Unpin>(
        mut self,
        reader: R,
        (login_until, place): (Instant, OwnedSemaphorePermit),
        mut shutdown: watch::Receiver<bool>,
    ) -> Result<(), Hangup> {
        let limits = self.node.config.limits.clone();
        let mut frames = Frames::of_stranger(reader, &limits);
        let mut place = Some(place);
        loop {
            if place.is_some() && self.session.is_in() {
                frames.trust(&limits);
                place = None;
            }
            let is_stranger = place.is_some();
            let deadline = if is_stranger { login_until } else { Instant::now() + limits.idle };
            let room = self.owed.len() < limits.pipelined && self.owed_bytes < limits.pipelined_bytes;
            let frame = tokio::select! {
                Some((answer, bytes)) = self.owed.next(), if !self.owed.is_empty() => {
                    self.owed_bytes -= bytes;
                    self.send(answer?).await?;
                    continue;
                }
                frame = timeout_at(deadline, frames.next()), if room => frame,
                () = stopped(&mut shutdown) => return self.settle().await,
            };
            let frame = frame.map_err(|_| if is_stranger { Hangup::SlowLogin } else { Hangup::Idle })?;
            let Some(frame) = frame.map_err(|hangup| self.perhaps_tls(hangup))? else { return self.settle().await };
            self.node.metrics.received(frame.len());
            if self.session.takes_bare_tokens() {
                let answer = self.session.bare_token(frame, &self.node).await?;
                self.send(Some(answer)).await?;
                continue;
            }
            self.session.admit(Opening::read(&frame)?.key, &self.node)?;
            let bytes = frame.len();
            match api::begin(&self.node, frame, &self.session.origin)? {
                Begun::Queued(answer) => {
                    self.owed_bytes += bytes;
                    let (node, began) = (Arc::clone(&self.node), self.node.clock.monotonic());
                    self.owed.push_back(Box::pin(async move {
                        let answer = answer.await;
                        node.metrics.answered(ApiKey::Produce, node.clock.monotonic().saturating_sub(began));
                        (answer, bytes)
                    }));
                }
                Begun::Call(call) => {
                    self.settle().await?;
                    tokio::select! {
                        done = self.answer(call) => done?,
                        () = stopped(&mut shutdown) => return Ok(()),
                    }
                }
                Begun::Answered(answer) => {
                    self.settle().await?;
                    self.send(Some(answer)).await?;
                }
            }
        }
    }

    async fn answer(&mut self, call: Call) -> Result<(), Hangup> {
        let (key, began) = (call.key, self.node.clock.monotonic());
        let (answer, hangup) = match key {
            ApiKey::SaslHandshake => (self.session.handshake(&call)?, None),
            ApiKey::SaslAuthenticate => self.session.authenticate(&call, &self.node).await?,
            _ => (api::answer(&self.node, call).await?, None),
        };
        self.node.metrics.answered(key, self.node.clock.monotonic().saturating_sub(began));
        self.send(Some(answer)).await?;
        hangup.map_or(Ok(()), Err)
    }

    /// Sends all answers that are owed.
    async fn settle(&mut self) -> Result<(), Hangup> {
        while let Some((answer, bytes)) = self.owed.next().await {
            self.owed_bytes -= bytes;
            self.send(answer?).await?;
        }
        Ok(())
    }

    async fn send(&mut self, answer: Option<Bytes>) -> Result<(), Hangup> {
        let Some(mut answer) = answer else { return Ok(()) };
        let idle = self.node.config.limits.idle;
        self.node.metrics.sent(answer.len());
        while !answer.is_empty() {
            // A client may take its time for a large answer, but it must take something.
            let written = timeout(idle, self.writer.write_buf(&mut answer)).await.map_err(|_| Hangup::Idle)??;
            if written == 0 {
                return Err(Hangup::Io(std::io::ErrorKind::WriteZero.into()));
            }
        }
        // TLS keeps what does not fill a record until it is told that nothing follows.
        timeout(idle, self.writer.flush()).await.map_err(|_| Hangup::Idle)??;
        Ok(())
    }

    /// What looks like the length of a request that is far too large may be a client that begins TLS.
    fn perhaps_tls(&self, hangup: Hangup) -> Hangup {
        let protocol = self.session.origin.listener.protocol;
        match hangup {
            Hangup::TooLarge { bytes, .. } if !protocol.is_tls() && is_tls(&bytes.to_be_bytes()[4..]) => {
                Hangup::SpeaksTls(protocol.name())
            }
            other => other,
        }
    }
}
