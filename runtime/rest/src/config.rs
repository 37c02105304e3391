//! What the REST server may be told: where to listen, who may ask, and its limits.

use std::time::Duration;

use towpath_model::Secret;

/// Settings of the server.
#[derive(Clone, Debug)]
pub struct Config {
    /// Host and port to listen on; port 0 lets the system choose.
    pub listen: String,
    /// Clients must send this as a bearer token. Needed off loopback.
    pub token: Option<Secret>,
    /// The largest request body.
    pub body_bytes_max: usize,
    /// How long a request may take, streams apart.
    pub request_timeout: Duration,
    /// A connection on which nothing moves for so long is closed.
    pub idle_timeout: Duration,
    /// How many connections are served at once; further ones wait.
    pub connections_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8083".to_owned(),
            token: None,
            body_bytes_max: 1024 * 1024,
            request_timeout: Duration::from_secs(90),
            idle_timeout: Duration::from_secs(120),
            connections_max: 256,
        }
    }
}
