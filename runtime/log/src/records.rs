//! State that others keep in topics of their own: keys and values in, all of them out again at a start.

use std::time::Duration;

use towpath_model::{Batch, BatchBuilder, Form, Run, TopicPartition};

use crate::engine::{Fetch, LogEngine, NewTopic, Topic};
use crate::error::Error;

/// How much is read at a time.
const READ_BYTES: usize = 4 << 20;

/// Records for one topic; the key decides on the partition, and a value of none is a tombstone.
pub fn batch<'a>(topic: &str, entries: impl IntoIterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic(topic);
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    for (key, value) in entries {
        builder.key(Some(key));
        builder.value(value);
        builder.end(None, None);
    }
    builder.build()
}

/// The topic, created compacted and with these further configs where it is not there yet.
///
/// # Errors
/// The log's.
pub async fn compacted(
    log: &dyn LogEngine,
    name: &str,
    partitions: i32,
    configs: &[(&str, &str)],
) -> Result<Topic, Error> {
    if let Some(topic) = log.topic(name) {
        return Ok(topic);
    }
    let configs = configs.iter().chain([&("cleanup.policy", "compact")]);
    let configs = configs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    match log.create_topic(NewTopic { name: name.to_owned(), partitions: Some(partitions), configs }).await {
        Err(Error::TopicExists(_)) => log.topic(name).ok_or_else(|| Error::UnknownTopic(name.to_owned())),
        created => created,
    }
}

/// Reads a topic from its start to its present end, partition by partition, in order.
///
/// # Errors
/// The log's.
pub async fn read(log: &dyn LogEngine, topic: &Topic, mut each: impl FnMut(&[u8], Option<&[u8]>)) -> Result<(), Error> {
    for partition in 0..topic.partitions {
        let partition = TopicPartition::new(topic.name.clone(), partition);
        let ends = log.offsets(&partition)?;
        let mut offset = ends.start;
        while offset < ends.high_watermark {
            let wanted = [Fetch { partition: partition.clone(), offset }];
            let fetched = log.fetch(&wanted, READ_BYTES, Duration::ZERO).await?;
            let Some(fetched) = fetched.into_iter().next().filter(|fetched| fetched.next_offset > offset) else {
                break;
            };
            for record in fetched.records.records() {
                if let Some(key) = record.key.bytes {
                    each(key, record.value.bytes);
                }
            }
            offset = fetched.next_offset;
        }
    }
    Ok(())
}
