//! What is being put: a fetched batch, chunk by chunk, and what of a chunk has to be put again.

use towpath_model::{Batch, Record, TopicPartition};

use super::fetch::Fetched;
use super::lanes::{Lanes, stretches};
use crate::batch;

/// What is being put.
#[derive(Default)]
pub(super) struct Delivery {
    fetched: Fetched,
    /// How many of the fetched records have been put.
    at: usize,
    chunk: Option<Chunk>,
}

/// What one put takes.
#[derive(Clone)]
pub(super) struct Chunk {
    pub(super) records: Batch,
    /// For each record, the index in the batch as consumed.
    pub(super) origins: Vec<u32>,
    /// Whether these are records that were refused before and may pass now.
    repeated: bool,
}

/// The records at these indexes.
fn at<'a>(batch: &'a Batch, indexes: &[u32]) -> Vec<Record<'a>> {
    let all: Vec<_> = batch.records().collect();
    indexes.iter().filter_map(|index| all.get(*index as usize).copied()).collect()
}

impl Delivery {
    pub(super) fn new(fetched: Fetched) -> Self {
        Self { fetched, at: 0, chunk: None }
    }

    /// The record that was consumed and of which the chunk's record at `index` was made.
    pub(super) fn consumed(&self, index: u32) -> Option<Record<'_>> {
        let origin = *self.chunk.as_ref()?.origins.get(index as usize)?;
        self.fetched.original.records().nth(origin as usize)
    }

    /// Bytes of what is being put.
    pub(super) fn chunk_bytes(&self) -> usize {
        self.chunk.as_ref().map_or(0, |chunk| chunk.records.payload_bytes())
    }

    /// The chunk to put, at most so many records. What `parks` says of a record as consumed leaves it out.
    pub(super) fn chunk(
        &mut self,
        records_max: usize,
        lanes: &mut Lanes,
        parks: Option<impl FnMut(&Record<'_>) -> bool>,
    ) -> &Chunk {
        let (fetched, begin) = (&self.fetched, &mut self.at);
        self.chunk.get_or_insert_with(|| {
            let end = (*begin + records_max).min(fetched.records.len());
            let mut records = batch::slice(&fetched.records, *begin..end);
            let mut origins = fetched.origins.get(*begin..end).map(<[u32]>::to_vec).unwrap_or_default();
            *begin = end;
            if let Some(mut parks) = parks {
                let consumed = at(&fetched.original, &origins);
                let kept: Vec<u32> =
                    (0..).zip(&consumed).filter(|(_, record)| !parks(record)).map(|(index, _)| index).collect();
                if kept.len() < origins.len() {
                    records = batch::select(&records, &kept);
                    origins = kept.iter().filter_map(|index| origins.get(*index as usize).copied()).collect();
                }
            }
            // What was deferred has a commit of its own: where the partition stands is not its business.
            if !fetched.deferred {
                lanes.given(&records);
            }
            Chunk { records, origins, repeated: false }
        })
    }

    /// Whether this was deferred before.
    pub(super) fn is_deferred(&self) -> bool {
        self.fetched.deferred
    }

    /// The chunk's records as consumed.
    pub(super) fn chunk_consumed(&self) -> Vec<Record<'_>> {
        self.chunk.as_ref().map(|chunk| at(&self.fetched.original, &chunk.origins)).unwrap_or_default()
    }

    /// Records, as consumed, of which converters and transforms have left nothing.
    pub(super) fn vanished(&self) -> Vec<Record<'_>> {
        let left: std::collections::HashSet<_> = self.fetched.origins.iter().map(|origin| *origin as usize).collect();
        self.fetched.original.records().filter(|record| !left.contains(&record.index)).collect()
    }

    /// The chunk is dealt with, apart from the records of `again`, which are the next chunk. Returns what was put the first time
    /// or the last time, that is, how many records are now accounted for.
    pub(super) fn settle(&mut self, again: &[u32], lanes: &mut Lanes) -> usize {
        let Some(chunk) = self.chunk.take() else { return 0 };
        let settled = chunk.records.len().saturating_sub(again.len());
        let mut wanted = again.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        if self.fetched.deferred {
            return settled;
        }
        let left = batch::select(&chunk.records, &wanted);
        if chunk.repeated {
            for record in chunk.records.records() {
                let partition = TopicPartition::new(record.origin().clone(), record.run.partition);
                lanes.resolved(&partition, record.offset.unwrap_or(-1));
            }
        }
        lanes.unresolved(&left);
        if !chunk.repeated {
            for (partition, _, last) in stretches(&chunk.records) {
                lanes.processed(&partition, last + 1);
            }
        }
        if !left.is_empty() {
            let origins = wanted.iter().filter_map(|index| chunk.origins.get(*index as usize).copied()).collect();
            self.chunk = Some(Chunk { records: left, origins, repeated: true });
        } else if self.at >= self.fetched.records.len() {
            for (partition, end, _) in &self.fetched.ends {
                lanes.processed(partition, *end);
            }
        }
        settled
    }

    /// Whether something is left to put.
    pub(super) fn more(&self) -> bool {
        self.chunk.is_some() || self.at < self.fetched.records.len()
    }
}
