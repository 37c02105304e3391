//! The service: binds its listeners, accepts up to a limit, and joins every connection before it ends.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;
use rand::SeedableRng;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, Semaphore, watch};
use tokio::task::JoinSet;
use towpath_log::Embedded;
use towpath_model::Clock;

use crate::api::{self, Begun};
use crate::config::Config;
use crate::connection::{self, Newcomer};
use crate::error::{Error, Hangup};
use crate::group::consumer::Consumers;
use crate::group::{Coordinator, retention};
use crate::lag::{self, Lag};
use crate::listener::Listener;
use crate::metrics::{BrokerMetrics, Metrics};
use crate::node::Node;
use crate::sasl::{Random, Users};
use crate::session::Origin;
use crate::topic_ids::TopicIds;

/// What stands ahead of an answer on a connection.
const LENGTH_BYTES: usize = 4;
/// How long connections may take to send what they owe when the broker ends.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long accepting rests after it failed, as it does without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Logins whose passwords are hashed at a time.
const LOGINS: usize = 2;
/// What a client has wrong is told so often for each listener, however many clients have it wrong.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// A broker that listens and does not serve yet.
pub struct Broker {
    doors: Vec<Door>,
    node: Arc<Node>,
}

/// A listener with what has come in over it.
struct Door {
    socket: TcpListener,
    shared: Arc<Shared>,
}

/// What a listener shares with its connections and with those who count them.
struct Shared {
    listener: Arc<Listener>,
    /// One for each connection; dropped with it.
    open: Arc<()>,
    /// When a misconfigured client was last told of.
    complained: Mutex<Option<Duration>>,
}

/// What others may ask of a broker. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    doors: Vec<Arc<Shared>>,
    node: Arc<Node>,
    origin: Arc<Origin>,
}

impl Handle {
    /// Where its first listener listens.
    pub fn address(&self) -> Option<SocketAddr> {
        self.doors.first().map(|door| door.listener.address)
    }

    /// Where each listener listens, with its name and what it speaks.
    pub fn listeners(&self) -> Vec<(String, SocketAddr, &'static str)> {
        let told =
            |door: &Arc<Shared>| (door.listener.name.clone(), door.listener.address, door.listener.protocol.name());
        self.doors.iter().map(told).collect()
    }

    /// Answers a request of someone who is trusted already, as it would be answered over a connection. Both are without their lengths.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub async fn call(&self, request: Bytes) -> Result<Bytes, String> {
        let refused = |hangup: Hangup| hangup.to_string();
        let (began, bytes) = (self.node.clock.monotonic(), request.len());
        self.node.metrics.received(bytes);
        let answer = match api::begin(&self.node, request, &self.origin).map_err(refused)? {
            Begun::Queued(answer) => answer.await.map_err(refused)?.unwrap_or_default(),
            Begun::Call(call) => {
                let key = call.key;
                let answer = api::answer(&self.node, call).await.map_err(refused)?;
                self.node.metrics.answered(key, self.node.clock.monotonic().saturating_sub(began));
                answer
            }
            Begun::Answered(answer) => answer,
        };
        Ok(answer.slice(LENGTH_BYTES.min(answer.len())..))
    }

    /// How many members a group of clients has.
    #[cfg(test)]
    pub(crate) fn members(&self, group: &str) -> usize {
        self.node.groups.describe(group).map_or(0, |described| described.members.len())
    }

    /// Looks now at what is looked at from time to time.
    #[cfg(test)]
    pub(crate) async fn let_offsets_expire(&self) {
        retention::look(&self.node).await;
    }

    /// How far groups are behind.
    pub async fn lags(&self) -> Vec<Lag> {
        lag::all(&self.node).await
    }

    /// Counts since the broker started, and what there is now.
    pub fn metrics(&self) -> BrokerMetrics {
        let open = |door: &Arc<Shared>| (door.listener.name.clone(), Arc::strong_count(&door.open) as u64 - 1);
        self.node.metrics.snapshot(self.doors.iter().map(open).collect())
    }
}

impl Broker {
    /// Listens.
    ///
    /// # Errors
    /// [`Error::Listen`] where an address is taken or wrong, [`Error::Exposed`] off loopback, and what is wrong with listeners,
    /// certificate and users.
    pub async fn bind(config: Config, log: Arc<Embedded>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut doors = Vec::with_capacity(config.listeners.len());
        for wanted in &config.listeners {
            let failed = |source| Error::Listen { address: wanted.listen.clone(), source };
            let socket = TcpListener::bind(&wanted.listen).await.map_err(failed)?;
            let address = socket.local_addr().map_err(failed)?;
            let listener = Arc::new(Listener::open(wanted, address, &config)?);
            let shared = Shared { listener, open: Arc::default(), complained: Mutex::default() };
            doors.push(Door { socket, shared: Arc::new(shared) });
        }
        let users = config.users.as_ref().map(|path| Users::open(path, config.seed)).transpose()?;
        let groups = Arc::new(Coordinator::new(Arc::clone(&clock), &config));
        let node = Node {
            cluster_id: StrBytes::from_string(log.cluster_id()),
            topic_ids: TopicIds::new(&log),
            consumers: Consumers::new(Arc::clone(&clock), &config, &log, Arc::clone(&groups)),
            groups,
            clock,
            log,
            metrics: Metrics::default(),
            sessions: Mutex::default(),
            users: users.map(Arc::new),
            logins: Semaphore::new(LOGINS),
            random: Mutex::new(Random::seed_from_u64(config.seed)),
            commits: RwLock::default(),
            config,
        };
        Ok(Self { doors, node: Arc::new(node) })
    }

