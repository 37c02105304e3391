//! How a request reaches a broker and its answer comes back.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::AdminError;

/// What an answer may have at most.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// How long a broker may take to take a connection.
const CONNECTED_WITHIN: Duration = Duration::from_secs(10);
/// How long it may take to answer; requests that wait for records wait much shorter.
const ANSWERED_WITHIN: Duration = Duration::from_secs(60);

/// Carries one request at a time.
#[async_trait]
pub trait Transport: Send {
    /// Sends a request, without its length, and gives the answer, without its length.
    ///
    /// # Errors
    /// [`AdminError::Unreachable`].
    async fn exchange(&mut self, request: Bytes) -> Result<Bytes, AdminError>;
}

/// A connection to a listener that asks for neither TLS nor a login.
pub struct Tcp {
    stream: TcpStream,
    address: String,
}

impl Tcp {
    /// Connects.
    ///
    /// # Errors
    /// [`AdminError::Unreachable`].
    pub async fn connect(address: &str) -> Result<Self, AdminError> {
        let failed = |error| AdminError::Unreachable(format!("no broker answers at {address}: {error}"));
        let stream = within(CONNECTED_WITHIN, TcpStream::connect(address)).await.map_err(failed)?;
        Ok(Self { stream, address: address.to_owned() })
    }
}

#[async_trait]
impl Transport for Tcp {
    async fn exchange(&mut self, request: Bytes) -> Result<Bytes, AdminError> {
        let Self { stream, address } = self;
        let talk = async {
            stream.write_u32(u32::try_from(request.len()).map_err(std::io::Error::other)?).await?;
            stream.write_all(&request).await?;
            let length = usize::try_from(stream.read_u32().await?).map_err(std::io::Error::other)?;
            if length > ANSWER_BYTES_MAX {
                return Err(std::io::Error::other("what answers there is no Kafka listener"));
            }
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await?;
            Ok(Bytes::from(answer))
        };
        within(ANSWERED_WITHIN, talk).await.map_err(|error| {
            let reason = match error.kind() {
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset => {
                    "it hangs up. Does the listener ask for TLS or a login? Then ask through the worker's REST interface, with --url"
                        .to_owned()
                }
                _ => error.to_string(),
            };
            AdminError::Unreachable(format!("the broker at {address} does not answer: {reason}"))
        })
    }
}

/// What a broker does, unless it takes too long.
async fn within<T>(limit: Duration, doing: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let silent = |_| std::io::Error::other(format!("it was silent for {} s", limit.as_secs()));
    tokio::time::timeout(limit, doing).await.map_err(silent)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_broker_that_is_silent_is_not_waited_for_without_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("an address").to_string();
        let mut silent = Tcp::connect(&address).await.expect("connected");
        let failed = silent.exchange(Bytes::from_static(b"anybody there?")).await.expect_err("no answer").to_string();
        assert!(failed.contains("does not answer: it was silent for 60 s"), "{failed}");
    }
}
