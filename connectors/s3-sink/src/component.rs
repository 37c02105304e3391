//! The glue to the guest's world: the host's object store as [`Store`], and the task as the SDK's `Sink`. No decisions.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Config, ConnectorError, Fault, Flushed, Position, Spec, SystemClock, TopicPartition};
use towpath_sdk::settings::refused;
use towpath_sdk::{Context, Sink, log, metrics, object_store};

use crate::store::{self, Store, StoreError, Upload};
use crate::{S3Sink, Settings};

struct Task(S3Sink<HostStore>);

impl Sink for Task {
    fn spec() -> Spec {
        crate::spec()
    }

    fn validate(config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(Settings::parse(config).err().unwrap_or_default())
    }

    fn open(context: Context) -> Result<Self, ConnectorError> {
        let settings = Settings::parse(&context.config).map_err(refused)?;
        let store = object_store::Store::open(&settings.store).map_err(store::told)?;
        Ok(Self(S3Sink::new(settings, HostStore(store), Arc::new(SystemClock::default()), context.buffer_bytes_max)))
    }

    fn assigned(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        self.0.assigned(positions);
        self.report();
        Ok(())
    }

    fn revoked(&mut self, partitions: &[TopicPartition]) -> Result<(), ConnectorError> {
        self.0.revoked(partitions);
        Ok(())
    }

    fn put(&mut self, records: Batch) -> Result<(), ConnectorError> {
        let outcome = self.0.put(&records);
        self.report();
        outcome
    }

    fn flush(&mut self, handed_over: &[Position]) -> Result<Flushed, ConnectorError> {
        let outcome = self.0.flush(handed_over);
        self.report();
        outcome
    }

    fn next_flush(&self) -> Option<Duration> {
        self.0.next_flush_ms().map(Duration::from_millis)
    }

    fn close(self) {
        self.0.close();
    }
}

impl Task {
    fn report(&mut self) {
        metrics::record_all(self.0.counts().take().into_iter().map(|metric| (metric.name, metric.reading)));
        self.0.take_notes().into_iter().for_each(log::warn);
    }
}

struct HostStore(object_store::Store);

/// In parts, or whole.
enum HostUpload {
    Parts(object_store::Upload),
    Whole(object_store::Writing),
}

impl Store for HostStore {
    type Upload = HostUpload;

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<HostUpload, StoreError> {
        self.0.begin_put(path, bytes).map(HostUpload::Whole)
    }

    fn upload(&mut self, path: &str) -> Result<HostUpload, StoreError> {
        self.0.upload(path).map(HostUpload::Parts)
    }

    fn list(&mut self, prefix: &str, after: Option<&str>, max: u32) -> Result<Vec<String>, StoreError> {
        Ok(self.0.list(prefix, after, max)?.into_iter().map(|object| object.path).collect())
    }

    fn delete(&mut self, path: &str) -> Result<(), StoreError> {
        match self.0.delete(path) {
            Err(StoreError::NotFound(_)) => Ok(()),
            other => other,
        }
    }
}

impl Upload for HostUpload {
    fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Parts(upload) => upload.write(bytes),
            Self::Whole(_) => unreachable!("all bytes of a whole object are on their way"),
        }
    }

    fn complete(self) -> Result<(), StoreError> {
        match self {
            Self::Parts(upload) => upload.complete().map(|_| ()),
            Self::Whole(writing) => writing.wait(),
        }
    }
}

towpath_sdk::export_sink!(Task);
