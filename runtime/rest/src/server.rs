//! The server: binds, routes, serves, drains.
//!
//! It listens before there is a worker, so that probes and clients get an answer in JSON and not a refused connection; the worker is
//! handed in through [`Opening`]. At shutdown it takes no new requests, ends streams, and gives those under way a moment.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use towpath_http::{Connections, Door};
use towpath_model::Clock;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::connect::progress;
use crate::fault::Fault;
use crate::guard::{self, Guard};
use crate::v1::{retries, tap};
use crate::{Config, Error, Kafka, Log, Loggers, connect, health, kafka, loggers, metrics, openapi, plugins, v1};

/// What is served once the worker is there.
pub struct Served {
    /// The worker.
    pub worker: towpath_worker::Handle,
    /// Its log.
    pub log: Arc<dyn Log>,
    /// Its Kafka side.
    pub kafka: Arc<dyn Kafka>,
    /// What it logs.
    pub loggers: Arc<dyn Loggers>,
    /// Shown as `kafka_cluster_id`.
    pub cluster_id: String,
    /// The worker's id, `host:port` of this listener.
    pub worker_id: String,
    /// When the process started, in milliseconds since the epoch.
    pub started_ms: i64,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// A server that listens.
pub struct Server {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
    stage: Stage,
}

/// Opens the server once the worker is there. Until then it answers that it is starting.
pub struct Opening(Arc<OnceLock<Arc<Served>>>);

impl Opening {
    /// Serves this worker from now on; a second call changes nothing.
    pub fn open(&self, served: Arc<Served>) {
        if self.0.set(served).is_err() {
            tracing::debug!("the REST server is open already");
        }
    }
}

impl Server {
    /// Listens. Connections wait until [`run`](Self::run).
    ///
    /// # Errors
    /// [`Error::Bind`]; [`Error::TokenMissing`] off loopback where nobody is asked who he is.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let failed = |source| Error::Bind { address: config.listen.clone(), source: Arc::new(source) };
        let listener = TcpListener::bind(&config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() && !config.access.asks() {
            return Err(Error::TokenMissing { address });
        }
        let (_, closing) = watch::channel(false);
        let stage = Stage { served: Arc::new(OnceLock::new()), closing };
        Ok(Self { config, listener, address, stage })
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The means to open the server.
    pub fn opening(&self) -> Opening {
        Opening(Arc::clone(&self.stage.served))
    }

    /// Serves until `shutdown` becomes true, then drains for a few seconds.
    ///
    /// # Errors
    /// [`Error::Serve`].
    pub async fn run(mut self, shutdown: watch::Receiver<bool>) -> Result<(), Error> {
        self.stage.closing = shutdown.clone();
        let guard = Guard {
            door: Door::new(self.address, self.config.access.clone()),
            scheme: if self.config.tls.is_some() { "https" } else { "http" },
            body_bytes_max: self.config.body_bytes_max,
            request_timeout: self.config.request_timeout,
        };
        let app = guarded(routes(self.stage).0, guard);
        let (max, idle_timeout) = (self.config.connections_max, self.config.idle_timeout);
        let connections = Connections::new(self.listener, max, idle_timeout, self.config.tls);
        towpath_http::serve(connections, app, shutdown).await.map_err(|error| Error::Serve(Arc::new(error)))
    }
}

/// All routes, behind nothing, and the document that names them.
pub(crate) fn routes(stage: Stage) -> (Router, utoipa::openapi::OpenApi) {
    let (router, document) = OpenApiRouter::with_openapi(openapi::Document::openapi())
        .routes(routes!(health::server_info))
        .routes(routes!(health::health))
        .routes(routes!(health::livez))
        .routes(routes!(health::readyz))
        .routes(routes!(metrics::metrics))
        .routes(routes!(connect::list, connect::create))
        .routes(routes!(connect::info, connect::delete))
        .routes(routes!(connect::config, connect::put_config, connect::patch_config))
        .routes(routes!(connect::status))
        .routes(routes!(connect::restart))
        .routes(routes!(connect::pause))
        .routes(routes!(connect::resume))
        .routes(routes!(connect::stop))
        .routes(routes!(progress::tasks))
        .routes(routes!(progress::task_status))
        .routes(routes!(progress::restart_task))
        .routes(routes!(progress::topics))
        .routes(routes!(progress::reset_topics))
        .routes(routes!(progress::offsets, progress::alter_offsets, progress::reset_offsets))
        .routes(routes!(plugins::list))
        .routes(routes!(plugins::keys))
        .routes(routes!(plugins::validate))
        .routes(routes!(loggers::list))
        .routes(routes!(loggers::level, loggers::set))
        .routes(routes!(v1::status))
        .routes(routes!(v1::validate))
        .routes(routes!(v1::connector))
        .routes(routes!(tap::tap))
        .routes(routes!(retries::list, retries::drop_all))
        .routes(routes!(retries::retry_all))
        .routes(routes!(retries::show, retries::edit, retries::drop_one))
        .routes(routes!(retries::retry_one))
        .routes(routes!(retries::replay_dead_letters))
        .routes(routes!(kafka::call))
        .routes(routes!(v1::topics))
        .routes(routes!(v1::topic))
        .routes(routes!(v1::records))
        .split_for_parts();
    let served = openapi::Served::new(&document);
    let router = router
        .route("/openapi.json", get(move || std::future::ready(served.answer())))
        .fallback(|| std::future::ready(Fault::http(StatusCode::NOT_FOUND)))
        .method_not_allowed_fallback(|| std::future::ready(Fault::http(StatusCode::METHOD_NOT_ALLOWED)))
        .with_state(stage);
    (router, document)
}

/// Puts the guard around the whole router, so that it may change the path before anything is matched.
pub(crate) fn guarded(routes: Router, guard: Guard) -> Router {
    Router::new().fallback_service(routes).layer(from_fn_with_state(Arc::new(guard), guard::check))
}

/// What handlers are given: the worker, if it is there yet, and whether the server is closing.
#[derive(Clone)]
pub(crate) struct Stage {
    served: Arc<OnceLock<Arc<Served>>>,
    closing: watch::Receiver<bool>,
}

impl Stage {
    /// What is served, once the worker answers.
    pub(crate) fn served(&self) -> Option<&Arc<Served>> {
        self.served.get().filter(|served| *served.worker.ready().borrow())
    }

    /// Becomes true when the server closes.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.clone()
    }

    /// A stage that serves this.
    #[cfg(test)]
    pub(crate) fn of(served: Option<Arc<Served>>) -> Self {
        let cell = OnceLock::new();
        if let Some(served) = served {
            _ = cell.set(served);
        }
        Self { served: Arc::new(cell), closing: watch::channel(false).1 }
    }
}

/// What is served; requests that need it get 503 until it is there.
pub(crate) struct App(pub(crate) Arc<Served>);

impl<S: Send + Sync> FromRequestParts<S> for App
where
    Stage: FromRef<S>,
{
    type Rejection = Fault;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Fault> {
        let stage = Stage::from_ref(state);
        stage.served().map(|served| Self(Arc::clone(served))).ok_or_else(|| {
            Fault::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "The worker is starting: its configuration is being read from the log",
            )
        })
    }
}

/// How clients reach the server, as the guard tells it to whoever writes a URL.
#[derive(Clone, Copy)]
pub(crate) struct Scheme(pub(crate) &'static str);

/// The largest body, as the guard tells it to whoever reads one.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);
