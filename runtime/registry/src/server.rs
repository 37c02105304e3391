//! The listener: binds, guards, serves, drains.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::sync::watch;
use towpath_http::{Connections, Door, Visit};

use crate::fault::Fault;
use crate::{Config, Error, Registry, api};

/// A listener that waits to serve.
pub struct Server {
    config: Config,
    listener: TcpListener,
    address: SocketAddr,
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
        Ok(Self { config, listener, address })
    }

    /// The address in use.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown` becomes true, then drains for a few seconds.
    ///
    /// # Errors
    /// [`Error::Serve`].
    pub async fn run(self, registry: Registry, shutdown: watch::Receiver<bool>) -> Result<(), Error> {
        let door = Door::new(self.address, self.config.access.clone());
        let app = guarded(api::routes(registry.clone(), self.config.body_bytes_max), registry, door);
        let (max, idle_timeout) = (self.config.connections_max, self.config.idle_timeout);
        let connections = Connections::new(self.listener, max, idle_timeout, self.config.tls);
        towpath_http::serve(connections, app, shutdown).await.map_err(|error| Error::Serve(Arc::new(error)))
    }
}

/// Puts the door before the routes, and counts what comes out.
pub(crate) fn guarded(routes: Router, registry: Registry, door: Door) -> Router {
    routes.layer(from_fn_with_state(Arc::new((registry, door)), admitted))
}

async fn admitted(State(guard): State<Arc<(Registry, Door)>>, request: Request, next: Next) -> Response {
    let (registry, door) = guard.as_ref();
    let visit = visit(request.method(), request.uri().path());
    let response = match door.admit(request.headers(), visit).await {
        Ok(()) => next.run(request).await,
        Err(refusal) => Fault::from(refusal).into_response(),
    };
    registry.answered(response.status().is_success());
    response
}

/// What a request is about: schemas are also looked up and compared by what is sent.
fn visit(method: &Method, path: &str) -> Visit {
    let looks_up =
        path.starts_with("/compatibility/") || path.starts_with("/subjects/") && path.split('/').count() == 3;
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Visit::Look,
        Method::POST if looks_up => Visit::Look,
        _ => Visit::Change,
    }
}
