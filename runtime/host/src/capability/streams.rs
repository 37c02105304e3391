//! Streams: byte streams to the endpoints that the task's configuration names, with TLS done by the host.
//!
//! Nothing runs in the background: `read` takes what has arrived without waiting, and `wait` is woken by the sockets
//! themselves, which wake nobody otherwise, or by the host's interrupt. What was read and not yet taken is bounded by one buffer a connection; the rest stays
//! with the kernel, which holds the other side back.

mod gathering;
mod socket;
mod tls;

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use towpath_model::Capability;
use wasmtime::component::{Resource, ResourceTable};

use self::gathering::{GATHERED_BYTES, GATHERED_FOR, Gathering};
use self::socket::Socket;
use super::{Allowed, require};
use crate::bindings::imports::towpath::connect::streams as wit;
use crate::guest::Guest;

/// The most that one read returns, and that is held between reads.
const BUFFER_BYTES: usize = 256 << 10;
const CONNECT_TIMEOUT_MAX: Duration = Duration::from_secs(60);
const TLS_TIMEOUT: Duration = Duration::from_secs(30);
const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// A silent connection is asked for a sign of life.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// The other side acknowledges what is sent within this time, or the connection is taken for dead. Without it the system would
/// go on trying for a quarter of an hour.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// A connection under the guest's hand.
#[allow(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Connection {
    host: String,
    transport: Transport,
    /// Arrived and not yet taken: the bytes from `taken` to `filled`.
    buffer: Box<[u8]>,
    taken: usize,
    filled: usize,
    gathering: Gathering,
    end: Option<End>,
}

enum Transport {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
    /// The handshake failed or was cut off.
    Broken,
}

#[derive(Clone)]
enum End {
    Closed,
    Failed(String),
}

impl Connection {
    fn new(host: String, stream: TcpStream) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into_boxed_slice();
        let transport = Transport::Plain(Socket::new(stream));
        let gathering = Gathering::new(Instant::now());
        let mut connection = Self { host, transport, buffer, taken: 0, filled: 0, gathering, end: None };
        connection.rest();
        connection
    }

    /// Whether the guest is woken by what arrives.
    fn change(&mut self, change: impl FnOnce(&mut Socket) -> io::Result<()>) {
        let changed = match &mut self.transport {
            Transport::Plain(socket) => change(socket),
            Transport::Tls(stream) => change(stream.get_mut().0),
            Transport::Broken => Ok(()),
        };
        if let Err(error) = changed {
            self.end = Some(End::Failed(error.to_string()));
        }
    }

    fn watch(&mut self) {
        self.change(Socket::watch);
    }

    fn rest(&mut self) {
        self.change(Socket::rest);
    }

    /// Whether to let gather what arrives.
    fn gathers(&mut self) -> bool {
        if self.gathering.judge(Instant::now()) {
            let bytes = if self.gathering.is_on() { GATHERED_BYTES } else { 1 };
            self.change(|socket| socket.wake_from(bytes));
        }
        self.gathering.is_on()
    }

    /// Moves what has arrived into the buffer. Ready when there is something to tell the guest.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.taken == self.filled {
            (self.taken, self.filled) = (0, 0);
        }
        while self.end.is_none() && self.filled < self.buffer.len() {
            let mut free = ReadBuf::new(self.buffer.get_mut(self.filled..).unwrap_or_default());
            let polled = match &mut self.transport {
                Transport::Plain(stream) => Pin::new(stream).poll_read(cx, &mut free),
                Transport::Tls(stream) => Pin::new(stream).poll_read(cx, &mut free),
                Transport::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            };
            match polled {
                Poll::Pending => break,
                Poll::Ready(Ok(())) if free.filled().is_empty() => self.end = Some(End::Closed),
                Poll::Ready(Ok(())) => {
                    self.gathering.arrived(free.filled().len());
                    self.filled += free.filled().len();
                }
                // A peer that ends TLS without saying so has closed all the same; protocols carry their own lengths.
                Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => self.end = Some(End::Closed),
                Poll::Ready(Err(error)) => self.end = Some(End::Failed(error.to_string())),
            }
        }
        if self.taken < self.filled || self.end.is_some() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn take(&mut self, max: u32) -> Result<wit::Chunk, wit::StreamError> {
        let arrived = self.buffer.get(self.taken..self.filled).unwrap_or_default();
        if !arrived.is_empty() {
            let length = arrived.len().min(usize::try_from(max).unwrap_or(usize::MAX));
            let bytes = arrived.get(..length).unwrap_or_default().to_vec();
            self.taken += length;
            return Ok(if length > 0 { wit::Chunk::Bytes(bytes) } else { wit::Chunk::Pending });
        }
        match &self.end {
            None => Ok(wit::Chunk::Pending),
            Some(End::Closed) => Ok(wit::Chunk::Closed),
            Some(End::Failed(reason)) => Err(wit::StreamError::Connection(reason.clone())),
        }
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = match &mut self.transport {
            Transport::Plain(stream) => stream.write_all(bytes).await,
            Transport::Tls(stream) => match stream.write_all(bytes).await {
                Ok(()) => stream.flush().await,
                failed => failed,
            },
            Transport::Broken => Err(io::ErrorKind::NotConnected.into()),
        };
        self.rest();
        written
    }
}

