//! A wire between a client and a server that can be spoilt: held back, slowed down, cut.
//!
//! A held connection is accepted and kept and nothing passes, in neither direction: to both sides the other one lives and never
//! answers. What is cut comes back at the next attempt, unless the relay refuses.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PIECE_BYTES: usize = 64 << 10;

/// What happens to what is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Passage {
    /// It passes.
    #[default]
    Free,
    /// It passes at so many bytes a second, each way.
    Slow(u32),
    /// It is held back.
    Held,
    /// Connections are closed as soon as they come.
    Refused,
}

/// A relay to one server.
#[derive(Debug)]
pub struct Relay {
    address: SocketAddr,
    passage: watch::Sender<Passage>,
    cuts: watch::Sender<u64>,
    seen: Arc<Seen>,
    listening: JoinHandle<()>,
}

/// What has come by.
#[derive(Debug, Default)]
struct Seen {
    connections: AtomicU64,
    held: AtomicU64,
}

impl Relay {
    /// Listens on a free loopback port for connections to `server`.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let (passage, passing) = watch::channel(Passage::Free);
        let (cuts, cut) = watch::channel(0);
        let seen = Arc::new(Seen::default());
        let listening = tokio::spawn(listen(listener, server, passing, cut, seen.clone()));
        Ok(Self { address, passage, cuts, seen, listening })
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this happens to what is sent.
    pub fn set(&self, passage: Passage) {
        self.passage.send_replace(passage);
    }

    /// How many connections have passed through, or tried to.
    pub fn connections(&self) -> u64 {
        self.seen.connections.load(Ordering::Relaxed)
    }

    /// How many pieces were held back, for however long.
    pub fn held(&self) -> u64 {
        self.seen.held.load(Ordering::Relaxed)
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn listen(
    listener: TcpListener,
    server: SocketAddr,
    passage: watch::Receiver<Passage>,
    mut cut: watch::Receiver<u64>,
    seen: Arc<Seen>,
) {
    while let Ok((client, _)) = listener.accept().await {
        seen.connections.fetch_add(1, Ordering::Relaxed);
        if *passage.borrow() == Passage::Refused {
            continue;
        }
        cut.mark_unchanged();
        let (passage, mut cut, seen) = (passage.clone(), cut.clone(), seen.clone());
        tokio::spawn(async move {
            let Ok(server) = TcpStream::connect(server).await else { return };
            let _ = (client.set_nodelay(true), server.set_nodelay(true));
            let (from_client, to_client) = client.into_split();
            let (from_server, to_server) = server.into_split();
            // Either side may end its half; a cut ends all at once, in mid-message.
            let both = async {
                tokio::join!(
                    pass(from_client, to_server, passage.clone(), &seen),
                    pass(from_server, to_client, passage, &seen)
                );
            };
            tokio::select! {
                () = both => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut passage: watch::Receiver<Passage>,
    seen: &Seen,
) {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let now = *passage.borrow();
        let wanted = match now {
            Passage::Slow(bytes) => (bytes as usize / 100).clamp(1, PIECE_BYTES),
            _ => PIECE_BYTES,
        };
        let Ok(length) = from.read(piece.get_mut(..wanted).unwrap_or_default()).await else { return };
        let Some(read) = piece.get(..length).filter(|read| !read.is_empty()) else {
            // A half that has ended is passed on as such.
            let _ = to.shutdown().await;
            return;
        };
        if *passage.borrow() == Passage::Held {
            seen.held.fetch_add(1, Ordering::Relaxed);
        }
        if passage.wait_for(|passage| *passage != Passage::Held).await.is_err() || to.write_all(read).await.is_err() {
            return;
        }
        if matches!(now, Passage::Slow(_)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}
