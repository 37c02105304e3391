//! Puts the task behind the SDK's trait, and the host's capabilities behind the task's. Decides nothing itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Checkpoint, Config, ConnectorError, Fault, Polled, Reading, Reason, Spec, SystemClock};
use towpath_sdk::streams::{self, Chunk, StreamError};
use towpath_sdk::{Context, Part, Reader, ShareProgress, SharedSource, Source, Turn, scratch};

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::error::Error;
use crate::network::{Host, Level, NetworkError, READ_BYTES_MAX, Read, Stream, Tls, Verify, Waited};
use crate::scratch::{ScratchError, ScratchFile};
use crate::stream::Limits;
use crate::task::{Run, Task};
use crate::wire::Login;
use crate::{config, safety, snapshot, validate};

/// The source, as the SDK knows it.
pub struct PostgresCdc {
    task: Task,
    login: Login,
}

impl Source for PostgresCdc {
    fn spec() -> Spec {
        config::spec()
    }

    fn validate(config: &Config, connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        let settings = match Settings::parse(config) {
            Ok(settings) => settings,
            Err(error) => return Ok(vec![fault_of(error)]),
        };
        if !connect {
            return Ok(Vec::new());
        }
        let mut catalog = Catalog::new(Arc::new(Guest), Arc::new(SystemClock::default()), settings.login.clone());
        let faults = safety::look(&mut catalog, &settings);
        catalog.close();
        Ok(faults)
    }

    fn alter_offsets(offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        validate::offsets(offsets).map_err(|reason| ConnectorError::config("offset", reason))
    }

    fn open(context: Context, offsets: Vec<Checkpoint>) -> Result<Self, ConnectorError> {
        let settings = settings(&context.config)?;
        let login = settings.login.clone();
        let run = Run { task: context.task, id: context.run_id };
        let task = Task::open(settings, &run, &offsets, Arc::new(Guest), Arc::new(SystemClock::default()));
        let task = task.map_err(|error| error.told(&login))?;
        Ok(Self { task, login })
    }

    fn poll(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Polled, ConnectorError> {
        let limits = limits(max_wait, max_records, max_bytes);
        self.task.poll(limits).map_err(|error| error.told(&self.login))
    }

    fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        self.task.commit(offsets).map_err(|error| error.told(&self.login))
    }

    fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        self.task.keep_alive().map_err(|error| error.told(&self.login))
    }

    fn close(self) {
        self.task.close();
    }
}

/// A configuration that cannot be read.
fn fault_of(error: Error) -> Fault {
    match error {
        Error::Setting { key, reason } => Fault::error(key, Reason::coded("config.invalid_value", reason)),
        other => Fault::error("connector.class", other.to_string()),
    }
}

/// The settings of a task, which are not refused for the first time here.
fn settings(config: &Config) -> Result<Settings, ConnectorError> {
    Settings::parse(config).map_err(|error| {
        let Fault { key, reason, .. } = fault_of(error);
        ConnectorError::Config { key, reason }
    })
}

impl SharedSource for PostgresCdc {
    type Reader = SnapshotReader;

    fn next_turn(&mut self, free: u32) -> Result<Turn, ConnectorError> {
        let turn = self.task.turn(free).and_then(|turn| match turn {
            snapshot::Turn::Task => Ok(Turn::Task),
            snapshot::Turn::Share(share) => share.to_bytes().map(Turn::Share),
            snapshot::Turn::Wait => Ok(Turn::Wait),
        });
        turn.map_err(|error| error.told(&self.login))
    }

    fn fold(&mut self, report: &[u8]) -> Result<Vec<Checkpoint>, ConnectorError> {
        let report = snapshot::Report::parse(report);
        report.and_then(|report| self.task.fold(report)).map_err(|error| error.told(&self.login))
    }

    fn recall(&mut self) {
        self.task.recall();
    }
}

/// A reader of the snapshot, as the SDK knows it.
pub struct SnapshotReader {
    reader: snapshot::Reader,
    login: Login,
}

impl Reader for SnapshotReader {
    fn open(context: Context) -> Result<Self, ConnectorError> {
        let settings = settings(&context.config)?;
        let login = settings.login.clone();
        let run = Run { task: context.task, id: context.run_id };
        let reader = snapshot::Reader::new(settings, &run, Arc::new(Guest), Arc::new(SystemClock::default()));
        Ok(Self { reader, login })
    }

    fn begin(&mut self, share: &[u8]) -> Result<(), ConnectorError> {
        let share = snapshot::Share::parse(share);
        share.and_then(|share| self.reader.begin(share)).map_err(|error| error.told(&self.login))
    }