impl wit::HostConnection for Guest {
    async fn connect(
        &mut self,
        host: String,
        port: u16,
        timeout_ms: u32,
    ) -> wasmtime::Result<Result<Resource<Connection>, wit::StreamError>> {
        if let Err(reason) = require(self, Capability::Streams) {
            return Ok(Err(wit::StreamError::Denied(reason)));
        }
        self.meter.rested();
        let timeout = Duration::from_millis(timeout_ms.into()).min(CONNECT_TIMEOUT_MAX);
        let scope = self.scope.clone();
        let dialled = match tokio::time::timeout(timeout, dial(&scope.allowed, &host, port)).await {
            Ok(dialled) => dialled,
            Err(_) => {
                let reason = format!("{host}:{port} did not answer within {} ms", timeout.as_millis());
                Err(wit::StreamError::Timeout(reason))
            }
        };
        match dialled {
            Ok(stream) => Ok(Ok(self.table.push(Connection::new(host, stream))?)),
            Err(error) => Ok(Err(error)),
        }
    }

    async fn start_tls(
        &mut self,
        this: Resource<Connection>,
        options: wit::Tls,
    ) -> wasmtime::Result<Result<(), wit::StreamError>> {
        self.meter.rested();
        let scope = self.scope.clone();
        let connection = self.table.get_mut(&this)?;
        if connection.taken < connection.filled {
            // Whoever sits on the line could otherwise slip in bytes that look as if they came through TLS.
            let reason = "bytes arrived ahead of the handshake".to_owned();
            return Ok(Err(wit::StreamError::Tls(reason)));
        }
        connection.watch();
        let Transport::Plain(stream) = std::mem::replace(&mut connection.transport, Transport::Broken) else {
            return Ok(Err(wit::StreamError::Tls("the connection does not stand at the start of TLS".into())));
        };
        let host = connection.host.clone();
        let handshake = tokio::time::timeout(TLS_TIMEOUT, tls::handshake(&scope, &host, stream, options)).await;
        let connection = self.table.get_mut(&this)?;
        match handshake {
            Ok(Ok(stream)) => {
                connection.transport = Transport::Tls(Box::new(stream));
                connection.rest();
                Ok(Ok(()))
            }
            Ok(Err(error)) => Ok(Err(error)),
            Err(_) => Ok(Err(wit::StreamError::Timeout("the TLS handshake took too long".into()))),
        }
    }

    async fn read(
        &mut self,
        this: Resource<Connection>,
        max: u32,
    ) -> wasmtime::Result<Result<wit::Chunk, wit::StreamError>> {
        let connection = self.table.get_mut(&this)?;
        if connection.taken == connection.filled {
            // A `Ready` or `Pending` shows in what can be taken.
            let _ready = connection.poll_fill(&mut Context::from_waker(Waker::noop()));
        }
        Ok(connection.take(max))
    }

    async fn write(
        &mut self,
        this: Resource<Connection>,
        bytes: Vec<u8>,
    ) -> wasmtime::Result<Result<(), wit::StreamError>> {
        self.meter.rested();
        let connection = self.table.get_mut(&this)?;
        match tokio::time::timeout(WRITE_TIMEOUT, connection.write(&bytes)).await {
            Ok(Ok(())) => Ok(Ok(())),
            Ok(Err(error)) => Ok(Err(wit::StreamError::Connection(error.to_string()))),
            Err(_) => {
                connection.transport = Transport::Broken;
                let reason = format!("{} did not take bytes for {} s", connection.host, WRITE_TIMEOUT.as_secs());
                Ok(Err(wit::StreamError::Timeout(reason)))
            }
        }
    }

