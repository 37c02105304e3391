//! A small HTTP server that keeps what it is sent and answers as a test wants: well, late, with an error, with garbage, or
//! not at all.
//!
//! Answers are taken from a queue, one for each request; when it is empty, the usual answer applies. While the server is
//! [down](Receiver::go_down) its port refuses connections and those that were open are cut.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

const GARBAGE: &[u8] = b"\x00\xffthis is no HTTP\r\n\r\n\x17";

/// How a request is answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Answer {
    /// With 200.
    #[default]
    Accept,
    /// With this status, which is no success, and a short body.
    Status(u16),
    /// With 429 and a `Retry-After` of that many seconds.
    Throttle(u64),
    /// With 200 after that long.
    Slow(Duration),
    /// With bytes that are no HTTP.
    Garbage,
    /// By closing the connection.
    Hangup,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Whether it was answered with 200.
    pub accepted: bool,
}

type Refuse = Box<dyn Fn(&[u8]) -> bool + Send>;
type Observe = Box<dyn FnMut(&Request) + Send>;

#[derive(Default)]
struct State {
    requests: Mutex<Vec<Request>>,
    script: Mutex<VecDeque<Answer>>,
    usual: Mutex<Answer>,
    refuse: Mutex<Option<(u16, Refuse)>>,
    observe: Mutex<Option<Observe>>,
    only_counts: AtomicBool,
    count: AtomicU64,
    body_bytes: AtomicU64,
    changed: Notify,
}

impl State {
    fn note(&self, request: Request) {
        match locked(&self.observe).as_mut() {
            Some(observe) if request.accepted => observe(&request),
            Some(_) => {}
            None => locked(&self.requests).push(request),
        }
    }
}