    fn read(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Part, ConnectorError> {
        let part =
            self.reader.read(limits(max_wait, max_records, max_bytes)).map_err(|error| error.told(&self.login))?;
        let progress = match &part.report {
            Some(report) if report.done => ShareProgress::Done,
            Some(_) => ShareProgress::More,
            None => ShareProgress::Idle,
        };
        let report = part.report.map_or(Ok(Vec::new()), |report| report.to_bytes());
        Ok(Part { records: part.records, report: report.map_err(|error| error.told(&self.login))?, progress })
    }

    fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        self.reader.keep_alive().map_err(|error| error.told(&self.login))
    }

    fn close(self) {
        self.reader.close();
    }
}

fn limits(max_wait: Duration, max_records: u32, max_bytes: u32) -> Limits {
    Limits { records: max_records.max(1) as usize, bytes: max_bytes.max(1) as usize, wait: max_wait }
}

/// The host, as seen from inside the component.
struct Guest;

impl Host for Guest {
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> Result<Box<dyn Stream>, NetworkError> {
        // A server that does not answer at all is given up sooner than one that thinks.
        let connection = streams::Connection::connect(host, port, timeout.min(Duration::from_secs(30)));
        Ok(Box::new(GuestStream(connection.map_err(network_error)?)))
    }

    fn scratch(&self) -> Result<Box<dyn ScratchFile>, ScratchError> {
        Ok(Box::new(GuestFile(scratch::File::create().map_err(scratch_error)?)))
    }

    fn pause(&self, max: Duration) -> Waited {
        waited(&streams::wait(&[], max))
    }

    fn log(&self, level: Level, text: fmt::Arguments<'_>) {
        let text = text.to_string();
        match level {
            Level::Debug => towpath_sdk::log::debug(text),
            Level::Info => towpath_sdk::log::info(text),
            Level::Warn => towpath_sdk::log::warn(text),
        }
    }

    fn record(&self, readings: &[(&'static str, Reading)]) {
        towpath_sdk::metrics::record_all(readings.iter().copied());
    }
}

struct GuestStream(streams::Connection);

impl Stream for GuestStream {
    fn start_tls(&mut self, tls: &Tls) -> Result<(), NetworkError> {
        let options = streams::Tls {
            verify: match tls.verify {
                Verify::None => streams::Verify::None,
                Verify::Authority => streams::Verify::Authority,
                Verify::Full => streams::Verify::Full,
            },
            roots_key: tls.roots_key.map(Into::into),
            certificate_key: tls.certificate_key.map(Into::into),
            private_key_key: tls.private_key_key.map(Into::into),
        };
        self.0.start_tls(&options).map_err(network_error)
    }

    fn read(&mut self, into: &mut Vec<u8>) -> Result<Read, NetworkError> {
        match self.0.read(READ_BYTES_MAX as u32).map_err(network_error)? {
            Chunk::Pending => Ok(Read::Pending),
            Chunk::Closed => Ok(Read::Closed),
            // Mostly all before was read, and the bytes need not be copied.
            Chunk::Bytes(bytes) if into.is_empty() => {
                *into = bytes;
                Ok(Read::Some)
            }
            Chunk::Bytes(bytes) => {
                into.extend_from_slice(&bytes);
                Ok(Read::Some)
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), NetworkError> {
        self.0.write(bytes).map_err(network_error)
    }

    fn wait(&mut self, max: Duration) -> Waited {
        waited(&streams::wait(&[&self.0], max))
    }
}

struct GuestFile(scratch::File);

impl ScratchFile for GuestFile {
    fn append(&mut self, bytes: &[u8]) -> Result<(), ScratchError> {
        self.0.append(bytes).map_err(scratch_error)
    }

    fn read(&mut self, offset: u64, max: u32) -> Result<Vec<u8>, ScratchError> {
        self.0.read(offset, max).map_err(scratch_error)
    }
}

fn scratch_error(error: scratch::ScratchError) -> ScratchError {
    match error {
        scratch::ScratchError::Full(text) => ScratchError::Full(text),
        scratch::ScratchError::Io(text) => ScratchError::Io(text),
    }
}

fn waited(waited: &streams::Waited) -> Waited {
    match waited {
        streams::Waited::Ready(_) => Waited::Ready,
        streams::Waited::Timeout => Waited::Timeout,
        streams::Waited::Interrupted => Waited::Interrupted,
    }
}

fn network_error(error: StreamError) -> NetworkError {
    match error {
        StreamError::Denied(text) => NetworkError::Denied(text),
        StreamError::Connection(text) => NetworkError::Connection(text),
        StreamError::Tls(text) => NetworkError::Tls(text),
        StreamError::Timeout(text) => NetworkError::Timeout(text),
    }
}

towpath_sdk::export_shared_source!(PostgresCdc);
