//! One connection: requests are begun in the order in which they come and answered in that order.
//!
//! ```text
//! frames ──> begin ──┬─ produce: queued in the log at once; its answer waits for the disk while the next one is begun
//!                    └─ anything else: after all before it are answered; nothing is read meanwhile
//! ```
//! A client that does not read its answers is not read from either, so what a connection holds is bounded.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::watch;

use crate::api::{self, Begun};
use crate::error::Hangup;
use crate::frames::Frames;
use crate::node::Node;
use crate::server::stopped;

/// What an answer waits for, and how many bytes its request holds.
type Owed = BoxFuture<'static, (Result<Option<Bytes>, Hangup>, usize)>;

struct Connection {
    node: Arc<Node>,
    writer: OwnedWriteHalf,
    owed: FuturesOrdered<Owed>,
    owed_bytes: usize,
}

/// Serves a connection until it ends, breaks, or the broker stops.
pub(crate) async fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    node: Arc<Node>,
    mut shutdown: watch::Receiver<bool>,
) -> Result<(), Hangup> {
    // Answers are whole when they are written; waiting for more to send would only delay them.
    stream.set_nodelay(true)?;
    let ends = (stream.local_addr()?, peer);
    let (reader, writer) = stream.into_split();
    let limits = node.config.limits.clone();
    let mut frames = Frames::new(reader, &limits);
    let mut connection = Connection { node, writer, owed: FuturesOrdered::new(), owed_bytes: 0 };
    loop {
        let room = connection.owed.len() < limits.pipelined && connection.owed_bytes < limits.pipelined_bytes;
        let frame = tokio::select! {
            Some((answer, bytes)) = connection.owed.next(), if !connection.owed.is_empty() => {
                connection.owed_bytes -= bytes;
                connection.send(answer?).await?;
                continue;
            }
            frame = tokio::time::timeout(limits.idle, frames.next()), if room => frame,
            () = stopped(&mut shutdown) => return connection.settle().await,
        };
        let Some(frame) = frame.map_err(|_| Hangup::Idle)?? else { return connection.settle().await };
        let bytes = frame.len();
        match api::begin(&connection.node, frame, ends)? {
            Begun::Queued(answer) => {
                connection.owed_bytes += bytes;
                connection.owed.push_back(Box::pin(async move { (answer.await, bytes) }));
            }
            Begun::Call(call) => {
                connection.settle().await?;
                let node = Arc::clone(&connection.node);
                let answer = tokio::select! {
                    answer = api::answer(&node, call) => answer?,
                    () = stopped(&mut shutdown) => return Ok(()),
                };
                connection.send(Some(answer)).await?;
            }
            Begun::Answered(answer) => {
                connection.settle().await?;
                connection.send(Some(answer)).await?;
            }
        }
    }
}

impl Connection {
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
        while !answer.is_empty() {
            // A client may take its time for a large answer, but it must take something.
            let write = self.writer.write_buf(&mut answer);
            let written =
                tokio::time::timeout(self.node.config.limits.idle, write).await.map_err(|_| Hangup::Idle)??;
            if written == 0 {
                return Err(Hangup::Io(std::io::ErrorKind::WriteZero.into()));
            }
        }
        Ok(())
    }
}
