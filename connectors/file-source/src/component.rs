//! The glue to the guest's world: the host's files and waits, and the task as the SDK's `Source`.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Checkpoint, Clock, Config, ConnectorError, Fault, Polled, Progress, Spec, SystemClock};
use towpath_sdk::files::{FileError, Reader};
use towpath_sdk::settings::{self, refused};
use towpath_sdk::{Context, Source, log, streams};

use crate::{Lines, at, check, checkpoint};

/// How often a file that has come to its end is looked at again.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// The most that is read at once.
const READ_BYTES: u32 = 4 << 20;
/// The most that is held of a line whose end was not read yet.
const LINE_BYTES_MAX: usize = 16 << 20;

struct Settings {
    file: String,
    topic: String,
    batch_lines: usize,
}

struct Task {
    settings: Settings,
    lines: Lines,
    /// None while there is no such file.
    reader: Option<Reader>,
    is_missed: bool,
    clock: Arc<dyn Clock>,
}

impl Settings {
    fn parse(config: &Config) -> Result<Self, Vec<Fault>> {
        let mut reader = settings::Reader::new(&crate::spec(), config);
        let batch_lines = reader.number("batch.size", 1..=i32::MAX.into());
        let settings = Self {
            file: reader.text("file"),
            topic: reader.text("topic"),
            batch_lines: usize::try_from(batch_lines).unwrap_or(usize::MAX),
        };
        reader.finish(settings)
    }
}

impl Source for Task {
    fn spec() -> Spec {
        crate::spec()
    }

    fn validate(config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(Settings::parse(config).err().unwrap_or_default())
    }

    fn alter_offsets(offsets: &[Checkpoint]) -> Result<(), ConnectorError> {
        check(offsets)
    }

    fn open(context: Context, offsets: Vec<Checkpoint>) -> Result<Self, ConnectorError> {
        let settings = Settings::parse(&context.config).map_err(refused)?;
        let lines = Lines::from(at(&settings.file, &offsets)?);
        let clock = Arc::new(SystemClock::default());
        Ok(Self { settings, lines, reader: None, is_missed: false, clock })
    }

    fn poll(&mut self, max_wait: Duration, max_records: u32, max_bytes: u32) -> Result<Polled, ConnectorError> {
        let lines_max = self.settings.batch_lines.min(max_records as usize);
        let mut waited = false;
        loop {
            let records = self.lines.take(&self.settings.topic, lines_max, max_bytes as usize, self.clock.now_ms());
            // Read on only where no whole line is left, so that what is held is never more than was read at once and a line's part.
            let more = !records.is_empty() || self.read()?;
            if !records.is_empty() || (waited && !more) {
                return Ok(self.polled(records));
            }
            if !more {
                streams::wait(&[], max_wait.min(LOOK_EVERY));
                waited = true;
            }
        }
    }

    fn commit(&mut self, _: &[Checkpoint]) -> Result<(), ConnectorError> {
        Ok(())
    }
}

impl Task {
    fn polled(&self, records: Batch) -> Polled {
        let checkpoint = (!records.is_empty()).then(|| checkpoint(&self.settings.file, self.lines.position()));
        let size = self.reader.as_ref().and_then(|reader| reader.size().ok());
        Polled {
            progress: if records.is_empty() { Progress::Idle } else { Progress::More },
            checkpoints: checkpoint.into_iter().collect(),
            lag_ms: None,
            lag_bytes: size.map(|size| size.saturating_sub(self.lines.position())),
            records,
            transaction_ends: Vec::new(),
        }
    }

    /// Reads on, and says whether there was something.
    fn read(&mut self) -> Result<bool, ConnectorError> {
        self.find()?;
        let Some(reader) = &self.reader else { return Ok(false) };
        let read = reader.read(self.lines.end(), READ_BYTES).map_err(failed)?;
        if self.lines.held() + read.len() > LINE_BYTES_MAX {
            return Err(ConnectorError::fatal(format!(
                "{} has a line longer than {} MiB at byte {}",
                self.settings.file,
                LINE_BYTES_MAX >> 20,
                self.lines.position()
            )));
        }
        self.lines.extend(&read);
        Ok(!read.is_empty())
    }

    /// Opens the file as soon as there is one.
    fn find(&mut self) -> Result<(), ConnectorError> {
        if self.reader.is_some() {
            return Ok(());
        }
        let file = &self.settings.file;
        match Reader::open(file) {
            Ok(reader) => {
                if reader.size().map_err(failed)? < self.lines.position() {
                    log::warn(format!(
                        "{file} is shorter than what was read of it: it is taken for another file and read from its start"
                    ));
                    self.lines = Lines::default();
                }
                self.reader = Some(reader);
            }
            Err(FileError::NotFound(_)) if self.is_missed => {}
            Err(FileError::NotFound(_)) => {
                self.is_missed = true;
                log::warn(format!("{file} does not exist; it is waited for"));
            }
            Err(error) => return Err(failed(error)),
        }
        Ok(())
    }
}

fn failed(error: FileError) -> ConnectorError {
    match error {
        FileError::Denied(reason) => ConnectorError::config("file", reason),
        error => ConnectorError::retriable(error.to_string()),
    }
}

towpath_sdk::export_source!(Task);
