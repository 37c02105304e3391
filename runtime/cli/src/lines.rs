//! The worker in lines for people: one per connector with state, rate, lag and, where something is wrong, the cause.
//!
//! Drawn live by `run` and `status`, printed once by `status` off a terminal. States are told by word; colour only repeats them.

use towpath_model::{ConnectorKind, ConnectorState, HealthLevel};
use towpath_rest::v1::{ConnectorOverview, Overview, Snapshot};

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const YELLOW: &str = "\x1b[33m";
const RESET: &str = "\x1b[0m";

/// The lines of a worker.
pub(crate) fn overview(overview: &Overview, colours: bool) -> Vec<String> {
    if overview.connectors.is_empty() {
        return vec!["  no connectors yet: put a .yaml file into the folder, or POST one to /connectors".to_owned()];
    }
    let rows: Vec<Row> = overview.connectors.iter().map(|connector| row(connector, overview.now_ms)).collect();
    let width = |column: usize| rows.iter().map(|row| row.cells[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    rows.iter().map(|row| row.line(&widths, colours)).collect()
}

const COLUMNS: usize = 6;
const STATE: usize = 3;

struct Row {
    /// Name, kind, class, state, rate, lag.
    cells: [String; COLUMNS],
    detail: String,
    tone: &'static str,
}

impl Row {
    fn line(&self, widths: &[usize; COLUMNS], colours: bool) -> String {
        let mut line = String::from("  ");
        for (column, (cell, width)) in self.cells.iter().zip(widths).enumerate() {
            if *width == 0 {
                continue;
            }
            let padding = " ".repeat(width - cell.chars().count());
            let (left, right) = if matches!(column, 4 | 5) { (padding.as_str(), "") } else { ("", padding.as_str()) };
            let tone = match column {
                0 => BOLD,
                STATE => self.tone,
                _ => "",
            };
            line.push_str(left);
            line.push_str(&toned(cell, tone, colours));
            line.push_str(right);
            line.push_str("  ");
        }
        line.push_str(&toned(&self.detail, if self.tone == GREEN { DIM } else { self.tone }, colours));
        line.trim_end().to_owned()
    }
}

fn toned(text: &str, tone: &str, colours: bool) -> String {
    if colours && !tone.is_empty() && !text.is_empty() { format!("{tone}{text}{RESET}") } else { text.to_owned() }
}

fn row(connector: &ConnectorOverview, now_ms: i64) -> Row {
    let kind = match connector.kind {
        Some(ConnectorKind::Source) => "source",
        Some(ConnectorKind::Sink) => "sink",
        Some(ConnectorKind::Transform) | None => "?",
    };
    let moves = matches!(connector.state, ConnectorState::Running);
    let rate = if moves { format!("{} rec/s", grouped(rounded(connector.records_per_second))) } else { String::new() };
    let failed_tasks = connector.tasks.iter().any(|task| task.state == towpath_model::TaskState::Failed);
    let tone = match connector.health.level {
        HealthLevel::Failed => RED,
        HealthLevel::Degraded | HealthLevel::Stalled => YELLOW,
        HealthLevel::Ok if connector.rejected.is_some() => YELLOW,
        HealthLevel::Ok if moves && !failed_tasks => GREEN,
        HealthLevel::Ok => DIM,
    };
    let cells = [
        connector.name.clone(),
        kind.to_owned(),
        connector.class.clone(),
        state(connector, failed_tasks).to_owned(),
        rate,
        lag(connector),
    ];
    Row { cells, detail: detail(connector, now_ms), tone }
}

/// Connect keeps a connector RUNNING when its tasks fail; people want to be told.
fn state(connector: &ConnectorOverview, failed_tasks: bool) -> &'static str {
    match connector.state {
        ConnectorState::Running if failed_tasks => "FAILED",
        ConnectorState::Unassigned => "STARTING",
        ConnectorState::Running => "RUNNING",
        ConnectorState::Paused => "PAUSED",
        ConnectorState::Stopped => "STOPPED",
        ConnectorState::Failed => "FAILED",
        ConnectorState::Restarting => "RESTARTING",
    }
}

fn lag(connector: &ConnectorOverview) -> String {
    if let Some(records) = connector.lag_records {
        return format!("lag {}", grouped(u64::try_from(records).unwrap_or(0)));
    }
    match (connector.lag_ms, connector.lag_bytes) {
        (Some(0), _) | (None, Some(0)) => "lag 0".to_owned(),
        (Some(millis), _) if millis < 1_000 => format!("lag {millis} ms"),
        (Some(millis), _) => format!("lag {}", span(millis)),
        (None, Some(bytes)) => format!("lag {}", size(bytes)),
        (None, None) => String::new(),
    }
}

/// What else there is to say; what hurts most comes first.
fn detail(connector: &ConnectorOverview, now_ms: i64) -> String {
    let mut parts = Vec::new();
    let retry = connector.tasks.iter().filter_map(|task| task.retry.as_ref()).max_by_key(|retry| retry.attempt);
    if let Some(retry) = retry {
        let wait = u64::try_from(retry.next_ms - now_ms).unwrap_or(0).div_ceil(1_000);
        let next = if wait == 0 { "now".to_owned() } else { format!("in {wait} s") };
        let cause = first_line(&retry.cause);
        parts.push(format!("{}: attempt {}, next {next}, {cause}", level(connector.health.level), retry.attempt));
    } else if connector.health.level != HealthLevel::Ok {
        let trace =
            connector.trace.as_deref().or_else(|| connector.tasks.iter().find_map(|task| task.trace.as_deref()));
        let reason =
            if connector.health.reason.is_empty() { trace.unwrap_or_default() } else { &connector.health.reason };
        parts.push(format!("{}: {}", level(connector.health.level), first_line(reason)));
    }
    // Where nothing worse is the matter, health has said so itself.
    let rejected = connector.rejected.as_deref().map(first_line);
    if let Some(reason) = rejected.filter(|reason| !parts.iter().any(|part| part.contains(reason))) {
        parts.push(format!("config rejected: {reason}"));
    }
    if let Some(snapshot) = connector.snapshot.filter(|snapshot| snapshot.rows_done < snapshot.rows_total) {
        parts.push(snapshot_words(snapshot));
    }
    if connector.dead_letters_total > 0 {
        parts.push(format!("{} dead letters", grouped(connector.dead_letters_total)));
    }
    if connector.state == ConnectorState::Running && connector.tasks.is_empty() && parts.is_empty() {
        parts.push("no tasks yet".to_owned());
    }
    parts.extend(connector.notes.iter().map(|note| first_line(note).to_owned()));
    parts.join("; ")
}

/// What there is to say of one connector beyond its line: where it stands, its tasks and partitions, its last errors.
pub(crate) fn details(connector: &ConnectorOverview, now_ms: i64) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(file) = &connector.file {
        lines.push(format!("    file    {file}"));
    }
    if let Some(version) = &connector.version {
        let digest = connector.digest.as_deref().and_then(|digest| digest.get(..12)).unwrap_or_default();
        lines.push(format!("    plugin  {}@{version} {digest}", connector.class));
    }
    for task in &connector.tasks {
        lines.push(format!(
            "    task {}  {:?}  {} records, {} retries, {} deferred, {} refused, {} dead letters, {} of memory",
            task.id,
            task.state,
            grouped(task.records_total),
            grouped(task.retries_total),
            grouped(task.deferred),
            grouped(task.errors_total),
            grouped(task.dead_letters_total),
            size(task.guest_memory_bytes),
        ));
        for partition in &task.partitions {
            let committed = partition.committed.map_or("nothing".to_owned(), |offset| offset.to_string());
            lines.push(format!(
                "      {}-{}  committed {committed} of {}, lag {}",
                partition.topic, partition.partition, partition.high_watermark, partition.lag
            ));
        }
        lines.extend(task.trace.iter().flat_map(|trace| trace.lines()).map(|line| format!("      {line}")));
    }
    for error in &connector.errors {
        let ago = span(u64::try_from(now_ms - error.at_ms).unwrap_or(0));
        let task = error.task.map_or(String::new(), |task| format!("task {task}: "));
        lines.push(format!("    {ago} ago  {task}{} [{}]", first_line(&error.message), error.code));
    }
    lines
}

