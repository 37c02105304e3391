//! HTTP: requests of a task to the endpoints that its configuration names. The only home of reqwest.
//!
//! The host keeps connections, does TLS and adds credentials, which the guest never sees. Lanes keep order: requests of one
//! lane follow each other, and the first that is not answered with 2xx ends its lane. Every redirect is checked like a first
//! request and loses credentials when it leaves the origin; the address resolved is the address dialled.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::StreamExt;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};
use tokio::time::Instant;
use towpath_model::{Capability, Scheme};

use super::allowed::{Denied, permitted};
use super::{Held, Services, require};
use crate::Error;
use crate::bindings::imports::towpath::connect::http as wit;
use crate::error::chain;
use crate::guest::{Guest, Scope};

const BODY_BYTES_MAX: usize = 64 << 10;
/// A longer answer is not read to its end: its connection is closed instead of kept.
const DRAIN_BYTES_MAX: usize = 1 << 20;
const REDIRECTS_MAX: usize = 5;
const IN_FLIGHT_MAX: usize = 1_024;
const REQUESTS_MAX: usize = 10_000;
const HEADERS_BYTES_MAX: usize = 16 << 10;
/// Of what the host may hold for a task, the part that answers may take; bodies beyond it are cut.
const ANSWERS_SHARE: usize = 8;
/// A connection on which nothing comes back is asked for a sign of life, and given up without one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_RETRIES: u32 = 3;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// After so long no further request is begun: those left are answered as not sent, and the guest's call can end in time.
const BEGIN_MAX: Duration = Duration::from_secs(120);

type Answer = Result<wit::Response, wit::HttpError>;

impl wit::Host for Guest {
    async fn send_all(&mut self, requests: Vec<wit::Request>, max_in_flight: u32) -> wasmtime::Result<Vec<Answer>> {
        if let Err(reason) = require(self, Capability::Http) {
            return Ok(requests.iter().map(|_| Err(wit::HttpError::Denied(reason.clone()))).collect());
        }
        if requests.len() > REQUESTS_MAX {
            let reason = format!("{} requests at once, {REQUESTS_MAX} are allowed", requests.len());
            return Ok(requests.iter().map(|_| Err(wit::HttpError::Invalid(reason.clone()))).collect());
        }
        self.meter.rested();
        let client = match client(&self.scope.services) {
            Ok(client) => client,
            Err(error) => {
                let reason = chain(&error);
                return Ok(requests.iter().map(|_| Err(wit::HttpError::Invalid(reason.clone()))).collect());
            }
        };
        let in_flight = usize::try_from(max_in_flight).unwrap_or(IN_FLIGHT_MAX).clamp(1, IN_FLIGHT_MAX);
        let mut answers: Vec<Answer> = requests.iter().map(|_| Err(wit::HttpError::NotSent)).collect();
        let begin_until = Instant::now() + BEGIN_MAX;
        let lanes = lanes(requests).into_iter();
        let room = Held::new(self.held.max() / ANSWERS_SHARE);
        let lanes = lanes.map(|lane| run_lane(self.scope.clone(), client.clone(), lane, begin_until, &room));
        let mut finished = futures::stream::iter(lanes).buffer_unordered(in_flight);
        while let Some(lane) = finished.next().await {
            for (index, answer) in lane {
                if let Some(place) = answers.get_mut(index) {
                    *place = answer;
                }
            }
        }
        Ok(answers)
    }
}

