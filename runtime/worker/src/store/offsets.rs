//! Where sources stand: the topic `connect-offsets`, and the same in memory. A connector may have a topic of its own beside it.
//!
//! Key: the JSON array `["<connector>",{source partition}]`; value: the source offset, or null where it was reset. The texts of
//! partition and offset are the connector's own, byte for byte, because compaction compares keys as bytes.
//! Source tasks write the records themselves, in one commit with the data; this file forms and reads them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use towpath_log::{LogEngine, records};
use towpath_model::{Batch, Checkpoint, Config, ConnectorName};

use crate::answers::OffsetEntry;

/// The key under which a connector names a topic of its own.
pub(crate) const OWN_TOPIC: &str = "offsets.storage.topic";
/// Source partitions of one connector: many thousands of tables or files, and still little beside the log.
const PARTITIONS_MAX: usize = 100_000;

/// Positions of all sources of the worker.
#[derive(Debug, Default)]
pub(crate) struct SourceOffsets {
    positions: Mutex<BTreeMap<ConnectorName, BTreeMap<String, String>>>,
}

impl SourceOffsets {
    /// The positions of a connector, by source partition.
    pub(crate) fn of(&self, name: &ConnectorName) -> Vec<Checkpoint> {
        let positions = self.lock();
        let found = positions.get(name).into_iter().flatten();
        found
            .map(|(partition, offset)| Checkpoint { partition: partition.clone(), offset: Some(offset.clone()) })
            .collect()
    }

    /// Whether the connector may keep these positions beside those that it has.
    pub(crate) fn has_room(&self, name: &ConnectorName, checkpoints: &[Checkpoint]) -> bool {
        let positions = self.lock();
        let known = positions.get(name);
        let is_new = |checkpoint: &&Checkpoint| known.is_none_or(|known| !known.contains_key(&checkpoint.partition));
        let new = checkpoints.iter().filter(is_new).count();
        new == 0 || known.map_or(0, BTreeMap::len) + new <= PARTITIONS_MAX
    }

    /// The positions of a connector as Connect shows them.
    pub(crate) fn entries(&self, name: &ConnectorName) -> Vec<OffsetEntry> {
        let json =
            |text: &str| serde_json::from_str(text).unwrap_or_else(|_| serde_json::Value::String(text.to_owned()));
        let positions = self.lock();
        let found = positions.get(name).into_iter().flatten();
        found.map(|(partition, offset)| OffsetEntry { partition: json(partition), offset: json(offset) }).collect()
    }

    /// These positions are durable.
    pub(crate) fn durable(&self, name: &ConnectorName, checkpoints: &[Checkpoint]) {
        let mut positions = self.lock();
        let positions = positions.entry(name.clone()).or_default();
        for Checkpoint { partition, offset } in checkpoints {
            match offset {
                Some(offset) => match positions.get_mut(partition) {
                    Some(known) => known.clone_from(offset),
                    None => drop(positions.insert(partition.clone(), offset.clone())),
                },
                None => drop(positions.remove(partition)),
            }
        }
    }

    /// Takes in a record of the topic.
    ///
    /// # Errors
    /// When the key is not a connector's name and a source partition.
    pub(crate) fn restore(&self, key: &[u8], value: Option<&[u8]>) -> Result<(), serde_json::Error> {
        let (name, position) = position_of(key, value)?;
        self.durable(&name, &[position]);
        Ok(())
    }

