//! A connection to the server: TLS, login, control queries, and the raw messages of COPY and replication.
//!
//! Queries use the simple protocol, which works alike on ordinary and on replication connections. A query may be begun
//! and asked for later ([`Connection::answer`]), so that one that takes long does not hold up the task.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use towpath_model::{Clock, Secret};

use super::login::start_tls;
use crate::error::{Error, ServerError};
use crate::network::{Host, Read, Stream, Tls, Waited};
use crate::wire::{Cursor, Frame, Inbound};

/// Whether the connection is encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SslMode {
    /// Never.
    Disable,
    /// When the server can.
    Prefer,
    /// Always.
    Require,
}

/// How to log in.
#[derive(Clone, Debug)]
pub struct Login {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Option<Secret>,
    /// The database.
    pub database: String,
    /// Whether to encrypt.
    pub ssl: SslMode,
    /// How to encrypt.
    pub tls: Tls,
    /// How the server shows us to its operators.
    pub application_name: String,
    /// How long the server may take to answer.
    pub timeout: Duration,
}

/// A row of a control query.
pub type Row = Vec<Option<String>>;

/// How a query was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// With rows, perhaps none.
    Rows(Vec<Row>),
    /// With a stream of COPY messages that now begins.
    Copying,
}

/// Why [`Connection::fill`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filled {
    /// Bytes have arrived.
    Some,
    /// None have, in all the time given.
    Nothing,
    /// The task is wanted elsewhere.
    Interrupted,
}

/// A connection that is logged in.
pub struct Connection {
    stream: Box<dyn Stream>,
    pub(super) inbound: Inbound,
    clock: Arc<dyn Clock>,
    timeout: Duration,
    parameters: BTreeMap<String, String>,
    rows: Vec<Row>,
    failure: Option<ServerError>,
    asked: String,
    /// When bytes last arrived.
    heard_at: Duration,
    /// Since when a sign of life that was asked for is due.
    sign_due_since: Option<Duration>,
}

/// Settings under which the server writes every value in the one form that the decoders read, for COPY and stream alike,
/// scans tables in order of place, and does not end our long, quiet transactions.
const SETTINGS: &str = "-c DateStyle=ISO,MDY -c IntervalStyle=postgres -c TimeZone=UTC -c extra_float_digits=3 \
    -c bytea_output=hex -c lc_monetary=C -c statement_timeout=0 -c lock_timeout=0 \
    -c idle_in_transaction_session_timeout=0 -c synchronize_seqscans=off -c max_parallel_workers_per_gather=0";

impl Connection {
    /// Connects and logs in, for replication or for queries.
    ///
    /// # Errors
    /// When the server cannot be reached or refuses.
    pub fn open(host: &dyn Host, login: &Login, replication: bool, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let mut stream = host.connect(&login.host, login.port, login.timeout)?;
        start_tls(stream.as_mut(), login, clock.as_ref())?;
        let heard_at = clock.monotonic();
        let mut connection = Self {
            stream,
            inbound: Inbound::default(),
            clock,
            timeout: login.timeout,
            parameters: BTreeMap::new(),
            rows: Vec::new(),
            failure: None,
            asked: "logging in".into(),
            heard_at,
            sign_due_since: None,
        };
        let mut parameters = vec![
            ("user", login.user.as_str()),
            ("database", login.database.as_str()),
            ("application_name", login.application_name.as_str()),
            ("client_encoding", "UTF8"),
            ("options", SETTINGS),
        ];
        if replication {
            parameters.push(("replication", "database"));
        }
        connection.write_with(|out| frontend::startup_message(parameters, out))?;
        connection.authenticate(login)?;
        connection.wait_answer()?;
        Ok(connection)
    }

