//! The glue to the guest's world: the host's files, and the task as the SDK's `Sink`.

use std::time::Duration;

use towpath_model::{Batch, Config, ConnectorError, Fault, Flushed, Position, Spec};
use towpath_sdk::files::{Appender, FileError};
use towpath_sdk::settings::{self, refused};
use towpath_sdk::{Context, Sink};

struct Task {
    file: Appender,
    lines: Vec<u8>,
}

fn file(config: &Config) -> Result<String, Vec<Fault>> {
    let reader = settings::Reader::new(&crate::spec(), config);
    let file = reader.text("file");
    reader.finish(file)
}

impl Sink for Task {
    fn spec() -> Spec {
        crate::spec()
    }

    fn validate(config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(file(config).err().unwrap_or_default())
    }

    fn open(context: Context) -> Result<Self, ConnectorError> {
        let file = Appender::open(&file(&context.config).map_err(refused)?).map_err(failed)?;
        Ok(Self { file, lines: Vec::new() })
    }

    fn put(&mut self, records: Batch) -> Result<(), ConnectorError> {
        self.lines.clear();
        crate::append(&records, &mut self.lines);
        self.file.append(&self.lines).map_err(failed)
    }

    fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        self.file.sync().map_err(failed)?;
        Ok(Flushed { offsets: handed_over.to_vec(), ..Flushed::default() })
    }

    fn next_flush(&self) -> Option<Duration> {
        None
    }
}

fn failed(error: FileError) -> ConnectorError {
    match error {
        FileError::Denied(reason) => ConnectorError::config("file", reason),
        error => ConnectorError::retriable(error.to_string()),
    }
}

towpath_sdk::export_sink!(Task);
