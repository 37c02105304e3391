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
}

impl Task {
    fn report(&mut self) {
        metrics::record_all(self.0.counts().take().into_iter().map(|metric| (metric.name, metric.reading)));
        self.0.take_notes().into_iter().for_each(log::warn);
    }
}

struct HostStore(object_store::Store);

struct HostUpload(object_store::Upload);

impl Store for HostStore {
    type Upload = HostUpload;

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
        self.0.put(path, bytes)
    }

    fn upload(&mut self, path: &str) -> Result<HostUpload, StoreError> {
        self.0.upload(path).map(HostUpload)
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
        self.0.write(bytes)
    }

    fn complete(self) -> Result<(), StoreError> {
        self.0.complete().map(|_| ())
    }
}

towpath_sdk::export_sink!(Task);