fn level(level: HealthLevel) -> &'static str {
    match level {
        // A retry that has not yet told on health is still worth its word.
        HealthLevel::Ok | HealthLevel::Degraded => "degraded",
        HealthLevel::Stalled => "stalled",
        HealthLevel::Failed => "failed",
    }
}

fn snapshot_words(snapshot: Snapshot) -> String {
    let Snapshot { rows_done, rows_total, seconds_left } = snapshot;
    let mut words = match rows_done.saturating_mul(100).checked_div(rows_total) {
        None => format!("snapshot {} rows", grouped(rows_done)),
        Some(percent) => {
            format!("snapshot {} %, {} of about {} rows", percent.min(100), grouped(rows_done), grouped(rows_total))
        }
    };
    if let Some(seconds) = seconds_left.filter(|seconds| *seconds > 0) {
        words.push_str(&format!(", {} left", span(seconds.saturating_mul(1_000))));
    }
    words
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is never negative nor near u64's end"
)]
fn rounded(rate: f64) -> u64 {
    rate.round() as u64
}

/// A number with its thousands apart: 31,204.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A span of time in its largest two units: 1 h 4 min.
pub(crate) fn span(millis: u64) -> String {
    let seconds = millis / 1_000;
    match seconds {
        0 => format!("{millis} ms"),
        1..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// The time of day in UTC.
pub(crate) fn clock_time(timestamp_ms: i64) -> String {
    let of_day = timestamp_ms.rem_euclid(86_400_000);
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    format!("{:02}:{:02}:{:02}.{millis:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A size in its largest unit: 12.4 MiB.
pub(crate) fn size(bytes: u64) -> String {
    let mut amount = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if amount < 1_024.0 || unit == "TiB" {
            return if unit == "B" { format!("{bytes} B") } else { format!("{amount:.1} {unit}") };
        }
        amount /= 1_024.0;
    }
    format!("{bytes} B")
}

#[cfg(test)]
mod tests;
