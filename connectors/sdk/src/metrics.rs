//! Numbers for status and metrics: one call a batch, never one a record.

use towpath_model::Reading;

use crate::bindings::imports::towpath::connect::metrics as wit;

/// Reports numbers. Names are words joined by underscores; `snapshot_rows_done` and `snapshot_rows_total` are shown as progress.
pub fn record_all<N: Into<String>>(readings: impl IntoIterator<Item = (N, Reading)>) {
    let readings: Vec<_> = readings
        .into_iter()
        .map(|(name, reading)| {
            let reading = match reading {
                Reading::Counter(by) => wit::Reading::Counter(by),
                Reading::Gauge(value) => wit::Reading::Gauge(value),
            };
            (name.into(), reading)
        })
        .collect();
    if !readings.is_empty() {
        wit::record_all(&readings);
    }
}
