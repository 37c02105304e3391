use towpath_model::{BatchBuilder, Form, Run};

use super::*;

/// Records as (topic, offset, key, headers).
fn read(batch: &Batch) -> Vec<(String, i64, String, Vec<String>)> {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"null")).into_owned();
    batch
        .records()
        .map(|record| {
            let headers = record.headers().map(|(name, value)| format!("{name}={}", text(value.bytes))).collect();
            (record.topic().to_string(), record.offset.unwrap_or(-1), text(record.key.bytes), headers)
        })
        .collect()
}

fn sample(topic: &str, offsets: Range<i64>, headers: bool) -> Batch {
    let mut builder = BatchBuilder::default();
    for offset in offsets {
        let topic = builder.topic(if offset % 7 < 4 { topic } else { "other" });
        let run = Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::JSON };
        builder.run(run);
        builder.key(Some(format!("k{offset}").as_bytes()));
        builder.value((offset % 3 > 0).then_some(&b"{}"[..]));
        if headers && offset % 2 == 0 {
            builder.header(&format!("h{}", offset % 4), Form::BYTES, Some(b"v"));
        }
        builder.end(Some(offset), Some(offset));
    }
    builder.build()
}

#[test]
fn a_slice_is_that_stretch() {
    let batch = sample("t", 0..50, true);
    let all = read(&batch);
    for from in 0..50 {
        for to in from..=50 {
            assert_eq!(read(&slice(&batch, from..to)), all[from..to], "{from}..{to}");
        }
    }
}

#[test]
fn selected_records_keep_everything() {
    let batch = sample("t", 0..20, true);
    let all = read(&batch);
    let wanted = [0u32, 3, 4, 11, 19];
    let expected: Vec<_> = wanted.iter().map(|index| all[*index as usize].clone()).collect();
    assert_eq!(read(&select(&batch, &wanted)), expected);
}

#[test]
fn joined_batches_stand_one_behind_the_other() {
    let parts = [sample("a", 0..9, false), sample("b", 9..20, true), Batch::default(), sample("a", 20..31, true)];
    let expected: Vec<_> = parts.iter().flat_map(read).collect();
    assert_eq!(read(&join(parts.to_vec())), expected);
    assert!(join(vec![]).is_empty());
}
