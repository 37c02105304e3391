//! Puts the task behind the SDK's trait, and the host's capabilities behind the task's. Decides nothing itself.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Checkpoint, Config, ConnectorError, Fault, Polled, Reading, Spec, SystemClock};
use towpath_sdk::streams::{self, Chunk, StreamError};
use towpath_sdk::{Context, Source};

use crate::catalog::Catalog;
use crate::config::Settings;
use crate::error::Error;
use crate::network::{Host, Level, NetworkError, READ_BYTES_MAX, Read, Stream, Tls, Verify, Waited};
use crate::stream::Limits;
use crate::task::{Run, Task};
use crate::{config, validate};

/// The source, as the SDK knows it.
pub struct PostgresCdc(Task);

impl Source for PostgresCdc {
    fn spec() -> Spec {
        config::spec()
    }

    fn validate(config: &Config, connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        let settings = match Settings::parse(config) {
            Ok(settings) => settings,
            Err(Error::Setting { key, reason }) => return Ok(vec![Fault::error(key, reason)]),
            Err(error) => return Err(error.into_connector_error()),
        };
        if !connect {
            return Ok(Vec::new());
        }
        let mut catalog = Catalog::new(Arc::new(Guest), Arc::new(SystemClock::default()), settings.login.clone());
        let faults = validate::validate(&mut catalog, &settings).map_err(Error::into_connector_error);
        let faults = faults.map(|faults| faults.into_iter().map(|(key, reason)| Fault::error(key, reason)).collect());
        catalog.close();
        faults
    }

    fn alter_offsets(offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        validate::offsets(offsets).map_err(|reason| ConnectorError::config("offset", reason))
    }

    fn open(context: Context, offsets: Vec<Checkpoint>) -> Result<Self, ConnectorError> {
        let settings = Settings::parse(&context.config).map_err(Error::into_connector_error)?;
        let run = Run { task: context.task, id: context.run_id };
        let task = Task::open(settings, &run, &offsets, Arc::new(Guest), Arc::new(SystemClock::default()));
        Ok(Self(task.map_err(Error::into_connector_error)?))
    }

    fn poll(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Polled, ConnectorError> {
        let limits = Limits { records: max_records.max(1) as usize, bytes: max_bytes.max(1) as usize, wait: max_wait };
        self.0.poll(limits).map_err(Error::into_connector_error)
    }

    fn commit(&mut self, offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        self.0.commit(offsets).map_err(Error::into_connector_error)
    }

    fn keep_alive(&mut self) -> Result<(), ConnectorError> {
        self.0.keep_alive().map_err(Error::into_connector_error)
    }

    fn close(self) {
        self.0.close();
    }
}

/// The host, as seen from inside the component.
struct Guest;

impl Host for Guest {
    fn connect(&self, host: &str, port: u16, timeout: Duration) -> Result<Box<dyn Stream>, NetworkError> {
        // A server that does not answer at all is given up sooner than one that thinks.
        let connection = streams::Connection::connect(host, port, timeout.min(Duration::from_secs(30)));
        Ok(Box::new(GuestStream(connection.map_err(network_error)?)))
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

towpath_sdk::export_source!(PostgresCdc);
