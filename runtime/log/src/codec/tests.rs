//! Batches against an independent codec, in both directions and for every compression, and against arbitrary bytes.

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression as TheirCompression, Record as TheirRecord, RecordBatchDecoder, RecordBatchEncoder,
    RecordEncodeOptions, TimestampType,
};
use proptest::prelude::*;
use towpath_model::{Batch, BatchBuilder, CommonHeader, Form, Run};

use super::{BatchEncoder, BatchHeader, ColumnReader, set_base_offset};
use crate::engine::Compression;

const ALL: [(Compression, TheirCompression); 5] = [
    (Compression::None, TheirCompression::None),
    (Compression::Gzip, TheirCompression::Gzip),
    (Compression::Snappy, TheirCompression::Snappy),
    (Compression::Lz4, TheirCompression::Lz4),
    (Compression::Zstd, TheirCompression::Zstd),
];

type Payload = Option<Vec<u8>>;

/// A record in plain terms: timestamp, key, value, headers.
#[derive(Clone, Debug, PartialEq)]
struct Plain(i64, Payload, Payload, Vec<(String, Payload)>);

fn columns(records: &[Plain], common: Option<(&str, &[u8])>) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    if let Some((name, value)) = common {
        let value = Some(Bytes::copy_from_slice(value));
        builder.common_header(CommonHeader { name: name.into(), form: Form::BYTES, value });
    }
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
    for Plain(timestamp, key, value, headers) in records {
        builder.key(key.as_deref());
        builder.value(value.as_deref());
        for (name, value) in headers {
            builder.header(name, Form::BYTES, value.as_deref());
        }
        builder.end(Some(*timestamp), None);
    }
    builder.build()
}

fn encode(batch: &Batch, compression: Compression, append_time: Option<i64>) -> Vec<u8> {
    let mut encoder = BatchEncoder::default();
    for record in batch.records() {
        let bound = encoder.bytes() + BatchEncoder::size_alone(&record);
        encoder.push(&record, record.timestamp.expect("a timestamp"));
        assert!(encoder.bytes() <= bound, "a record took more than it was said to take at most");
    }
    let mut bytes = Vec::new();
    encoder.seal(compression, append_time, &mut bytes).expect("memory is writable");
    set_base_offset(&mut bytes, 1_000);
    bytes
}

fn decode(bytes: &[u8], from: i64) -> Batch {
    let header = BatchHeader::verify(bytes).expect("a sound batch");
    let mut reader = ColumnReader::new("orders".into(), 0);
    reader.read(&header, bytes, from).expect("sound records");
    reader.finish().expect("sound columns")
}

fn plain(batch: &Batch) -> Vec<Plain> {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let one = |record: towpath_model::Record<'_>| {
        let headers = record.headers().map(|(name, value)| (name.to_string(), owned(value.bytes))).collect();
        Plain(record.timestamp.expect("a timestamp"), owned(record.key.bytes), owned(record.value.bytes), headers)
    };
    batch.records().map(one).collect()
}

fn their(records: &[Plain]) -> Vec<TheirRecord> {
    let bytes = |payload: &Payload| payload.clone().map(Bytes::from);
    let one = |(index, Plain(timestamp, key, value, headers)): (usize, &Plain)| TheirRecord {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset: 1_000 + index as i64,
        // Their encoder begins a new batch wherever sequences do not follow each other.
        sequence: index as i32,
        timestamp: *timestamp,
        key: bytes(key),
        value: bytes(value),
        headers: headers.iter().map(|(name, value)| (StrBytes::from_string(name.clone()), bytes(value))).collect(),
    };
    records.iter().enumerate().map(one).collect()
}

fn of_theirs(records: &[TheirRecord]) -> Vec<Plain> {
    let bytes = |payload: &Option<Bytes>| payload.as_ref().map(|bytes| bytes.to_vec());
    let headers = |headers: &IndexMap<StrBytes, Option<Bytes>>| {
        headers.iter().map(|(name, value)| (name.to_string(), bytes(value))).collect()
    };
    let one = |record: &TheirRecord| {
        Plain(record.timestamp, bytes(&record.key), bytes(&record.value), headers(&record.headers))
    };
    records.iter().map(one).collect()
}

fn payload() -> impl Strategy<Value = Payload> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..200))
}

