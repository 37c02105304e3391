//! Retention: whole segments are dropped from the front of a partition by age and by size. The new log start is durable
//! before the first file goes; a crash in between leaves files that the next open removes.

use std::path::PathBuf;

use towpath_model::TopicPartition;

use crate::core::Core;
use crate::error::Error;
use crate::fetch::out_of_range;
use crate::partition::{State, TopicEntry};
use crate::segment::{EXTENSIONS, file_name};
use crate::sync::{lock, read};

impl Core {
    /// Drops what topics no longer keep. Says how many segments went.
    pub(crate) fn retain(&self) -> Result<usize, Error> {
        let mut maintenance = lock(&self.maintenance);
        let topics: Vec<_> = read(&self.topics).values().cloned().collect();
        let now_ms = self.clock.now_ms();
        let mut files: Vec<PathBuf> = Vec::new();
        for entry in &topics {
            for partition in entry.partitions.iter() {
                let mut state = lock(&partition.state);
                let dropped = droppable(entry, &state, now_ms);
                if dropped == 0 {
                    continue;
                }
                let bases = state.segments.drain(..dropped).map(|segment| segment.base).collect::<Vec<_>>();
                let start = state.segments.first().map_or(state.flushed, |first| first.base);
                state.start_at(start);
                drop(state);
                for base in bases {
                    files.extend(EXTENSIONS.map(|extension| partition.dir.join(file_name(base, extension))));
                }
            }
        }
        if files.is_empty() {
            return Ok(0);
        }
        maintenance.dirty = true;
        self.checkpoint_holding(&mut maintenance, false)?;
        for file in &files {
            // A file that stays is removed when the log is opened next; an index may never have been there.
            if let Err(error) = self.vfs.remove(file)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(file = %file.display(), %error, "a file beyond retention could not be removed");
            }
        }
        Ok(files.len() / EXTENSIONS.len())
    }
}

impl Core {
    /// Moves the start of a partition to an offset, or to its end; durable when it returns. The files follow with the next retention.
    pub(crate) fn delete_records(&self, name: &TopicPartition, before: Option<i64>) -> Result<i64, Error> {
        self.check_writable()?;
        let (_, partition) = self.partition_of(name)?;
        let mut maintenance = lock(&self.maintenance);
        {
            let mut state = lock(&partition.state);
            let ends = state.ends();
            let before = before.unwrap_or(ends.high_watermark);
            if !(0..=ends.high_watermark).contains(&before) {
                return Err(out_of_range(name, before, ends));
            }
            if before <= ends.start {
                return Ok(ends.start);
            }
            state.start_at(before);
        }
        maintenance.dirty = true;
        self.checkpoint_holding(&mut maintenance, false)?;
        Ok(lock(&partition.state).log_start)
    }
}

/// How many segments from the front the topic does not keep: too old, too much, or before where clients have moved the start to.
fn droppable(entry: &TopicEntry, state: &State, now_ms: i64) -> usize {
    let segments = &state.segments;
    if state.rewriting.is_some() || segments.is_empty() {
        return 0;
    }
    let expired = |max_timestamp: i64| {
        entry.settings.retention_ms.is_some_and(|retention_ms| now_ms.saturating_sub(max_timestamp) > retention_ms)
    };
    let by_time = segments.iter().take_while(|segment| expired(segment.max_timestamp)).count();
    let mut by_size = 0;
    if let Some(limit) = entry.settings.retention_bytes {
        let mut surplus = segments.iter().map(|segment| segment.bytes).sum::<u64>().saturating_sub(limit);
        for segment in segments.iter().take(segments.len().saturating_sub(1)) {
            if surplus < segment.bytes || segment.bytes == 0 {
                break;
            }
            surplus -= segment.bytes;
            by_size += 1;
        }
    }
    // What a transaction that is open may still commit stays.
    let last_stable = state.ends().last_stable;
    let ends = segments.iter().skip(1).map(|next| next.base).chain([state.flushed]);
    let decided = ends.clone().take_while(|end| *end <= last_stable).count();
    let before_start = ends.take_while(|end| *end <= state.log_start).count();
    if entry.settings.delete { by_time.max(by_size).min(decided).max(before_start) } else { before_start }
}