/// The running server.
pub struct Receiver {
    address: SocketAddr,
    state: Arc<State>,
    up: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Receiver {
    /// Starts on a free loopback port.
    pub async fn start() -> Result<Self> {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Starts at `address`.
    pub async fn start_at(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let (up, is_up) = watch::channel(true);
        let server = tokio::spawn(listen(listener, address, state.clone(), is_up));
        Ok(Self { address, state, up, server })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next requests with these, one each.
    pub fn answer_next(&self, answers: impl IntoIterator<Item = Answer>) {
        locked(&self.state.script).extend(answers);
    }

    /// Answers so whenever nothing else is set.
    pub fn answer_always(&self, answer: Answer) {
        *locked(&self.state.usual) = answer;
    }

    /// Answers 422 to bodies of which `is_bad` says so.
    pub fn refuse(&self, is_bad: impl Fn(&[u8]) -> bool + Send + 'static) {
        self.refuse_with(422, is_bad);
    }

    /// Answers with this status to bodies of which `is_bad` says so.
    pub fn refuse_with(&self, status: u16, is_bad: impl Fn(&[u8]) -> bool + Send + 'static) {
        *locked(&self.state.refuse) = Some((status, Box::new(is_bad)));
    }

    /// Shows each accepted request to `observe`, in order, and keeps none.
    pub fn on_accepted(&self, observe: impl FnMut(&Request) + Send + 'static) {
        *locked(&self.state.observe) = Some(Box::new(observe));
    }

    /// Counts requests and forgets them, as benchmarks need it.
    pub fn only_count(&self) {
        self.state.only_counts.store(true, Ordering::Relaxed);
    }

    /// How many requests came.
    pub fn count(&self) -> u64 {
        self.state.count.load(Ordering::Acquire)
    }

    /// How many bytes of bodies came.
    pub fn body_bytes(&self) -> u64 {
        self.state.body_bytes.load(Ordering::Acquire)
    }

    /// All requests, in the order in which they came.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.state.requests).clone()
    }

    /// The bodies of the requests that were answered with 200, in order.
    pub fn accepted(&self) -> Vec<Bytes> {
        locked(&self.state.requests)
            .iter()
            .filter(|request| request.accepted)
            .map(|request| request.body.clone())
            .collect()
    }

    /// Forgets all requests.
    pub fn clear(&self) {
        locked(&self.state.requests).clear();
    }

    /// Resolves when the next request has been read.
    pub async fn changed(&self) {
        self.state.changed.notified().await;
    }

    /// Refuses connections and cuts those that are open.
    pub fn go_down(&self) {
        self.up.send_replace(false);
    }

    /// Listens again, at the same address.
    pub fn come_up(&self) {
        self.up.send_replace(true);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn listen(first: TcpListener, address: SocketAddr, state: Arc<State>, mut is_up: watch::Receiver<bool>) {
    let mut listener = Some(first);
    loop {
        if !*is_up.borrow_and_update() {
            listener = None;
            if is_up.changed().await.is_err() {
                return;
            }
            continue;
        }
        let Some(open) = &listener else {
            // The port was ours a moment ago; the system may need another to give it back.
            listener = TcpListener::bind(address).await.ok();
            tokio::task::yield_now().await;
            continue;
        };
        tokio::select! {
            accepted = open.accept() => {
                if let Ok((stream, _)) = accepted {
                    let _ = stream.set_nodelay(true);
                    tokio::spawn(serve(stream, state.clone(), is_up.clone()));
                }
            }
            changed = is_up.changed() => if changed.is_err() { return },
        }
    }
}

/// Serves one connection until it closes or the server goes down.
async fn serve(stream: TcpStream, state: Arc<State>, mut is_up: watch::Receiver<bool>) {
    let spoilt = Arc::new(AtomicBool::new(false));
    let wire = TokioIo::new(Wire { stream, spoilt: spoilt.clone() });
    let service = service_fn(|request| answer(request, state.clone(), spoilt.clone()));
    let connection = hyper::server::conn::http1::Builder::new().serve_connection(wire, service);
    tokio::select! {
        _ = connection => {}
        _ = is_up.wait_for(|up| !up) => {}
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    state: Arc<State>,
    spoilt: Arc<AtomicBool>,
) -> Result<Response<Full<Bytes>>, io::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let refused = locked(&state.refuse).as_ref().filter(|(_, is_bad)| is_bad(&body)).map(|(status, _)| *status);
    let scripted = locked(&state.script).pop_front();
    let answer = scripted.unwrap_or_else(|| refused.map_or_else(|| locked(&state.usual).clone(), Answer::Status));
    state.body_bytes.fetch_add(body.len() as u64, Ordering::AcqRel);
    if !state.only_counts.load(Ordering::Relaxed) {
        let request = Request {
            method: head.method.to_string(),
            path: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
            headers: head.headers,
            body,
            accepted: matches!(answer, Answer::Accept | Answer::Slow(_)),
        };
        state.note(request);
    }
    state.count.fetch_add(1, Ordering::AcqRel);
    state.changed.notify_waiters();
    let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
    match answer {
        Answer::Accept => {}
        Answer::Status(code) => {
            *response.status_mut() = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            *response.body_mut() = Full::new(Bytes::from(format!("{{\"error\":\"asked to answer {code}\"}}")));
        }
        Answer::Throttle(seconds) => {
            *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        Answer::Slow(time) => tokio::time::sleep(time).await,
        Answer::Garbage => spoilt.store(true, Ordering::Release),
        Answer::Hangup => return Err(io::Error::from(io::ErrorKind::ConnectionReset)),
    }
    Ok(response)
}

/// A connection that, once spoilt, sends garbage in place of what it is given, and then closes.
struct Wire {
    stream: TcpStream,
    spoilt: Arc<AtomicBool>,
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.spoilt.load(Ordering::Acquire) {
            return Pin::new(&mut self.stream).poll_write(context, bytes);
        }
        match Pin::new(&mut self.stream).poll_write(context, GARBAGE) {
            Poll::Ready(Ok(_)) => Poll::Ready(Err(io::Error::from(io::ErrorKind::ConnectionAborted))),
            other => other,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
