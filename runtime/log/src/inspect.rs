//! Shows every batch of a log to those who want to know what lies in it. Nothing is changed. Whether it is sound, `repair` says.

use std::ops::ControlFlow;

use towpath_model::TopicPartition;

use crate::codec::BatchHeader;
use crate::embedded::Embedded;
use crate::error::Error;
use crate::partition::Partition;
use crate::segment::{ReadFailure, SegmentReader};
use crate::sync::{lock, read};

/// A batch, as its head describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchFacts {
    /// The offset of its first record.
    pub base_offset: i64,
    /// The offset of its last.
    pub last_offset: i64,
    /// How many records.
    pub records: i32,
    /// Its bytes.
    pub bytes: usize,
    /// The largest timestamp of its records.
    pub max_timestamp: i64,
    /// The producer that numbers its records, or -1.
    pub producer_id: i64,
    /// That producer's epoch.
    pub producer_epoch: i16,
    /// That producer's number of the first record.
    pub base_sequence: i32,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// Whether it holds markers.
    pub control: bool,
}

/// What was looked at.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Partitions.
    pub partitions: usize,
    /// Segments that could not be read to their end, one error each.
    pub damaged: Vec<Error>,
}

impl Embedded {
    /// Hands every batch of the partitions that are wanted to `each`, in order, until that has seen enough; checks each against its
    /// checksum. Blocks for as long as reading takes.
    pub fn inspect(
        &self,
        wanted: impl Fn(&TopicPartition) -> bool,
        each: &mut dyn FnMut(&TopicPartition, BatchFacts) -> ControlFlow<()>,
    ) -> Inspection {
        let mut inspection = Inspection::default();
        let entries: Vec<_> = read(&self.core.topics).values().cloned().collect();
        for entry in entries {
            for partition in entry.partitions.iter().filter(|partition| wanted(&partition.name)) {
                inspection.partitions += 1;
                if self.inspect_partition(partition, entry.gaps, &mut inspection, each).is_break() {
                    return inspection;
                }
            }
        }
        inspection
    }

    fn inspect_partition(
        &self,
        partition: &Partition,
        gaps: bool,
        inspection: &mut Inspection,
        each: &mut dyn FnMut(&TopicPartition, BatchFacts) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let (segments, tail, flushed) = {
            let state = lock(&partition.state);
            let tail: Vec<BatchHeader> = state.tail.iter().map(|batch| batch.header).collect();
            (state.segments.clone(), tail, state.flushed)
        };
        let mut seen = ControlFlow::Continue(());
        for (index, segment) in segments.iter().enumerate() {
            let end = segments.get(index + 1).map_or(flushed, |next| next.base);
            let scanned = match SegmentReader::open(self.core.vfs.as_ref(), &partition.dir, *segment, end, gaps) {
                Ok(reader) => reader.scan(|header, _| {
                    seen = each(&partition.name, facts(header));
                    Ok(seen.is_continue())
                }),
                Err(ReadFailure::Error(error)) => Err(error),
                Err(ReadFailure::Gone) => Err(Error::corrupt(partition.dir.display(), "the segment is gone")),
            };
            inspection.damaged.extend(scanned.err());
            seen?;
        }
        for header in &tail {
            each(&partition.name, facts(header))?;
        }
        ControlFlow::Continue(())
    }
}

fn facts(header: &BatchHeader) -> BatchFacts {
    BatchFacts {
        base_offset: header.base_offset,
        last_offset: header.last_offset(),
        records: header.records,
        bytes: header.bytes,
        max_timestamp: header.max_timestamp,
        producer_id: header.producer_id,
        producer_epoch: header.producer_epoch,
        base_sequence: header.base_sequence,
        transactional: header.transactional(),
        control: header.control(),
    }
}
