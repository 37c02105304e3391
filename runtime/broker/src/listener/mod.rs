//! Where clients come in: each listener has a name, an address, what its clients are told to connect to, and a security protocol.
//!
//! `parse` reads them in Kafka's notation, `tls` holds the certificate, and the connection does the rest.

mod parse;
#[cfg(test)]
mod tests;
mod tls;

use std::net::SocketAddr;

use kafka_protocol::protocol::StrBytes;

use crate::config::Config;
use crate::error::Error;
use crate::sasl::Mechanism;

pub use tls::Certificate;
pub(crate) use tls::is_tls;

/// A listener that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Its name, in capitals.
    pub name: String,
    /// Where to listen, `host:port`; port 0 lets the system choose.
    pub listen: String,
    /// What clients are told to connect to, `host:port`; none tells each the address it came to.
    pub advertised: Option<String>,
    /// What it speaks.
    pub protocol: Protocol,
}

/// Kafka's security protocols.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Protocol {
    Plaintext,
    Ssl,
    SaslPlaintext,
    SaslSsl,
}

impl Protocol {
    const ALL: [Self; 4] = [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl];

    /// Its name in Kafka.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.name() == name)
    }

    /// Whether it speaks TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether clients must log in.
    pub fn is_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// A listener that is open.
pub(crate) struct Listener {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) protocol: Protocol,
    /// What clients may log in with; none where they need not.
    pub(crate) mechanisms: Vec<Mechanism>,
    pub(crate) certificate: Option<Certificate>,
    advertised: Option<(StrBytes, i32)>,
}

impl Listener {
    /// What a listener at `address` is to be, if it may.
    ///
    /// # Errors
    /// [`Error::Exposed`], [`Error::Advertised`], [`Error::Tls`], [`Error::CertificateMissing`], [`Error::Listener`].
    pub(crate) fn open(wanted: &ListenerConfig, address: SocketAddr, config: &Config) -> Result<Self, Error> {
        let ListenerConfig { name, protocol, .. } = wanted.clone();
        let certificate = match (&config.tls, protocol.is_tls()) {
            (_, false) => None,
            (Some(files), true) => Some(Certificate::load(files)?),
            (None, true) => return Err(Error::CertificateMissing { listener: name, protocol: protocol.name() }),
        };
        let local = address.ip().is_loopback();
        let checks_certificates = certificate.as_ref().is_some_and(Certificate::is_demanded);
        if !local && !protocol.is_sasl() && !checks_certificates && !config.allow_remote {
            return Err(Error::Exposed { listener: name, address, protocol: protocol.name() });
        }
        let mechanisms = if protocol.is_sasl() { offered(config, protocol.is_tls() || local) } else { Vec::new() };
        if protocol.is_sasl() && mechanisms.is_empty() {
            let reason = "no SASL mechanism is offered".to_owned();
            return Err(Error::Listener { text: name, reason });
        }
        let advertised = wanted.advertised.as_deref().map(|address| parse::advertised(&name, address)).transpose()?;
        Ok(Self { name, address, protocol, mechanisms, certificate, advertised })
    }

    /// Where requests come in that come over no connection.
    pub(crate) fn inside(address: SocketAddr) -> Self {
        let (name, protocol) = ("INSIDE".to_owned(), Protocol::Plaintext);
        Self { name, address, protocol, mechanisms: Vec::new(), certificate: None, advertised: None }
    }

    /// The address a client that came to `local` is told.
    pub(crate) fn endpoint(&self, local: SocketAddr) -> (StrBytes, i32) {
        let came_to = || (StrBytes::from_string(local.ip().to_canonical().to_string()), i32::from(local.port()));
        self.advertised.clone().unwrap_or_else(came_to)
    }
}

/// PLAIN sends the password itself, so it is offered by default only where nobody can listen in.
fn offered(config: &Config, private: bool) -> Vec<Mechanism> {
    let default = || Mechanism::ALL.into_iter().filter(|mechanism| private || *mechanism != Mechanism::Plain).collect();
    config.mechanisms.clone().unwrap_or_else(default)
}
