//! What sinks have not read, partition by partition: how it is to follow what the cluster has, and what its offsets become there.
//!
//! A partition of ours either goes on where the cluster's ends, with the same records at the same offsets before: where that is empty and ours
//! begins at 0, it gets all of it. Or ours begins later, and what is unread is all that it gets. A cluster gives records offsets without
//! gaps, so positions behind its end are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use towpath_broker::admin::Cluster;
use towpath_log::{Embedded, Fetch, Fetched, Fetches as _};
use towpath_model::{Batch, BatchBuilder, TopicPartition};

use crate::failure::{Failure, Result};
use crate::operator::failure;
use crate::same_record::first;

/// How much is given in one batch; less than brokers take by default.
const GIVE_BYTES: usize = 512 << 10;

/// A partition that follows that of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Following {
    pub(super) partition: TopicPartition,
    /// Our offset of the first record that is given.
    from: i64,
    /// Our end.
    end: i64,
    /// The cluster's offset of what is given first.
    base: i64,
    /// Whether offsets before `from` are the same on both sides.
    same_before: bool,
}

/// How a partition of ours follows the cluster's; or why it does not.
pub(super) async fn follow(
    kafka: &mut Cluster,
    log: &Embedded,
    partition: &TopicPartition,
    unread: i64,
) -> Result<std::result::Result<Following, String>> {
    let here = log.offsets(partition).map_err(Failure::by_code)?;
    let (start, end) = match kafka.partitions(&partition.topic).await.map_err(failure)? {
        Some(count) if partition.partition < count => kafka.ends(partition).await.map_err(failure)?,
        Some(count) => return Ok(Err(format!("it has {count} partitions there"))),
        None => (0, 0),
    };
    let following = |from: i64, same_before| Following {
        partition: partition.clone(),
        from,
        end: here.high_watermark.max(from),
        base: end,
        same_before,
    };
    let number = partition.partition;
    let common = here.start.max(start)..here.high_watermark.min(end);
    if !common.is_empty() {
        let there = kafka.fetch(partition, common.start, 1).await.map_err(failure)?.records;
        let ours = read(log, partition, common.start, 1).await?.map(|fetched| fetched.records).unwrap_or_default();
        let one = |batch: &Batch| first(batch).filter(|first| first.is_within(&common));
        return Ok(match one(&there) == one(&ours) {
            true => Ok(following(end, true)),
            false => Err(format!("its partition {number} holds other records there")),
        });
    }
    if end == here.start || end == here.high_watermark && end > 0 {
        return Ok(Ok(following(end, true)));
    }
    if end == 0 {
        return Ok(Ok(following(unread.max(here.start), false)));
    }
    Ok(Err(format!(
        "its partition {number} ends at {end} there, and here it has {} to {}",
        here.start, here.high_watermark
    )))
}

/// Gives the records. Answers what these of our offsets become, and how many records that were.
pub(super) async fn give(
    kafka: &mut Cluster,
    log: &Embedded,
    following: &Following,
    offsets: &[i64],
) -> Result<(BTreeMap<i64, i64>, u64)> {
    let Following { partition, from, end, base, same_before } = following;
    let mut places = Places::new(offsets, *from, *base, *same_before);
    let (mut at, mut given) = (*from, 0);
    while at < *end {
        let Some(fetched) = read(log, partition, at, GIVE_BYTES).await?.filter(|fetched| fetched.next_offset > at)
        else {
            break;
        };
        for batch in portions(&fetched.records) {
            let expected = base + i64::try_from(given).unwrap_or(i64::MAX);
            let placed = kafka.append(partition, &batch, -1).await.map_err(failure)?;
            if placed != expected {
                let reason = anyhow::anyhow!(
                    "somebody else writes to {partition}: records came to {placed} in place of {expected}"
                );
                return Err(Failure::environment(reason));
            }
            for (record, place) in batch.records().zip(placed..) {
                places.record(record.offset.unwrap_or(at), place);
            }
            given += batch.len() as u64;
        }
        at = fetched.next_offset;
    }
    Ok((places.done(base + i64::try_from(given).unwrap_or(i64::MAX)), given))
}

async fn read(log: &Embedded, partition: &TopicPartition, offset: i64, bytes_max: usize) -> Result<Option<Fetched>> {
    let wanted = [Fetch { partition: partition.clone(), offset }];
    let fetched = log.fetch(&wanted, bytes_max, Duration::ZERO).await.map_err(Failure::by_code)?;
    Ok(fetched.into_iter().next())
}

/// The records in batches that brokers take.
fn portions(records: &Batch) -> Vec<Batch> {
    let (mut portions, mut builder) = (Vec::new(), BatchBuilder::default());
    for record in records.records() {
        if builder.payload_bytes() >= GIVE_BYTES {
            portions.push(std::mem::take(&mut builder).build());
        }
        let run = builder.import_run(&record);
        builder.run(run);
        builder.copy(&record);
    }
    if !builder.is_empty() {
        portions.push(builder.build());
    }
    portions
}

/// What offsets become on the other side, found out while records go there.
struct Places {
    waiting: Vec<i64>,
    found: BTreeMap<i64, i64>,
}

impl Places {
    fn new(offsets: &[i64], from: i64, base: i64, same_before: bool) -> Self {
        let mut places = Self { waiting: offsets.to_vec(), found: BTreeMap::new() };
        places.waiting.sort_unstable();
        let waiting = std::mem::take(&mut places.waiting);
        let (before, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|offset| *offset < from);
        places.found.extend(before.into_iter().map(|offset| (offset, if same_before { offset } else { base })));
        Self { waiting, ..places }
    }

    /// The record at one of our offsets has got this one there.
    fn record(&mut self, offset: i64, place: i64) {
        let passed = self.waiting.partition_point(|waiting| *waiting <= offset);
        self.found.extend(self.waiting.drain(..passed).map(|waiting| (waiting, place)));
    }

    /// Nothing is behind what is left.
    fn done(mut self, end: i64) -> BTreeMap<i64, i64> {
        self.found.extend(self.waiting.drain(..).map(|waiting| (waiting, end)));
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_those_of_the_same_records() {
        let mut places = Places::new(&[40, 50, 52, 53, 54, 99], 50, 7, false);
        for (offset, place) in [(50, 7), (51, 8), (54, 9)] {
            places.record(offset, place);
        }
        // What compaction removed from 52 on stands where the next record does.
        assert_eq!(places.done(10), [(40, 7), (50, 7), (52, 9), (53, 9), (54, 9), (99, 10)].into());
        let places = Places::new(&[40, 50], 50, 50, true);
        assert_eq!(places.done(50), [(40, 40), (50, 50)].into());
    }
}