    async fn drop(&mut self, this: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl wit::Host for Guest {
    async fn wait(&mut self, connections: Vec<Resource<Connection>>, max_ms: u32) -> wasmtime::Result<wit::Waited> {
        self.meter.rested();
        // A handle that is not one is found before the wait, not in it.
        for connection in &connections {
            self.table.get_mut(connection)?;
        }
        let interruption = self.scope.interruption.clone();
        let waited = tokio::select! {
            biased;
            () = interruption.raised() => wit::Waited::Interrupted,
            ready = arrivals(&mut self.table, &connections) => wit::Waited::Ready(ready),
            () = tokio::time::sleep(Duration::from_millis(max_ms.into())) => wit::Waited::Timeout,
        };
        for connection in &connections {
            self.table.get_mut(connection)?.rest();
        }
        Ok(waited)
    }
}

/// Waits until there is something to tell of one of these connections: which they are.
async fn arrivals(table: &mut ResourceTable, connections: &[Resource<Connection>]) -> Vec<u32> {
    loop {
        let mut gathers = false;
        for connection in connections {
            let Ok(connection) = table.get_mut(connection) else { continue };
            gathers |= connection.gathers();
            connection.watch();
        }
        let woken = poll_fn(|cx| match filled(table, connections, cx) {
            ready if ready.is_empty() => Poll::Pending,
            ready => Poll::Ready(ready),
        });
        if !gathers {
            return woken.await;
        }
        if let Ok(ready) = tokio::time::timeout(GATHERED_FOR, woken).await {
            return ready;
        }
        for connection in connections {
            let Ok(connection) = table.get_mut(connection) else { continue };
            connection.rest();
        }
        let ready = filled(table, connections, &mut Context::from_waker(Waker::noop()));
        if !ready.is_empty() {
            return ready;
        }
    }
}

/// Moves what has arrived into the buffers; which of the connections have something to tell.
fn filled(table: &mut ResourceTable, connections: &[Resource<Connection>], cx: &mut Context<'_>) -> Vec<u32> {
    let mut ready = Vec::new();
    for (index, connection) in connections.iter().enumerate() {
        let Ok(connection) = table.get_mut(connection) else { continue };
        if connection.poll_fill(cx).is_ready() {
            ready.extend(u32::try_from(index).ok());
        }
    }
    ready
}

/// Dials the addresses of a host, one after the other.
async fn dial(allowed: &Allowed, host: &str, port: u16) -> Result<TcpStream, wit::StreamError> {
    allowed.host(host, port).map_err(|denied| wit::StreamError::Denied(denied.0))?;
    let unreachable = |error: io::Error| wit::StreamError::Connection(format!("{host}:{port}: {error}"));
    let found = tokio::net::lookup_host((host, port)).await.map_err(unreachable)?.collect();
    let addresses = allowed.addresses(host, found).map_err(|denied| wit::StreamError::Denied(denied.0))?;
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await.and_then(prepared) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
}

/// Without delay for small writes, and with an end to a connection whose other side is gone without a word.
fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(&stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE_INTERVAL))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_end_of_what_came_in_bulk_does_not_wait_for_more() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let stream = TcpStream::connect(address).await.expect("connected");
        let (mut other, _) = listener.accept().await.expect("connected");
        let mut table = ResourceTable::new();
        let mut connection = Connection::new("localhost".into(), stream);
        connection.gathering = Gathering::new(Instant::now() - GATHERED_FOR);
        connection.gathering.arrived(1 << 20);
        assert!(connection.gathers(), "in bulk");
        let connection = table.push(connection).expect("room");
        for sent in [&b"the last of many"[..], b"and one that comes alone"] {
            other.write_all(sent).await.expect("sent");
            let mut arrived = Vec::new();
            while arrived.len() < sent.len() {
                let ready = arrivals(&mut table, std::slice::from_ref(&connection)).await;
                assert_eq!(ready, [0]);
                let Ok(wit::Chunk::Bytes(bytes)) = table.get_mut(&connection).expect("there").take(u32::MAX) else {
                    panic!("nothing came");
                };
                arrived.extend(bytes);
            }
            assert_eq!(arrived, sent);
        }
        assert!(!table.get_mut(&connection).expect("there").gathering.is_on(), "what comes alone is read at once");
    }
}
