//! The service: binds, accepts up to a limit, and joins every connection before it ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kafka_protocol::protocol::StrBytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use towpath_log::Embedded;
use towpath_model::Clock;

use crate::config::Config;
use crate::connection;
use crate::error::Error;
use crate::group::Coordinator;
use crate::node::Node;
use crate::topic_ids::TopicIds;

/// How long connections may take to send what they owe when the broker ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long accepting rests after it failed, as it does without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A broker that listens and does not serve yet.
pub struct Broker {
    listener: TcpListener,
    address: SocketAddr,
    node: Arc<Node>,
}

/// What others may ask of a broker.
#[derive(Clone, Debug)]
pub struct Handle {
    address: SocketAddr,
}

impl Handle {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Broker {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::Listen`] where the address is taken or wrong, [`Error::Exposed`] off loopback, [`Error::Advertised`].
    pub async fn bind(config: Config, log: Arc<Embedded>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: config.listen.clone(), source };
        let listener = TcpListener::bind(&config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() && !config.allow_remote {
            return Err(Error::Exposed { address });
        }
        let advertised = config.advertised.as_deref().map(advertised).transpose()?;
        let node = Node {
            cluster_id: StrBytes::from_string(log.cluster_id()),
            topic_ids: TopicIds::new(&log),
            groups: Coordinator::new(clock, &config),
            log,
            config,
            advertised,
        };
        Ok(Self { listener, address, node: Arc::new(node) })
    }

    /// A handle.
    pub fn handle(&self) -> Handle {
        Handle { address: self.address }
    }

    /// Serves until told to stop; then connections finish what they have begun.
    ///
    /// # Errors
    /// None today: what goes wrong with one connection ends that connection.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> Result<(), Error> {
        let mut stopping = shutdown.clone();
        let mut connections = JoinSet::new();
        let groups = Arc::clone(&self.node);
        let watching = shutdown.clone();
        connections.spawn(async move { groups.groups.keep_time(watching).await });
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => break,
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, peer)) => self.welcome(stream, peer, &mut connections, &shutdown),
                    Err(error) => {
                        tracing::warn!(%error, "a Kafka client could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        }
        let all = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            connections.shutdown().await;
        }
        Ok(())
    }

    fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        connections: &mut JoinSet<()>,
        shutdown: &watch::Receiver<bool>,
    ) {
        // The one that keeps time for groups stands among them.
        if connections.len() > self.node.config.limits.connections {
            tracing::warn!(%peer, "a Kafka client was turned away: there are too many");
            return;
        }
        let (node, shutdown) = (Arc::clone(&self.node), shutdown.clone());
        connections.spawn(async move {
            if let Err(reason) = connection::serve(stream, peer, node, shutdown).await {
                tracing::debug!(%peer, %reason, "a Kafka client's connection was closed");
            }
        });
    }
}

/// Waits until the broker is told to stop, or nobody is left to tell it.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}

fn advertised(address: &str) -> Result<(StrBytes, i32), Error> {
    let wrong = || Error::Advertised { address: address.to_owned() };
    let (host, port) = address.rsplit_once(':').ok_or_else(wrong)?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse::<u16>().ok().filter(|port| *port > 0 && !host.is_empty()).ok_or_else(wrong)?;
    Ok((StrBytes::from_string(host.to_owned()), i32::from(port)))
}