    /// A handle.
    pub fn handle(&self) -> Handle {
        let doors = self.doors.iter().map(|door| Arc::clone(&door.shared)).collect();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let origin = Origin { listener: Arc::new(Listener::inside(nowhere)), local: nowhere, peer: nowhere };
        Handle { doors, node: Arc::clone(&self.node), origin: Arc::new(origin) }
    }

    /// Serves until told to stop; then connections finish what they have begun.
    ///
    /// # Errors
    /// None today: what goes wrong with one connection ends that connection.
    pub async fn run(self, shutdown: watch::Receiver<bool>) -> Result<(), Error> {
        let Self { doors, node } = self;
        let limits = &node.config.limits;
        let places = Places {
            all: Arc::new(Semaphore::new(limits.connections)),
            strangers: Arc::new(Semaphore::new(limits.strangers)),
        };
        let mut parts = JoinSet::new();
        let (timed, watching) = (Arc::clone(&node), shutdown.clone());
        parts.spawn(async move { timed.groups.keep_time(watching).await });
        let (timed, watching) = (Arc::clone(&node), shutdown.clone());
        parts.spawn(async move { timed.consumers.keep_time(watching).await });
        let (aging, watching) = (Arc::clone(&node), shutdown.clone());
        parts.spawn(async move { retention::keep(&aging, watching).await });
        for door in doors {
            parts.spawn(door.serve(Arc::clone(&node), places.clone(), shutdown.clone()));
        }
        while parts.join_next().await.is_some() {}
        Ok(())
    }
}

/// Places for connections, of all listeners together.
#[derive(Clone)]
struct Places {
    all: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Door {
    async fn serve(self, node: Arc<Node>, places: Places, shutdown: watch::Receiver<bool>) {
        let mut stopping = shutdown.clone();
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                () = stopped(&mut stopping) => break,
                accepted = self.socket.accept() => match accepted {
                    Ok((stream, peer)) => self.welcome(stream, peer, &node, &places, &mut connections, &shutdown),
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
    }

    fn welcome(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        node: &Arc<Node>,
        places: &Places,
        connections: &mut JoinSet<()>,
        shutdown: &watch::Receiver<bool>,
    ) {
        let both = (Arc::clone(&places.all).try_acquire_owned(), Arc::clone(&places.strangers).try_acquire_owned());
        let (Ok(seat), Ok(place)) = both else {
            node.metrics.turned_away.fetch_add(1, Ordering::Relaxed);
            self.shared.complain(node, || tracing::warn!(%peer, "a Kafka client was turned away: there are too many"));
            return;
        };
        node.metrics.connections.fetch_add(1, Ordering::Relaxed);
        let newcomer = Newcomer { stream, peer, listener: Arc::clone(&self.shared.listener), place };
        let (node, shared, shutdown) = (Arc::clone(node), Arc::clone(&self.shared), shutdown.clone());
        let open = Arc::clone(&shared.open);
        connections.spawn(async move {
            if let Err(reason) = connection::serve(newcomer, Arc::clone(&node), shutdown).await {
                shared.farewell(peer, &reason, &node);
            }
            drop((seat, open));
        });
    }
}

impl Shared {
    /// Tells why a connection was closed: operators of what has to be set right, and others who ask.
    fn farewell(&self, peer: SocketAddr, reason: &Hangup, node: &Node) {
        node.metrics.hung_up(reason);
        let listener = self.listener.name.as_str();
        tracing::debug!(%peer, listener, %reason, "a Kafka client's connection was closed");
        if reason.is_misconfiguration() {
            self.complain(node, || tracing::warn!(%peer, listener, %reason, "a Kafka client cannot connect"));
        }
    }

    fn complain(&self, node: &Node, tell: impl FnOnce()) {
        let now = node.clock.monotonic();
        let mut complained = self.complained.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if complained.is_none_or(|last| now.saturating_sub(last) >= COMPLAIN_EVERY) {
            *complained = Some(now);
            tell();
        }
    }
}

/// Waits until the broker is told to stop, or nobody is left to tell it.
pub(crate) async fn stopped(shutdown: &mut watch::Receiver<bool>) {
    let _ = shutdown.wait_for(|stop| *stop).await;
}
