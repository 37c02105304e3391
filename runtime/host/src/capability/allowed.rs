//! The endpoints that a task may reach: those that its configuration names under keys marked as endpoints, and no others.
//!
//! Names are compared as the configuration gives them; the addresses they resolve to are checked as well, and the address
//! that was checked is the one that is dialled. Link-local and metadata addresses need the operator's word.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use reqwest::Url;
use towpath_model::{Config, ConfigKey, Endpoint, Spec};

/// Something is not permitted. The text says what, and which key would permit it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Denied(pub(crate) String);

/// What a task may reach.
#[derive(Clone, Debug, Default)]
pub(crate) struct Allowed {
    permits: Vec<Permit>,
    url_keys: Vec<String>,
    host_keys: Vec<String>,
    store_keys: Vec<String>,
    file_keys: Vec<String>,
    allow_link_local: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Permit {
    Origin {
        scheme: String,
        host: String,
        port: u16,
    },
    Address {
        host: String,
        port: u16,
    },
    Store(String),
    File(String),
    /// The store of the cloud itself, when a key for a store is left unset.
    Aws,
}

impl Allowed {
    pub(crate) fn new(spec: &Spec, config: &Config, allow_link_local: bool) -> Self {
        let mut allowed = Self { allow_link_local, ..Self::default() };
        for key in &spec.keys {
            let value = value_of(key, config);
            match &key.endpoint {
                None => {}
                Some(Endpoint::Url) => {
                    allowed.url_keys.push(key.name.clone());
                    let values = value.unwrap_or_default().split(',').map(str::trim);
                    allowed.permits.extend(values.filter_map(origin));
                }
                Some(Endpoint::Host { port_key, default_port }) => {
                    allowed.host_keys.push(key.name.clone());
                    let port = config.get(port_key).and_then(|port| port.trim().parse().ok()).unwrap_or(*default_port);
                    let host = value.map(|host| host.trim().to_ascii_lowercase());
                    allowed.permits.extend(host.map(|host| Permit::Address { host, port }));
                }
                Some(Endpoint::File) => {
                    allowed.file_keys.push(key.name.clone());
                    allowed.permits.extend(value.map(|path| Permit::File(path.trim().to_owned())));
                }
                Some(Endpoint::Store) => {
                    allowed.store_keys.push(key.name.clone());
                    allowed.permits.push(value.map_or(Permit::Aws, |value| Permit::Store(store_name(value))));
                }
            }
        }
        allowed
    }

    /// Whether a request may go to this URL.
    pub(crate) fn url(&self, url: &Url) -> Result<(), Denied> {
        let shown = format!("{}://{}", url.scheme(), authority(url));
        let wanted = origin(url.as_str());
        if !wanted.is_some_and(|wanted| self.permits.contains(&wanted)) {
            return Err(denied(&shown, &self.url_keys));
        }
        match url.host_str().and_then(|host| host.trim_matches(['[', ']']).parse().ok()) {
            Some(address) => self.address(&shown, address),
            None => Ok(()),
        }
    }

    /// Whether a connection may be opened to this host and port.
    pub(crate) fn host(&self, host: &str, port: u16) -> Result<(), Denied> {
        let wanted = Permit::Address { host: host.to_ascii_lowercase(), port };
        if self.permits.contains(&wanted) { Ok(()) } else { Err(denied(&format!("{host}:{port}"), &self.host_keys)) }
    }

    /// Whether this object store may be used; none is the cloud's own.
    pub(crate) fn store(&self, url: Option<&str>) -> Result<(), Denied> {
        let wanted = url.map_or(Permit::Aws, |url| Permit::Store(store_name(url)));
        let shown = url.map_or_else(|| "the store of AWS".to_owned(), |url| format!("the store {url}"));
        if !self.permits.contains(&wanted) {
            return Err(denied(&shown, &self.store_keys));
        }
        let address = url.and_then(|url| Url::parse(url).ok());
        match address.as_ref().and_then(|url| url.host_str()?.trim_matches(['[', ']']).parse().ok()) {
            Some(address) => self.address(&shown, address),
            None => Ok(()),
        }
    }

    /// Whether this file may be opened.
    pub(crate) fn file(&self, path: &str) -> Result<(), Denied> {
        let wanted = Permit::File(path.trim().to_owned());
        if self.permits.contains(&wanted) { Ok(()) } else { Err(denied(path, &self.file_keys)) }
    }

    /// The addresses of a host that may be dialled.
    pub(crate) fn addresses(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Denied> {
        permitted(host, found, self.allow_link_local)
    }

    fn address(&self, shown: &str, address: IpAddr) -> Result<(), Denied> {
        permitted(shown, vec![SocketAddr::new(address, 0)], self.allow_link_local).map(drop)
    }
}

/// Leaves out link-local and metadata addresses.
///
/// # Errors
/// When nothing else is left.
pub(crate) fn permitted(host: &str, found: Vec<SocketAddr>, allow_link_local: bool) -> Result<Vec<SocketAddr>, Denied> {
    let (kept, refused): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|address| allow_link_local || !is_link_local(address.ip()));
    match refused.first() {
        Some(address) if kept.is_empty() => Err(Denied(format!(
            "{host} is the link-local or metadata address {}, where machines keep their own credentials; only the operator of the worker can permit it",
            address.ip()
        ))),
        _ => Ok(kept),
    }
}

fn is_link_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => {
            // An IPv4 address may hide in the last four bytes of a translated or compatible one, and behind the prefix of 6to4.
            let octets = address.octets();
            let [_, _, p, q, r, s, .., a, b, c, d] = octets;
            let embedded = matches!(address.segments(), [0x64, 0xff9b, ..] | [0, 0, 0, 0, 0, 0, ..]);
            address.is_unicast_link_local()
                // AWS keeps metadata and credentials of pods under this prefix.
                || matches!(address.segments(), [0xfd00, 0xec2, ..])
                || (embedded && is_local_v4(Ipv4Addr::new(a, b, c, d)))
                || (address.segments()[0] == 0x2002 && is_local_v4(Ipv4Addr::new(p, q, r, s)))
        }
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    // Azure, Alibaba and Oracle keep theirs outside of the link-local range.
    const METADATA: [Ipv4Addr; 3] =
        [Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(192, 0, 0, 192)];
    address.is_link_local() || METADATA.contains(&address)
}

fn value_of<'a>(key: &'a ConfigKey, config: &'a Config) -> Option<&'a str> {
    let set = std::iter::once(&key.name).chain(&key.aliases).find_map(|name| config.get(name));
    set.or(key.default.as_deref()).filter(|value| !value.trim().is_empty())
}

fn origin(text: &str) -> Option<Permit> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?.to_ascii_lowercase();
    Some(Permit::Origin { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default()? })
}

fn store_name(value: &str) -> String {
    value.trim().trim_end_matches('/').to_owned()
}

fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn denied(what: &str, keys: &[String]) -> Denied {
    let hint = match keys {
        [] => "the component declares no key that could permit it".to_owned(),
        [key] => format!("it would have to be the value of `{key}`"),
        keys => format!(
            "it would have to be the value of one of {}",
            keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    Denied(format!("{what} is not an endpoint of this task's configuration; {hint}"))
}

#[cfg(test)]
mod tests;
