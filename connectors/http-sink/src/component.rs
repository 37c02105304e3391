//! The glue to the guest's world: the host's requests as [`Client`], and the task as the SDK's `Sink`. No decisions.

use std::sync::Arc;
use std::time::Duration;

use towpath_model::{Batch, Config, ConnectorError, Fault, Flushed, Position, Spec, SystemClock, TopicPartition};
use towpath_sdk::http::{self, HttpError, Request, Response};
use towpath_sdk::settings::refused;
use towpath_sdk::{Context, Sink, metrics};

use crate::{Client, HttpSink, Settings};

struct Task(HttpSink<HostClient>);

impl Sink for Task {
    fn spec() -> Spec {
        crate::spec()
    }

    fn validate(config: &Config, _connect: bool) -> Result<Vec<Fault>, ConnectorError> {
        Ok(Settings::parse(config).err().unwrap_or_default())
    }

    fn open(context: Context) -> Result<Self, ConnectorError> {
        let settings = Settings::parse(&context.config).map_err(refused)?;
        Ok(Self(HttpSink::new(settings, HostClient, Arc::new(SystemClock::default()), context.buffer_bytes_max)))
    }

    fn assigned(&mut self, positions: &[Position]) -> Result<(), ConnectorError> {
        self.0.assigned(positions);
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
    }
}

struct HostClient;

impl Client for HostClient {
    fn send_all(&mut self, requests: Vec<Request>, max_in_flight: u32) -> Vec<Result<Response, HttpError>> {
        http::send_all(requests, max_in_flight)
    }
}

towpath_sdk::export_sink!(Task);
