//! Logging, metrics and control: what a component tells the runtime. Nothing here waits or reaches outside.

use towpath_model::{Metric, Reading};

use crate::bindings::imports::towpath::connect::{control, logging, metrics};
use crate::guest::Guest;

/// More readings in one call are a mistake of the component.
const READINGS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 200;

impl logging::Host for Guest {
    fn log(&mut self, level: logging::Level, message: String) -> wasmtime::Result<()> {
        let (task, message) = (&self.scope.label, self.scope.redactor.clean(message));
        match level {
            logging::Level::Trace => tracing::trace!(target: "towpath::connector", %task, "{message}"),
            logging::Level::Debug => tracing::debug!(target: "towpath::connector", %task, "{message}"),
            logging::Level::Info => tracing::info!(target: "towpath::connector", %task, "{message}"),
            logging::Level::Warn => tracing::warn!(target: "towpath::connector", %task, "{message}"),
            logging::Level::Error => tracing::error!(target: "towpath::connector", %task, "{message}"),
        }
        Ok(())
    }
}

impl metrics::Host for Guest {
    fn record_all(&mut self, readings: Vec<(String, metrics::Reading)>) -> wasmtime::Result<()> {
        let Some(telemetry) = &self.scope.telemetry else { return Ok(()) };
        let metric = |(name, reading)| Metric {
            name,
            reading: match reading {
                metrics::Reading::Counter(by) => Reading::Counter(by),
                metrics::Reading::Gauge(value) => Reading::Gauge(value),
            },
        };
        let sound = readings.into_iter().take(READINGS_MAX).filter(|(name, _)| is_name(name));
        telemetry.metrics(sound.map(metric).collect());
        Ok(())
    }
}

impl control::Host for Guest {
    fn request_reconfiguration(&mut self, reason: String) -> wasmtime::Result<()> {
        if let Some(telemetry) = &self.scope.telemetry {
            telemetry.request_reconfiguration(self.scope.redactor.clean(reason));
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits)
}
