//! Records of another log keep their offsets, over restarts and whatever gaps lie between them.

use towpath_model::{Batch, BatchBuilder, Form, Run, TopicPartition};

use super::{batch, commit, open, topic, values};
use crate::{Appends, Embedded, Error, Fetches, NewTopic, Stretch, Topics, record_batch, records_of};

fn orders() -> TopicPartition {
    TopicPartition::new("orders", 0)
}

fn records(offsets: &[i64]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
    for offset in offsets {
        builder.key(Some(format!("k{offset}").as_bytes()));
        builder.value(Some(format!("v{offset}").as_bytes()));
        builder.header("h", Form::BYTES, Some(b"1"));
        builder.header("h", Form::BYTES, None);
        builder.end(Some(1_700_000_000_000 + offset), Some(*offset));
    }
    builder.build()
}

async fn append(log: &Embedded, from: i64, offsets: &[i64], next: i64) -> Result<(), Error> {
    log.append_at(&Stretch { partition: orders(), from, records: records(offsets), next }).await
}

fn expected(offsets: &[i64]) -> Vec<(i64, String)> {
    offsets.iter().map(|offset| (*offset, format!("v{offset}"))).collect()
}

#[tokio::test]
async fn records_stand_at_their_own_offsets_and_later_ones_follow() {
    let dir = tempfile::tempdir().expect("a directory");
    let far = 3_000_000_007; // further than one batch covers
    let all = [far, far + 1, far + 5, far + 6, far + 9];
    {
        let log = open(dir.path());
        log.create_topic(NewTopic { configs: [("retention.ms".into(), "-1".into())].into(), ..topic("orders", 1) })
            .await
            .expect("created");
        append(&log, 0, &[], far).await.expect("the beginning is stepped over");
        log.delete_records(&orders(), Some(far)).await.expect("it is no part of the partition");
        append(&log, far, &all, far + 12).await.expect("appended");
        assert_eq!(values(&log, &orders(), far).await, expected(&all));
        let ends = log.offsets(&orders()).expect("ends");
        assert_eq!((ends.start, ends.high_watermark), (far, far + 12));
        log.close().await.expect("closed");
    }
    let log = open(dir.path());
    log.commit_atomic(commit(batch("orders", &[(0, None, "later")]))).await.expect("committed");
    let mut wanted = expected(&all);
    wanted.push((far + 12, "later".to_owned()));
    assert_eq!(values(&log, &orders(), far).await, wanted, "a restart moved something");
}

#[tokio::test]
async fn a_stretch_that_does_not_begin_where_the_partition_ends_leaves_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let log = open(dir.path());
    log.create_topic(topic("orders", 1)).await.expect("created");
    append(&log, 0, &[0, 2], 3).await.expect("appended");
    for (from, offsets, next) in [(0, &[0, 1][..], 2), (4, &[4], 5)] {
        let refused = append(&log, from, offsets, next).await.expect_err("it fits nowhere");
        assert!(matches!(refused, Error::OffsetOutOfRange { end: 3, .. }), "{refused}");
    }
    for (offsets, next) in [(&[4, 3][..], 9), (&[3, 3], 9), (&[2], 9), (&[9], 9)] {
        let refused = append(&log, 3, offsets, next).await.expect_err("offsets must rise");
        assert!(matches!(refused, Error::InvalidBatch { .. }), "{refused}");
    }
    assert_eq!(values(&log, &orders(), 0).await, expected(&[0, 2]));
}

#[test]
fn a_record_batch_for_others_holds_what_went_in() {
    let (read, next) = records_of(&orders(), 0, &record_batch(&records(&[7, 8]), -1), &[]).expect("sound");
    let shape = |batch: &Batch| {
        let shape = |record: towpath_model::Record<'_>| {
            let headers: Vec<_> = record.headers().map(|(name, value)| format!("{name}={:?}", value.bytes)).collect();
            format!("{:?} {:?} {:?} {headers:?}", record.timestamp, record.key.bytes, record.value.bytes)
        };
        batch.records().map(shape).collect::<Vec<_>>()
    };
    assert_eq!(shape(&read), shape(&records(&[7, 8])));
    assert_eq!(next, 2);
}
