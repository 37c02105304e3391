//! Where sources stand: the topic `connect-offsets`, and the same in memory.
//!
//! Key: the JSON array `["<connector>",{source partition}]`; value: the source offset, or null where it was reset. The texts of
//! partition and offset are the connector's own, byte for byte, because compaction compares keys as bytes.
//! Source tasks write the records themselves, in one commit with the data; this file forms and reads them.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use towpath_log::records;
use towpath_model::{Batch, Checkpoint, ConnectorName};

use crate::answers::OffsetEntry;

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
        #[derive(Deserialize)]
        struct Key<'a>(String, #[serde(borrow)] &'a RawValue);
        let Key(name, partition) = serde_json::from_slice(key)?;
        let offset = match value.filter(|value| *value != b"null") {
            Some(value) => Some(serde_json::from_slice::<&RawValue>(value)?.get().to_owned()),
            None => None,
        };
        self.durable(&ConnectorName::new(name), &[Checkpoint { partition: partition.get().to_owned(), offset }]);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ConnectorName, BTreeMap<String, String>>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
