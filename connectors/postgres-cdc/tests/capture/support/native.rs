//! The connector's view of its host, over the machine's own TCP.

use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use towpath_model::Reading;
use towpath_postgres_cdc::network::{Host, Level, NetworkError, READ_BYTES_MAX, Read, Stream, Tls, Waited};

/// Keeps what the connector says.
#[derive(Default)]
pub(crate) struct Native {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) readings: Mutex<Vec<(&'static str, Reading)>>,
}

struct NativeStream(TcpStream);

impl Host for Native {
    fn connect(&self, host: &str, port: u16, _timeout: Duration) -> Result<Box<dyn Stream>, NetworkError> {
        let stream = TcpStream::connect((host, port)).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        Ok(Box::new(NativeStream(stream)))
    }

    fn pause(&self, max: Duration) -> Waited {
        std::thread::park_timeout(max);
        Waited::Timeout
    }

    fn log(&self, _level: Level, text: fmt::Arguments<'_>) {
        self.lines.lock().expect("unpoisoned").push(text.to_string());
    }

    fn record(&self, readings: &[(&'static str, Reading)]) {
        *self.readings.lock().expect("unpoisoned") = readings.to_vec();
    }
}

impl Stream for NativeStream {
    fn start_tls(&mut self, _tls: &Tls) -> Result<(), NetworkError> {
        Err(NetworkError::Tls("not here".into()))
    }

    fn read(&mut self, into: &mut Vec<u8>) -> Result<Read, NetworkError> {
        self.0.set_nonblocking(true).map_err(broken)?;
        let before = into.len();
        into.resize(before + READ_BYTES_MAX, 0);
        let answer = self.0.read(&mut into[before..]);
        into.truncate(before + answer.as_ref().copied().unwrap_or(0));
        match answer {
            Ok(0) => Ok(Read::Closed),
            Ok(_) => Ok(Read::Some),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Read::Pending),
            Err(error) => Err(broken(error)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), NetworkError> {
        self.0.set_nonblocking(false).map_err(broken)?;
        self.0.write_all(bytes).map_err(broken)
    }

    fn wait(&mut self, max: Duration) -> Waited {
        let ready = self
            .0
            .set_nonblocking(false)
            .and_then(|()| self.0.set_read_timeout(Some(max.max(Duration::from_millis(1)))))
            .and_then(|()| self.0.peek(&mut [0]));
        match ready {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Waited::Timeout,
            _ => Waited::Ready,
        }
    }
}

fn broken(error: std::io::Error) -> NetworkError {
    NetworkError::Connection(error.to_string())
}
