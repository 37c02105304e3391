//! The log as `topics` and `tail` look into it where it runs alone: over its listener, as any Kafka client does. Topics and ends are those
//! of the moment at which the command began.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Mutex;
use towpath_broker::admin::{Admin, AdminError, Tcp, TopicListing};
use towpath_model::Batch;
use towpath_rest::{Log, LogFault, LogNumbers, TopicDescription, TopicPartitionEnds};

/// A log behind a listener.
pub(crate) struct ListenerLog {
    admin: Mutex<Admin<Tcp>>,
    topics: Vec<TopicDescription>,
}

impl ListenerLog {
    /// Connects, and looks what there is.
    pub(crate) async fn connect(address: &str) -> Result<Self, AdminError> {
        let mut admin = Admin::new(Tcp::connect(address).await?);
        let topics = admin.topics().await?.into_iter().map(description).collect();
        Ok(Self { admin: Mutex::new(admin), topics })
    }

    fn find(&self, topic: &str) -> Result<&TopicDescription, LogFault> {
        let found = self.topics.iter().find(|known| known.name == topic);
        found.ok_or_else(|| LogFault::UnknownTopic(topic.to_owned()))
    }
}

fn description(topic: TopicListing) -> TopicDescription {
    let ends = |(partition, (start, high_watermark)): (i32, (i64, i64))| TopicPartitionEnds {
        partition,
        start,
        high_watermark,
    };
    TopicDescription {
        name: topic.name,
        id: topic.id.to_string(),
        internal: topic.internal,
        records: topic.partitions.iter().map(|(start, end)| end - start).sum(),
        partitions: (0..).zip(topic.partitions).map(ends).collect(),
        configs: topic.configs,
    }
}

#[async_trait]
impl Log for ListenerLog {
    fn topics(&self) -> Vec<TopicDescription> {
        self.topics.clone()
    }

    fn ends(&self, topic: &str) -> Result<Vec<TopicPartitionEnds>, LogFault> {
        self.find(topic).map(|found| found.partitions.clone())
    }

    async fn offsets_at(&self, topic: &str, timestamp_ms: i64) -> Result<Vec<i64>, LogFault> {
        let ends = self.ends(topic)?;
        let partitions = i32::try_from(ends.len()).unwrap_or(i32::MAX);
        let found = self.admin.lock().await.offsets_for_time(topic, partitions, timestamp_ms).await.map_err(fault)?;
        Ok(found.into_iter().zip(ends).map(|(offset, ends)| offset.unwrap_or(ends.high_watermark)).collect())
    }

    async fn read(
        &self,
        topic: &str,
        positions: &mut [Option<i64>],
        max_bytes: usize,
        max_wait: Duration,
    ) -> Result<Vec<Batch>, LogFault> {
        let wanted: Vec<(i32, i64)> =
            (0..).zip(positions.iter()).filter_map(|(index, at)| Some((index, (*at)?))).collect();
        let fetched = self.admin.lock().await.fetch(topic, &wanted, max_bytes, max_wait).await.map_err(fault)?;
        let mut batches = Vec::with_capacity(fetched.len());
        for part in fetched {
            if let Some(position) = usize::try_from(part.partition).ok().and_then(|index| positions.get_mut(index)) {
                *position = Some(part.next_offset);
            }
            batches.push(part.records);
        }
        Ok(batches)
    }

    fn numbers(&self) -> LogNumbers {
        LogNumbers::default()
    }

    fn failure(&self) -> Option<String> {
        None
    }
}

fn fault(error: AdminError) -> LogFault {
    LogFault::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::watch;
    use towpath_broker::admin::NewRecord;
    use towpath_broker::{Broker, Config, ListenerConfig};
    use towpath_log::{NewTopic, Topics as _};
    use towpath_model::{Clock, SystemClock};

    use super::*;
    use crate::log_view::LogView;
    use crate::storage;

    /// All that can be read from some offsets on, as text.
    async fn all(log: &dyn Log, from: i64) -> (Vec<String>, Vec<Option<i64>>) {
        let mut positions = vec![Some(from); 2];
        let batches = log.read("orders", &mut positions, 1 << 20, Duration::ZERO).await.expect("read");
        let text = |record: towpath_model::Record<'_>| {
            format!("{} {:?}", record.run.partition, record.value.bytes.map(String::from_utf8_lossy))
        };
        let mut lines: Vec<String> = batches.iter().flat_map(Batch::records).map(text).collect();
        lines.sort();
        (lines, positions)
    }

    #[tokio::test]
    async fn over_a_listener_a_log_looks_as_it_does_from_within() {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
        let log = storage::open(dir.path(), Arc::clone(&clock), &[]).await.unwrap();
        let configs = [("retention.ms".to_owned(), "5000000".to_owned())].into();
        log.create_topic(NewTopic { name: "orders".into(), partitions: Some(2), configs }).await.unwrap();
        let config = Config::new(vec![ListenerConfig::plaintext("127.0.0.1:0")], 7);
        let broker = Broker::bind(config, Arc::clone(&log), clock).await.unwrap();
        let address = broker.handle().address().unwrap().to_string();
        let (stop, stopping) = watch::channel(false);
        let serving = tokio::spawn(broker.run(stopping));
        let mut admin = Admin::new(Tcp::connect(&address).await.unwrap());
        for (partition, value) in [(0, "a"), (0, "b"), (1, "c")] {
            let record = NewRecord { value: Some(value.into()), timestamp_ms: 1_000, ..NewRecord::default() };
            admin.produce("orders", partition, &[record]).await.unwrap();
        }
        let (within, over) = (LogView::new(Arc::clone(&log)), ListenerLog::connect(&address).await.unwrap());
        assert_eq!(over.topics(), within.topics());
        assert_eq!(over.ends("orders"), within.ends("orders"));
        assert_eq!(over.ends("nowhere"), within.ends("nowhere"));
        for from in [0, 1] {
            assert_eq!(all(&over, from).await, all(&within, from).await, "from {from}");
        }
        assert_eq!(all(&over, 9).await, (vec![], vec![Some(2), Some(1)]), "offsets that are not kept move");
        for time in [0, 1_000, 1_001] {
            assert_eq!(over.offsets_at("orders", time).await, within.offsets_at("orders", time).await, "at {time}");
        }
        stop.send_replace(true);
        serving.await.unwrap().unwrap();
    }
}