    /// A setting that the server reported, such as `server_version`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.get(name).map(String::as_str)
    }

    /// Runs a query and waits for its rows.
    ///
    /// # Errors
    /// When the query fails or is not answered in time.
    pub fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        self.ask(sql)?;
        match self.wait_answer()? {
            Answer::Rows(rows) => Ok(rows),
            Answer::Copying => Err(Error::Protocol("a COPY where rows were expected")),
        }
    }

    /// Runs a query that begins COPY.
    ///
    /// # Errors
    /// When it fails or answers otherwise.
    pub fn copy(&mut self, sql: &str) -> Result<(), Error> {
        self.ask(sql)?;
        match self.wait_answer()? {
            Answer::Copying => Ok(()),
            Answer::Rows(_) => Err(Error::Protocol("rows where a COPY was expected")),
        }
    }

    /// Begins a query, to be answered later.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn ask(&mut self, sql: &str) -> Result<(), Error> {
        self.asked = sql.chars().take(80).collect();
        self.rows.clear();
        self.failure = None;
        self.write_with(|out| frontend::query(sql, out))
    }

    /// The answer to the query that was begun, if it has arrived whole within `max`.
    ///
    /// # Errors
    /// When the query failed.
    pub fn answer(&mut self, max: Duration) -> Result<Option<Answer>, Error> {
        let deadline = self.clock.monotonic() + max;
        loop {
            while let Some(frame) = self.next_frame()? {
                if let Some(answer) = self.take_in(&frame)? {
                    return Ok(Some(answer));
                }
            }
            let left = deadline.saturating_sub(self.clock.monotonic());
            if self.fill(left)? != Filled::Some {
                return Ok(None);
            }
        }
    }

    fn wait_answer(&mut self) -> Result<Answer, Error> {
        let deadline = self.clock.monotonic() + self.timeout;
        loop {
            let left = deadline.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return Err(Error::Unanswered(self.timeout));
            }
            // An interrupt does not end a control query: they are short, and half a query is no state to keep.
            if let Some(answer) = self.answer(left)? {
                return Ok(answer);
            }
        }
    }

    pub(super) fn take_in(&mut self, frame: &Frame) -> Result<Option<Answer>, Error> {
        let body = self.inbound.body(frame);
        match frame.tag {
            b'D' => self.rows.push(read_row(body)?),
            b'E' => self.failure = Some(read_error(body)),
            b'S' => {
                let mut cursor = Cursor::new(body);
                let (name, value) = (cursor.string()?.to_owned(), cursor.string()?.to_owned());
                self.parameters.insert(name, value);
            }
            b'H' | b'W' => return Ok(Some(Answer::Copying)),
            b'Z' => {
                return match self.failure.take() {
                    None => Ok(Some(Answer::Rows(std::mem::take(&mut self.rows)))),
                    Some(error) => Err(Error::Server { during: self.asked.clone(), error }),
                };
            }
            // Row descriptions, completions, notices, backend keys.
            _ => {}
        }
        Ok(None)
    }

    /// The next message that has arrived, if one has whole. Errors of the server come as errors.
    ///
    /// # Errors
    /// When the bytes are not the protocol.
    #[inline]
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        self.inbound.next_frame()
    }

    /// The body of a message handed out since the last [`fill`](Self::fill).
    #[inline]
    pub fn body(&self, frame: &Frame) -> &[u8] {
        self.inbound.body(frame)
    }

    /// Puts back the message that [`next_frame`](Self::next_frame) just handed out.
    pub fn put_back(&mut self, frame: &Frame) {
        self.inbound.put_back(frame);
    }

    /// The server's error in the body of an `E` message.
    pub fn server_error(&self, frame: &Frame) -> Error {
        Error::Server { during: self.asked.clone(), error: read_error(self.inbound.body(frame)) }
    }

    /// Takes in what has arrived; when nothing has, waits at most `max` for it.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn fill(&mut self, max: Duration) -> Result<Filled, Error> {
        if self.read()? {
            return Ok(Filled::Some);
        }
        // Looked at only when all that had arrived is read: the task may have been busy elsewhere for long.
        if let Some(since) = self.sign_due_since
            && self.clock.monotonic().saturating_sub(since) >= self.timeout
        {
            return Err(Error::Unanswered(self.timeout));
        }
        if max.is_zero() {
            return Ok(Filled::Nothing);
        }
        match self.stream.wait(max) {
            Waited::Interrupted => Ok(Filled::Interrupted),
            Waited::Timeout => Ok(Filled::Nothing),
            Waited::Ready => Ok(if self.read()? { Filled::Some } else { Filled::Nothing }),
        }
    }

    fn read(&mut self) -> Result<bool, Error> {
        match self.stream.read(self.inbound.room())? {
            Read::Some => {
                (self.heard_at, self.sign_due_since) = (self.clock.monotonic(), None);
                Ok(true)
            }
            Read::Pending => Ok(false),
            Read::Closed => Err(self.closed()),
        }
    }

    /// How long nothing has arrived.
    pub fn silent_for(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.heard_at)
    }

    /// The server was asked for a sign of life: without one for as long as an answer may take, it is taken for dead.
    pub fn expect_sign_of_life(&mut self) {
        self.sign_due_since.get_or_insert(self.clock.monotonic());
    }

    /// The reason the server gave before it closed, if it gave one.
    fn closed(&mut self) -> Error {
        match self.failure.take() {
            Some(error) => Error::Server { during: self.asked.clone(), error },
            None => Error::Closed,
        }
    }

    /// Sends bytes that are a message already.
    ///
    /// # Errors
    /// When the connection broke.
    pub fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Ok(self.stream.write(bytes)?)
    }

    /// Says goodbye; whether the server hears it does not matter.
    pub fn close(mut self) {
        let mut out = BytesMut::new();
        frontend::terminate(&mut out);
        let _ = self.stream.write(&out);
    }

    pub(super) fn write_with(&mut self, write: impl FnOnce(&mut BytesMut) -> std::io::Result<()>) -> Result<(), Error> {
        let mut out = BytesMut::new();
        write(&mut out).map_err(|_| Error::Protocol("a text of ours that holds a zero byte or is too long"))?;
        Ok(self.stream.write(&out)?)
    }

    pub(super) fn wait_message(&mut self) -> Result<Frame, Error> {
        let deadline = self.clock.monotonic() + self.timeout;
        loop {
            if let Some(frame) = self.next_frame()? {
                return Ok(frame);
            }
            let left = deadline.saturating_sub(self.clock.monotonic());
            if left.is_zero() {
                return Err(Error::Unanswered(self.timeout));
            }
            self.fill(left)?;
        }
    }
}

fn read_row(body: &[u8]) -> Result<Row, Error> {
    let mut cursor = Cursor::new(body);
    (0..cursor.u16()?)
        .map(|_| {
            let Ok(length) = usize::try_from(cursor.i32()?) else { return Ok(None) };
            let text = std::str::from_utf8(cursor.take(length)?);
            Ok(Some(text.map_err(|_| Error::Protocol("a catalog value that is not UTF-8"))?.to_owned()))
        })
        .collect()
}

fn read_error(body: &[u8]) -> ServerError {
    let mut error = ServerError::default();
    let mut cursor = Cursor::new(body);
    while let Ok(field) = cursor.u8() {
        if field == 0 {
            break;
        }
        let Ok(text) = cursor.string() else { break };
        match field {
            b'C' => error.code = text.to_owned(),
            b'M' => error.message = text.to_owned(),
            b'D' => error.detail = Some(text.to_owned()),
            b'H' => error.hint = Some(text.to_owned()),
            _ => {}
        }
    }
    error
}