fn records() -> impl Strategy<Value = Vec<Plain>> {
    let headers =
        proptest::collection::btree_map("[a-z]{0,8}", payload(), 0..3).prop_map(|map| map.into_iter().collect());
    let one = (0i64..1 << 45, payload(), payload(), headers).prop_map(|(t, k, v, h)| Plain(t, k, v, h));
    proptest::collection::vec(one, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_we_write_they_and_we_read(records in records()) {
        for (ours, _) in ALL {
            let bytes = encode(&columns(&records, None), ours, None);
            let read = RecordBatchDecoder::decode(&mut Bytes::copy_from_slice(&bytes)).expect("they decode it");
            prop_assert_eq!(&of_theirs(&read.records), &records);
            let offsets: Vec<i64> = read.records.iter().map(|record| record.offset).collect();
            prop_assert_eq!(offsets, (1_000..1_000 + records.len() as i64).collect::<Vec<_>>());
            prop_assert_eq!(&plain(&decode(&bytes, 0)), &records);
        }
    }

    #[test]
    fn what_they_write_we_read(records in records()) {
        for (_, theirs) in ALL {
            let mut bytes = BytesMut::new();
            let options = RecordEncodeOptions { version: 2, compression: theirs };
            RecordBatchEncoder::encode(&mut bytes, &their(&records), &options).expect("they encode it");
            prop_assert_eq!(&plain(&decode(&bytes, 0)), &records);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), compression in 0u8..8) {
        let _ = BatchHeader::verify(&bytes);
        // Past the checks of the head, with a head that is sound.
        if bytes.len() > 61 {
            let head = encode(&columns(&[Plain(0, None, None, vec![])], None), Compression::None, None);
            bytes[..61].copy_from_slice(&head[..61]);
            bytes[22] = compression;
            bytes[26] = 200;
            bytes[60] = 100;
            if let Ok(header) = BatchHeader::parse(&bytes) {
                let _ = ColumnReader::new("t".into(), 0).read(&header, &bytes, 0);
            }
        }
    }
}

#[test]
fn common_headers_come_ahead_of_a_records_own() {
    let records = [Plain(5, None, Some(b"v".to_vec()), vec![("own".into(), None)])];
    let bytes = encode(&columns(&records, Some(("common", b"c"))), Compression::None, None);
    let headers = vec![("common".to_owned(), Some(b"c".to_vec())), ("own".to_owned(), None)];
    assert_eq!(plain(&decode(&bytes, 0)), [Plain(5, None, Some(b"v".to_vec()), headers)]);
}

#[test]
fn a_read_begins_at_the_offset_that_was_asked_for() {
    let records: Vec<Plain> = (0..10).map(|n| Plain(n, None, Some(vec![n as u8]), vec![])).collect();
    let bytes = encode(&columns(&records, None), Compression::Lz4, None);
    let read = decode(&bytes, 1_007);
    assert_eq!(read.records().map(|record| record.offset).collect::<Vec<_>>(), [Some(1_007), Some(1_008), Some(1_009)]);
}

#[test]
fn the_time_of_the_append_replaces_the_records_own_where_the_topic_says_so() {
    let records = [Plain(5, None, None, vec![]), Plain(6, None, None, vec![])];
    let bytes = encode(&columns(&records, None), Compression::None, Some(99));
    assert!(plain(&decode(&bytes, 0)).iter().all(|Plain(timestamp, ..)| *timestamp == 99));
    let read = RecordBatchDecoder::decode(&mut Bytes::from(bytes)).expect("they decode it");
    assert!(read.records.iter().all(|record| record.timestamp_type == TimestampType::LogAppend));
}

#[test]
fn a_flipped_bit_is_found() {
    let bytes = encode(&columns(&[Plain(5, None, Some(b"value".to_vec()), vec![])], None), Compression::Zstd, None);
    for at in 21..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 4;
        assert!(BatchHeader::verify(&damaged).is_err(), "byte {at}");
    }
}

#[test]
fn a_small_batch_cannot_ask_for_all_memory() {
    let mut encoder = BatchEncoder::default();
    let zeros = vec![0; 150 << 20];
    encoder.push_plain(None, Some(&zeros), 0);
    let mut bytes = Vec::new();
    encoder.seal(Compression::Zstd, None, &mut bytes).expect("memory is writable");
    let header = BatchHeader::verify(&bytes).expect("a sound batch");
    assert!(ColumnReader::new("t".into(), 0).read(&header, &bytes, 0).is_err());
}
