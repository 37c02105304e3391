//! Listeners in Kafka's notation: `NAME://host:port`, what clients are told as `NAME://host:port`, and `NAME:PROTOCOL` for names that are
//! no protocol themselves. A bare `host:port` is a listener named by the one protocol that is wanted.

use kafka_protocol::protocol::StrBytes;

use super::{ListenerConfig, Protocol};
use crate::error::Error;

impl ListenerConfig {
    /// A listener for anyone.
    pub fn plaintext(listen: impl Into<String>) -> Self {
        let protocol = Protocol::Plaintext;
        Self { name: protocol.name().to_owned(), listen: listen.into(), advertised: None, protocol }
    }

    /// Reads listeners as Kafka's `listeners`, `advertised.listeners` and `listener.security.protocol.map` hold them.
    ///
    /// # Errors
    /// [`Error::Listener`], [`Error::Advertised`].
    pub fn parse_all(listeners: &[String], advertised: &[String], protocols: &[String]) -> Result<Vec<Self>, Error> {
        let map = protocols.iter().map(|text| mapped(text)).collect::<Result<Vec<_>, _>>()?;
        let mut all: Vec<Self> = Vec::with_capacity(listeners.len());
        for text in listeners {
            let wrong = |reason: String| Error::Listener { text: text.clone(), reason };
            let (name, listen) = named(text);
            let name = name.unwrap_or_else(|| Protocol::Plaintext.name().to_owned());
            let known = map.iter().find(|(mapped, _)| *mapped == name).map(|(_, protocol)| *protocol);
            let protocol = known.or_else(|| Protocol::find(&name)).ok_or_else(|| {
                wrong(format!(
                    "{name} is no security protocol, and none is given for it. Add {name}:SSL or another of {}",
                    names()
                ))
            })?;
            host_and_port(listen).map_err(|reason| wrong(reason.to_owned()))?;
            if all.iter().any(|other| other.name == name) {
                return Err(wrong(format!("{name} names another listener already. Give it a name of its own")));
            }
            all.push(Self { name, listen: listen.to_owned(), advertised: None, protocol });
        }
        let single = all.len() == 1;
        for text in advertised {
            let (name, address) = named(text);
            let wanted = |listener: &&mut Self| match &name {
                Some(name) => listener.name == *name,
                None => single,
            };
            let Some(listener) = all.iter_mut().find(wanted) else {
                let reason = match &name {
                    Some(name) => format!("no listener is called {name}"),
                    None => "there are several listeners. Say which one is meant: NAME://host:port".to_owned(),
                };
                return Err(Error::Listener { text: text.clone(), reason });
            };
            self::advertised(&listener.name, address)?;
            listener.advertised = Some(address.to_owned());
        }
        Ok(all)
    }
}

fn names() -> String {
    Protocol::ALL.map(Protocol::name).join(", ")
}

/// The name ahead of `://`, in capitals, and what follows.
fn named(text: &str) -> (Option<String>, &str) {
    match text.split_once("://") {
        Some((name, rest)) => (Some(name.to_uppercase()), rest),
        None => (None, text),
    }
}

fn mapped(text: &str) -> Result<(String, Protocol), Error> {
    let wrong = |reason: String| Error::Listener { text: text.to_owned(), reason };
    let (name, protocol) = text.split_once(':').ok_or_else(|| wrong("it is written NAME:PROTOCOL".to_owned()))?;
    let found = Protocol::find(&protocol.to_uppercase());
    Ok((name.to_uppercase(), found.ok_or_else(|| wrong(format!("{protocol} is none of {}", names())))?))
}

/// The parts of an address; the host is without the brackets of IPv6.
fn host_and_port(address: &str) -> Result<(&str, u16), &'static str> {
    let (host, port) = address.rsplit_once(':').ok_or("it has no port. It is written host:port")?;
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    if inner.is_none() && host.contains(':') {
        return Err("an IPv6 address stands in brackets: [::1]:9092");
    }
    let port = port.parse().map_err(|_| "its port is no number up to 65535")?;
    match inner.unwrap_or(host) {
        "" => Err("it has no host. To listen on all addresses, write 0.0.0.0"),
        host => Ok((host, port)),
    }
}

/// What clients are told, as the protocol has it.
pub(super) fn advertised(listener: &str, address: &str) -> Result<(StrBytes, i32), Error> {
    let wrong = |reason| Error::Advertised { listener: listener.to_owned(), address: address.to_owned(), reason };
    let (host, port) = host_and_port(address).map_err(wrong)?;
    if port == 0 {
        return Err(wrong("port 0 is no port that a client can connect to"));
    }
    if host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
        return Err(wrong("it means all addresses of this machine. Name one that the clients can reach"));
    }
    Ok((StrBytes::from_string(host.to_owned()), i32::from(port)))
}