/// The client that all tasks share.
///
/// # Errors
/// When TLS cannot be set up.
pub(crate) fn client(services: &Services) -> Result<Client, Error> {
    if let Some(client) = services.http.get() {
        return Ok(client.clone());
    }
    let client = Client::builder()
        .redirect(Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(Resolver { allow_link_local: services.allow_link_local }))
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_keepalive_interval(KEEP_ALIVE_INTERVAL)
        .tcp_keepalive_retries(KEEP_ALIVE_RETRIES)
        .pool_idle_timeout(Duration::from_secs(60))
        .tcp_nodelay(true)
        .user_agent(concat!("towpath/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(Error::Http)?;
    Ok(services.http.get_or_init(|| client).clone())
}

fn lanes(requests: Vec<wit::Request>) -> Vec<Vec<(usize, wit::Request)>> {
    let mut places = HashMap::new();
    let mut lanes: Vec<Vec<(usize, wit::Request)>> = Vec::new();
    for (index, request) in requests.into_iter().enumerate() {
        let place = *places.entry(request.lane).or_insert(lanes.len());
        match lanes.get_mut(place) {
            Some(lane) => lane.push((index, request)),
            None => lanes.push(vec![(index, request)]),
        }
    }
    lanes
}

async fn run_lane(
    scope: Arc<Scope>,
    client: Client,
    lane: Vec<(usize, wit::Request)>,
    begin_until: Instant,
    room: &Held,
) -> Vec<(usize, Answer)> {
    let mut answers = Vec::with_capacity(lane.len());
    for (index, request) in lane {
        if Instant::now() >= begin_until {
            break;
        }
        let answer = answer(&scope, &client, request, room).await;
        let goes_on = answer.as_ref().is_ok_and(|response| (200..300).contains(&response.status));
        answers.push((index, answer));
        if !goes_on {
            break;
        }
    }
    answers
}

async fn answer(scope: &Scope, client: &Client, request: wit::Request, room: &Held) -> Answer {
    let asked = Duration::from_millis(request.timeout_ms.into());
    let timeout = if asked.is_zero() { TIMEOUT_DEFAULT } else { asked.min(scope.services.limits.call_max) };
    match tokio::time::timeout(timeout, follow(scope, client, request, room)).await {
        Ok(answer) => answer,
        Err(_) => Err(wit::HttpError::Timeout(format!("no answer within {} ms", timeout.as_millis()))),
    }
}

/// Sends a request and follows redirects that keep its method and body.
async fn follow(scope: &Scope, client: &Client, request: wit::Request, room: &Held) -> Answer {
    let method = Method::from_bytes(request.method.as_bytes()).map_err(|_| invalid("the method is malformed"))?;
    let first = Url::parse(&request.url).map_err(|error| invalid(&format!("the URL is malformed: {error}")))?;
    let own_headers = headers(&request.headers)?;
    let credential = match &request.credential {
        Some(name) => credential(scope, name)?,
        None => None,
    };
    let body = Bytes::from(request.body);
    let mut url = first.clone();
    for _ in 0..=REDIRECTS_MAX {
        scope.allowed.url(&url).map_err(|denied| wit::HttpError::Denied(denied.0))?;
        let mut headers = own_headers.clone();
        if url.origin() == first.origin() {
            headers.extend(credential.clone());
        } else {
            headers.remove(AUTHORIZATION);
        }
        let sent = client.request(method.clone(), url.clone()).headers(headers).body(body.clone()).send().await;
        let response = sent.map_err(failure)?;
        match redirect(&method, &response, &url) {
            Some(next) => url = next,
            None => return read(response, room).await,
        }
    }
    Err(wit::HttpError::Connection(format!("more than {REDIRECTS_MAX} redirects")))
}

/// Where a redirect leads, when following it keeps the meaning of the request: a record must not be lost to a GET.
fn redirect(method: &Method, response: &reqwest::Response, url: &Url) -> Option<Url> {
    let keeps_method = matches!(response.status(), StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let reads = *method == Method::GET || *method == Method::HEAD;
    if !response.status().is_redirection() || !(keeps_method || reads) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    url.join(location).ok()
}

async fn read(mut response: reqwest::Response, room: &Held) -> Answer {
    let status = response.status().as_u16();
    let mut left = HEADERS_BYTES_MAX;
    let headers = response.headers().iter().map_while(|(name, value)| {
        left = left.checked_sub(name.as_str().len() + value.len())?;
        Some((name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
    });
    let headers = headers.collect();
    let mut body = Vec::new();
    let mut seen = 0;
    while seen < DRAIN_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                seen += chunk.len();
                let wanted = chunk.len().min(BODY_BYTES_MAX - body.len());
                let kept = if room.spend(wanted) { wanted } else { 0 };
                body.extend_from_slice(chunk.get(..kept).unwrap_or_default());
            }
            Ok(None) => break,
            Err(error) => return Err(failure(error)),
        }
    }
    Ok(wit::Response { status, headers, body })
}

fn headers(given: &[(String, String)]) -> Result<HeaderMap, wit::HttpError> {
    const HOSTS_OWN: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];
    let mut headers = HeaderMap::with_capacity(given.len());
    for (name, value) in given {
        let fault = |what: &str| invalid(&format!("the header {name:?} {what}"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| fault("has a malformed name"))?;
        if HOSTS_OWN.contains(&parsed.as_str()) {
            return Err(fault("is set by the host"));
        }
        headers.append(parsed, HeaderValue::from_str(value).map_err(|_| fault("has a malformed value"))?);
    }
    Ok(headers)
}

/// The header of a credential, or none when its keys are not set.
fn credential(scope: &Scope, name: &str) -> Result<Option<(HeaderName, HeaderValue)>, wit::HttpError> {
    let credential = scope.credentials.iter().find(|credential| credential.name == name);
    let credential = credential.ok_or_else(|| invalid(&format!("the spec has no credential {name:?}")))?;
    let value = |key: &str| scope.config.get(key);
    let (header, text) = match &credential.scheme {
        Scheme::Basic { user_key, password_key } => {
            let Some(user) = value(user_key) else { return Ok(None) };
            let pair = format!("{user}:{}", value(password_key).unwrap_or_default());
            (AUTHORIZATION, format!("Basic {}", BASE64.encode(pair)))
        }
        Scheme::Bearer { token_key } => match value(token_key) {
            Some(token) => (AUTHORIZATION, format!("Bearer {token}")),
            None => return Ok(None),
        },
        Scheme::Header { header_key, value_key } => match (value(header_key), value(value_key)) {
            (Some(header), Some(value)) => {
                let header = HeaderName::from_bytes(header.as_bytes());
                (header.map_err(|_| invalid(&format!("`{header_key}` is no name of a header")))?, value.to_owned())
            }
            _ => return Ok(None),
        },
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| invalid(&format!("the credential {name:?} cannot stand in a header")))?;
    value.set_sensitive(true);
    Ok(Some((header, value)))
}

fn failure(error: reqwest::Error) -> wit::HttpError {
    let error = error.without_url();
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(denied) = inner.downcast_ref::<Denied>() {
            return wit::HttpError::Denied(denied.0.clone());
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        wit::HttpError::Timeout(chain(&error))
    } else if error.is_builder() {
        wit::HttpError::Invalid(chain(&error))
    } else {
        wit::HttpError::Connection(chain(&error))
    }
}

fn invalid(reason: &str) -> wit::HttpError {
    wit::HttpError::Invalid(reason.to_owned())
}

/// Resolves names with the system's resolver and leaves out addresses that tasks may not reach.
struct Resolver {
    allow_link_local: bool,
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow_link_local = self.allow_link_local;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            let kept = permitted(&host, found, allow_link_local)?;
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}
