//! The connector's view of its host, over the machine's own TCP.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use towpath_model::Reading;
use towpath_postgres_cdc::network::{Host, Level, NetworkError, READ_BYTES_MAX, Read, Stream, Tls, Waited};
use towpath_postgres_cdc::scratch::{ScratchError, ScratchFile};

/// Keeps what the connector says.
#[derive(Default)]
pub(crate) struct Native {
    pub(crate) lines: Mutex<Vec<String>>,
    pub(crate) readings: Mutex<Vec<(&'static str, Reading)>>,
    /// Counters of all readings, added up.
    pub(crate) counts: Mutex<BTreeMap<&'static str, u64>>,
    pub(crate) scratch: Arc<Scratch>,
}

impl Native {
    /// With so much space for scratch files.
    pub(crate) fn with_scratch(bytes: u64) -> Self {
        let native = Self::default();
        native.scratch.left.store(bytes, Ordering::Relaxed);
        native
    }

    pub(crate) fn count(&self, name: &str) -> u64 {
        self.counts.lock().expect("unpoisoned").get(name).copied().unwrap_or(0)
    }
}

/// The space for scratch files, and a fault in them.
pub(crate) struct Scratch {
    pub(crate) left: AtomicU64,
    /// So many blocks are read back soundly, and the one after them is not.
    pub(crate) sound_reads: AtomicU64,
}

impl Default for Scratch {
    fn default() -> Self {
        Self { left: AtomicU64::new(1 << 30), sound_reads: AtomicU64::new(u64::MAX) }
    }
}

struct NativeFile(File, u64, Arc<Scratch>);

impl ScratchFile for NativeFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), ScratchError> {
        let length = bytes.len() as u64;
        let taken = self.2.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(length));
        taken.map_err(|left| ScratchError::Full(format!("{left} bytes are left")))?;
        self.1 += length;
        self.0.seek(std::io::SeekFrom::End(0)).and_then(|_| self.0.write_all(bytes)).map_err(unkept)
    }

    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, ScratchError> {
        let mut bytes = vec![0; max as usize];
        let count = self.0.read_at(&mut bytes, offset).map_err(unkept)?;
        bytes.truncate(count);
        if self.2.sound_reads.fetch_sub(1, Ordering::Relaxed) == 0 {
            bytes[count / 2] ^= 4;
        }
        Ok(bytes)
    }
}

impl Drop for NativeFile {
    fn drop(&mut self) {
        self.2.left.fetch_add(self.1, Ordering::Relaxed);
    }
}

fn unkept(error: std::io::Error) -> ScratchError {
    ScratchError::Io(error.to_string())
}

struct NativeStream(TcpStream);

impl Host for Native {
    fn connect(&self, host: &str, port: u16, _timeout: Duration) -> Result<Box<dyn Stream>, NetworkError> {
        let stream = TcpStream::connect((host, port)).map_err(broken)?;
        stream.set_nodelay(true).map_err(broken)?;
        Ok(Box::new(NativeStream(stream)))
    }

    fn scratch(&self) -> Result<Box<dyn ScratchFile>, ScratchError> {
        Ok(Box::new(NativeFile(tempfile::tempfile().map_err(unkept)?, 0, self.scratch.clone())))
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
        for (name, reading) in readings {
            if let Reading::Counter(by) = reading {
                *self.counts.lock().expect("unpoisoned").entry(name).or_default() += by;
            }
        }
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
