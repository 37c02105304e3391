//! What the registry's listener may be told: where to listen, who may ask, and its limits.

use std::fmt;
use std::time::Duration;

use towpath_http::{Acceptors, Access};

/// Settings of the listener.
#[derive(Clone)]
pub struct Config {
    /// Host and port to listen on; port 0 lets the system choose.
    pub listen: String,
    /// Who may ask. Off loopback somebody must be named.
    pub access: Access,
    /// Clients must speak TLS with this certificate; asked for each connection, so that it may be another.
    pub tls: Option<Acceptors>,
    /// The largest request body, and so the largest schema.
    pub body_bytes_max: usize,
    /// A connection on which nothing moves for so long is closed.
    pub idle_timeout: Duration,
    /// How many connections are served at once; further ones wait.
    pub connections_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8081".to_owned(),
            access: Access::default(),
            tls: None,
            body_bytes_max: 1024 * 1024,
            idle_timeout: Duration::from_secs(120),
            connections_max: 256,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config").field("listen", &self.listen).field("tls", &self.tls.is_some()).finish_non_exhaustive()
    }
}
