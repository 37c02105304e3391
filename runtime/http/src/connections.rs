//! Accepts connections: only so many at once, and none on which nothing moves.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};
use tokio_rustls::TlsAcceptor;

/// A listener that waits while as many connections as allowed are open.
pub struct Connections {
    listener: TcpListener,
    places: Arc<Semaphore>,
    idle_timeout: Duration,
    tls: Option<Acceptors>,
}

/// What takes a client of TLS in, asked for each connection, so that the certificate may be another.
pub type Acceptors = Arc<dyn Fn() -> TlsAcceptor + Send + Sync>;

impl Connections {
    /// At most `max` connections of `listener`, each closed when nothing moved on it for `idle_timeout`.
    pub fn new(listener: TcpListener, max: usize, idle_timeout: Duration, tls: Option<Acceptors>) -> Self {
        Self { listener, places: Arc::new(Semaphore::new(max)), idle_timeout, tls }
    }
}

impl Listener for Connections {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        // TcpListener's own accept logs and retries passing errors such as too many open files.
        let (stream, address) = Listener::accept(&mut self.listener).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection keeps Nagle's delay");
        }
        let stream = match &self.tls {
            None => Stream::Open(Box::new(stream)),
            Some(acceptor) => Stream::Greeting(Box::new(acceptor().accept(stream))),
        };
        let idle = Box::pin(tokio::time::sleep(self.idle_timeout));
        (Connection { stream, idle, idle_timeout: self.idle_timeout, _place: place }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// The bytes of a connection. The handshake of TLS is part of the first read, so that nobody holds up those who come after.
enum Stream {
    Greeting(Box<tokio_rustls::Accept<TcpStream>>),
    Open(Box<dyn Transport>),
}

trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl Stream {
    /// The stream, once its handshake is done.
    fn poll_open(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pin<&mut dyn Transport>>> {
        if let Self::Greeting(accept) = self {
            *self = Self::Open(Box::new(ready!(Pin::new(accept.as_mut()).poll(context))?));
        }
        match self {
            Self::Open(stream) => Poll::Ready(Ok(Pin::new(stream.as_mut()))),
            Self::Greeting(_) => Poll::Pending,
        }
    }
}

/// A connection that holds its place and watches for silence.
pub struct Connection {
    stream: Stream,
    idle: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    _place: OwnedSemaphorePermit,
}

impl Connection {
    /// Passes on what the stream says; where it says nothing for too long, ends it.
    fn watch<T>(&mut self, moved: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if moved.is_ready() {
            self.idle.as_mut().reset(Instant::now() + self.idle_timeout);
            return moved;
        }
        match self.idle.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = match this.stream.poll_open(context) {
            Poll::Ready(stream) => {
                stream.map_or_else(|error| Poll::Ready(Err(error)), |s| s.poll_read(context, buffer))
            }
            Poll::Pending => Poll::Pending,
        };
        this.watch(read, context)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = match this.stream.poll_open(context) {
            Poll::Ready(stream) => {
                stream.map_or_else(|error| Poll::Ready(Err(error)), |s| s.poll_write(context, bytes))
            }
            Poll::Pending => Poll::Pending,
        };
        this.watch(written, context)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().stream.poll_open(context))?.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.get_mut().stream.poll_open(context))?.poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_closed_and_frees_its_place() {
        use tokio::io::AsyncReadExt as _;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("works");
        let address = listener.local_addr().expect("works");
        let mut connections = Connections::new(listener, 1, Duration::from_secs(120), None);
        let _silent = tokio::net::TcpStream::connect(address).await.expect("works");
        let (mut accepted, _) = connections.accept().await;
        let error = accepted.read_u8().await.expect_err("nobody writes");
        assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
        drop(accepted);
        let _next = tokio::net::TcpStream::connect(address).await.expect("works");
        connections.accept().await;
    }
}
