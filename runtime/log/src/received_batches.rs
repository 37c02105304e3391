//! Takes record batches apart that a broker has handed out, as a client does that reads committed records.

use std::collections::BTreeSet;

use towpath_model::{Batch, TopicPartition};

use crate::codec::{BatchHeader, ColumnReader};
use crate::error::Error;

/// The records of a partition in the answer to a fetch, from `from` on, and the offset to go on at. Those of aborted transactions, each
/// named by its producer and its first offset, are left out. An answer may end within a batch, which is read next time.
///
/// # Errors
/// A batch is damaged.
pub fn records_of(
    partition: &TopicPartition,
    from: i64,
    mut answer: &[u8],
    aborted: &[(i64, i64)],
) -> Result<(Batch, i64), Error> {
    let damaged = |damage| Error::corrupt(partition, damage);
    let mut reader = ColumnReader::new(partition.topic.clone(), partition.partition);
    let mut next = from;
    let mut ahead: Vec<(i64, i64)> = aborted.iter().map(|(producer, first)| (*first, *producer)).collect();
    ahead.sort_unstable_by_key(|one| std::cmp::Reverse(*one));
    let mut undone = BTreeSet::new();
    while let Ok(header) = BatchHeader::parse(answer) {
        let Some((batch, rest)) = answer.split_at_checked(header.bytes) else { break };
        let header = BatchHeader::verify(batch).map_err(damaged)?;
        while let Some((_, producer)) = ahead.pop_if(|(first, _)| *first <= header.base_offset) {
            undone.insert(producer);
        }
        if header.control() {
            // The marker is the end of what is undone.
            undone.remove(&header.producer_id);
        } else if !(header.transactional() && undone.contains(&header.producer_id)) {
            reader.read(&header, batch, from).map_err(damaged)?;
        }
        next = next.max(header.next_offset());
        answer = rest;
    }
    Ok((reader.finish().map_err(damaged)?, next))
}
