//! A socket that wakes a thread only while its guest waits for it.
//!
//! A server that sends many small packets would otherwise wake the runtime for each of them while the guest is busy elsewhere,
//! which costs more than reading what they bring. So the runtime knows of the socket only from [`Socket::watch`] to
//! [`Socket::rest`]; in between, it is read without waiting.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use nix::sys::socket::setsockopt;
use nix::sys::socket::sockopt::SetStruct;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How much must have arrived before anybody is woken.
#[derive(Clone)]
struct WakeFrom;
nix::setsockopt_impl!(WakeFrom, libc::SOL_SOCKET, libc::SO_RCVLOWAT, i32, SetStruct<'_, i32>);

/// A connected socket.
pub(super) struct Socket(State);

enum State {
    /// Nobody waits: what blocks stays pending and wakes nobody.
    Resting(std::net::TcpStream),
    /// The runtime wakes whoever waits.
    Watched(TcpStream),
    /// Passing from one state to the other has failed.
    Lost,
}

impl Socket {
    /// A socket that is watched.
    pub(super) fn new(stream: TcpStream) -> Self {
        Self(State::Watched(stream))
    }

    /// Whoever waits from now on is woken.
    ///
    /// # Errors
    /// When the runtime cannot take the socket in; it is closed then.
    pub(super) fn watch(&mut self) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Resting(stream) => State::Watched(TcpStream::from_std(stream)?),
            state => state,
        };
        Ok(())
    }

    /// Nobody waits any more.
    ///
    /// # Errors
    /// When the runtime cannot let go of the socket; it is closed then.
    pub(super) fn rest(&mut self) -> io::Result<()> {
        self.0 = match std::mem::replace(&mut self.0, State::Lost) {
            State::Watched(stream) => State::Resting(stream.into_std()?),
            state => state,
        };
        Ok(())
    }

    /// Whoever waits is woken by so many bytes; what is less can be read all the same.
    ///
    /// # Errors
    /// When the system does not do that.
    pub(super) fn wake_from(&mut self, bytes: u32) -> io::Result<()> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        match &self.0 {
            State::Resting(stream) => setsockopt(stream, WakeFrom, &bytes)?,
            State::Watched(stream) => setsockopt(stream, WakeFrom, &bytes)?,
            State::Lost => {}
        }
        Ok(())
    }

    fn watched(&mut self) -> io::Result<&mut TcpStream> {
        self.watch()?;
        match &mut self.0 {
            State::Watched(stream) => Ok(stream),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, free: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().0 {
            State::Watched(stream) => Pin::new(stream).poll_read(cx, free),
            State::Resting(stream) => loop {
                return match stream.read(free.initialize_unfilled()) {
                    Ok(read) => {
                        free.advance(read);
                        Poll::Ready(Ok(()))
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Poll::Ready(Err(error)),
                };
            },
            State::Lost => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// Whoever writes waits until it is done, so that the socket is watched from then on.
impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut().watched() {
            Ok(stream) => Pin::new(stream).poll_write(cx, bytes),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().watched() {
            Ok(stream) => Pin::new(stream).poll_flush(cx),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().watched() {
            Ok(stream) => Pin::new(stream).poll_shutdown(cx),
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn what_arrives_while_nobody_waits_is_there_when_somebody_does() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let mut socket = Socket::new(TcpStream::connect(address).await.expect("connected"));
        let (mut other, _) = listener.accept().await.expect("connected");
        socket.rest().expect("rests");
        let mut bytes = [0; 5];
        let nothing =
            Pin::new(&mut socket).poll_read(&mut Context::from_waker(Waker::noop()), &mut ReadBuf::new(&mut bytes));
        assert!(nothing.is_pending(), "nothing has arrived");
        other.write_all(b"hel").await.expect("sent");
        socket.watch().expect("watched");
        socket.read_exact(&mut bytes[..3]).await.expect("what arrived while it rested");
        let (read, sent) = tokio::join!(socket.read_exact(&mut bytes[3..]), other.write_all(b"lo"));
        (read.expect("what arrives while it is watched"), sent.expect("sent"));
        assert_eq!(&bytes, b"hello");
        socket.rest().expect("rests");
        socket.write_all(b"bye").await.expect("whoever writes waits");
        let mut answer = [0; 3];
        other.read_exact(&mut answer).await.expect("arrived");
        assert_eq!(&answer, b"bye");
    }
}
