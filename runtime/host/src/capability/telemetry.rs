//! Logging, metrics and control: what a component tells the runtime. Nothing here waits or reaches outside.

use towpath_model::{Metric, Reading};

use crate::bindings::imports::towpath::connect::{control, logging, metrics};
use crate::guest::{Guest, clean};

/// More readings in one call are a mistake of the component.
const READINGS_MAX: usize = 1_000;
const NAME_BYTES_MAX: usize = 200;

/// Writes a line when somebody wants to see it and the task has not written too many; what was left out is told with it.
macro_rules! line {
    ($guest:ident, $level:ident, $message:ident) => {
        if tracing::enabled!(target: "towpath::connector", tracing::Level::$level)
            && let Some(left_out) = $guest.lines.admit($guest.scope.services.clock.monotonic())
        {
            let (task, message) = (&$guest.scope.label, clean(&$guest.scope.redactor, &$message));
            let left_out = (left_out > 0).then_some(left_out);
            tracing::event!(target: "towpath::connector", tracing::Level::$level, %task, left_out, "{message}");
        }
    };
}

impl logging::Host for Guest {
    fn log(&mut self, level: logging::Level, message: String) -> wasmtime::Result<()> {
        match level {
            logging::Level::Trace => line!(self, TRACE, message),
            logging::Level::Debug => line!(self, DEBUG, message),
            logging::Level::Info => line!(self, INFO, message),
            logging::Level::Warn => line!(self, WARN, message),
            logging::Level::Error => line!(self, ERROR, message),
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
            telemetry.request_reconfiguration(self.scope.redactor.redact(&reason).into_owned());
        }
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.bytes().all(fits)
}