    /// Takes in what is not known of a connector yet.
    fn adopt(&self, name: &ConnectorName, found: BTreeMap<String, String>) {
        let mut positions = self.lock();
        let positions = positions.entry(name.clone()).or_default();
        for (partition, offset) in found {
            positions.entry(partition).or_insert(offset);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectorName, BTreeMap<String, String>>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The topics that a connector's positions are written to: the worker's, and the connector's own where its configuration names one.
///
/// The worker's is the truth. The other is a copy in the same commit, for those who read it elsewhere, and is read only where the
/// worker's knows nothing, as of a connector that comes from another cluster with its topic.
#[derive(Clone, Debug)]
pub(crate) struct OffsetTopics {
    worker: Arc<str>,
    own: Option<Arc<str>>,
}

impl OffsetTopics {
    /// Those of a connector with this configuration.
    pub(crate) fn new(worker: &Arc<str>, config: &Config) -> Self {
        let own = config.get(OWN_TOPIC).map(str::trim).filter(|own| !own.is_empty() && **own != **worker);
        Self { worker: worker.clone(), own: own.map(Arc::from) }
    }

    /// The connector's own.
    pub(crate) fn own(&self) -> Option<&str> {
        self.own.as_deref()
    }

    /// Makes the connector's own topic, as large as the worker's, and takes in what it alone knows.
    ///
    /// # Errors
    /// The log's.
    pub(crate) async fn prepare(
        &self,
        log: &dyn LogEngine,
        name: &ConnectorName,
        offsets: &SourceOffsets,
    ) -> Result<(), towpath_log::Error> {
        let Some(own) = &self.own else { return Ok(()) };
        let partitions = log.topic(&self.worker).map_or(1, |topic| topic.partitions);
        let topic = records::compacted(log, own, partitions, &[]).await?;
        let mut found = BTreeMap::new();
        records::read(log, &topic, |key, value| match position_of(key, value) {
            Ok((of, _)) if of != *name => {}
            Ok((_, Checkpoint { partition, offset: Some(offset) })) => _ = found.insert(partition, offset),
            Ok((_, Checkpoint { partition, offset: None })) => _ = found.remove(&partition),
            Err(error) => {
                tracing::warn!(topic = %topic.name, key = %String::from_utf8_lossy(key), %error, "record cannot be read");
            }
        })
        .await?;
        offsets.adopt(name, found);
        Ok(())
    }

    /// Records that keep these positions, in every topic that there is; none where there are no positions.
    pub(crate) fn records(&self, log: &dyn LogEngine, name: &ConnectorName, positions: &[Checkpoint]) -> Vec<Batch> {
        let own = self.own().filter(|own| log.topic(own).is_some_and(|topic| !topic.internal));
        let topics = own.into_iter().chain([&*self.worker]);
        topics.filter_map(|topic| offset_records(topic, name, positions)).collect()
    }
}

/// The connector and the position that a record keeps.
fn position_of(key: &[u8], value: Option<&[u8]>) -> Result<(ConnectorName, Checkpoint), serde_json::Error> {
    #[derive(Deserialize)]
    struct Key<'a>(String, #[serde(borrow)] &'a RawValue);
    let Key(name, partition) = serde_json::from_slice(key)?;
    let offset = match value.filter(|value| *value != b"null") {
        Some(value) => Some(serde_json::from_slice::<&RawValue>(value)?.get().to_owned()),
        None => None,
    };
    Ok((ConnectorName::new(name), Checkpoint { partition: partition.get().to_owned(), offset }))
}

/// Records that keep these positions in the offsets topic; none where there are none.
pub(crate) fn offset_records(topic: &str, name: &ConnectorName, positions: &[Checkpoint]) -> Option<Batch> {
    if positions.is_empty() {
        return None;
    }
    let kept: Vec<_> = positions.iter().map(|checkpoint| offset_record(name, checkpoint)).collect();
    Some(records::batch(topic, kept.iter().map(|(key, value)| (key.as_slice(), value.as_deref()))))
}

/// The key and value under which a position is kept.
pub(crate) fn offset_record(name: &ConnectorName, checkpoint: &Checkpoint) -> (Vec<u8>, Option<Vec<u8>>) {
    let mut key = Vec::with_capacity(name.as_str().len() + checkpoint.partition.len() + 5);
    key.push(b'[');
    key.extend_from_slice(serde_json::Value::from(name.as_str()).to_string().as_bytes());
    key.push(b',');
    key.extend_from_slice(checkpoint.partition.as_bytes());
    key.push(b']');
    (key, checkpoint.offset.as_ref().map(|offset| offset.clone().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_the_log_byte_for_byte() {
        let name = ConnectorName::new("a \"quoted\" name");
        let checkpoint = Checkpoint {
            partition: r#"{"server":"shop","b":1,"a":2}"#.into(),
            offset: Some(r#"{"lsn":18446744073709551615,"z":1.10}"#.into()),
        };
        let (key, value) = offset_record(&name, &checkpoint);
        let offsets = SourceOffsets::default();
        offsets.restore(&key, value.as_deref()).expect("well formed");
        assert_eq!(offsets.of(&name), std::slice::from_ref(&checkpoint));
        offsets.restore(&key, None).expect("well formed");
        assert_eq!(offsets.of(&name), []);
    }

    #[test]
    fn keys_are_those_that_connect_writes() {
        let checkpoint = Checkpoint { partition: r#"{"server":"shop"}"#.into(), offset: None };
        let (key, value) = offset_record(&ConnectorName::new("orders"), &checkpoint);
        assert_eq!((key.as_slice(), value), (&br#"["orders",{"server":"shop"}]"#[..], None));
    }

    #[test]
    fn a_connector_keeps_so_many_positions_and_no_more() {
        let name = ConnectorName::new("hoarder");
        let position =
            |number: usize| Checkpoint { partition: format!(r#"{{"p":{number}}}"#), offset: Some("{}".into()) };
        let all: Vec<_> = (0..PARTITIONS_MAX).map(position).collect();
        let offsets = SourceOffsets::default();
        assert!(offsets.has_room(&name, &all));
        offsets.durable(&name, &all);
        assert!(offsets.has_room(&name, &all[..9]), "known ones can move on");
        assert!(!offsets.has_room(&name, &[position(PARTITIONS_MAX)]));
    }

    #[test]
    fn garbage_is_refused() {
        for key in [&b"x"[..], b"[]", b"[1,2]", b"[\"a\"]", b"\xff"] {
            SourceOffsets::default().restore(key, None).expect_err("garbage");
        }
    }
}
