use super::*;

fn sample() -> Batch {
    let mut builder = BatchBuilder::default();
    let (orders, audit) = (builder.topic("orders"), builder.topic("audit"));
    let plain = Run { records: 0, topic: orders, origin: orders, partition: -1, key: Form::BYTES, value: Form::JSON };
    builder.common_header(CommonHeader { name: "run".into(), form: Form::BYTES, value: Some("7".into()) });
    builder.run(plain);
    builder.key(Some(b"a"));
    builder.value(None);
    builder.end(None, None);
    builder.run(plain);
    builder.key(None);
    builder.value_with(|out| {
        out.extend_from_slice(b"{}");
        true
    });
    builder.header("h", Form::BYTES, Some(b""));
    builder.header("i", Form::BYTES, None);
    builder.end(None, None);
    builder.run(Run { topic: audit, ..plain });
    builder.key(Some(b"b"));
    builder.value(Some(b"[]"));
    builder.end(None, None);
    builder.build()
}

#[test]
fn a_record_that_is_taken_back_leaves_nothing() {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("t");
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key: Form::BYTES, value: Form::BYTES });
    for fails in [true, false, true, false] {
        builder.key(Some(b"key"));
        let value = builder.try_value_with(|out| {
            out.extend_from_slice(b"half");
            if fails { Err(()) } else { Ok(true) }
        });
        if fails {
            assert_eq!(value, Err(()));
        } else {
            builder.header("h", Form::BYTES, Some(b"v"));
            builder.end(None, None);
            builder.header("h", Form::BYTES, Some(b"of a record without a key"));
        }
        builder.undo();
    }
    let batch = builder.build();
    let record = |record: Record<'_>| (record.key.bytes.map(<[u8]>::len), record.headers().count());
    assert_eq!(batch.records().map(record).collect::<Vec<_>>(), [(Some(3), 1); 2]);
}

#[test]
fn what_is_built_is_read_back() {
    let batch = sample();
    let read: Vec<_> = batch
        .records()
        .map(|record| {
            let headers: Vec<_> = record.headers().map(|(name, value)| (name.to_string(), value.bytes)).collect();
            (record.topic().to_string(), record.key.bytes, record.value.bytes, headers)
        })
        .collect();
    let common = ("run".to_owned(), Some(&b"7"[..]));
    assert_eq!(
        read,
        [
            ("orders".to_owned(), Some(&b"a"[..]), None, vec![common.clone()]),
            (
                "orders".to_owned(),
                None,
                Some(&b"{}"[..]),
                vec![common.clone(), ("h".to_owned(), Some(&b""[..])), ("i".to_owned(), None)]
            ),
            ("audit".to_owned(), Some(&b"b"[..]), Some(&b"[]"[..]), vec![common]),
        ]
    );
    assert_eq!(batch.columns().runs.len(), 2);
}

#[test]
fn copying_record_by_record_keeps_everything() {
    let batch = sample();
    let mut builder = BatchBuilder::default();
    for record in batch.records() {
        let run = builder.import_run(&record);
        builder.run(run);
        builder.copy(&record);
    }
    let copy = builder.build();
    for (a, b) in batch.records().zip(copy.records()) {
        assert_eq!((a.topic(), a.key, a.value), (b.topic(), b.key, b.value));
        assert!(a.own_headers().eq(b.own_headers()));
    }
}

#[test]
fn columns_that_lie_are_refused() {
    let lies: [fn(&mut Columns); 9] = [
        |c| c.value_lengths.push(0),
        |c| c.key_lengths[0] = 1 << 30,
        |c| c.key_lengths[0] = -2,
        |c| c.runs[0].records += 1,
        |c| c.runs[0].topic = 9,
        |c| c.runs[0].value = Form::connect(0),
        |c| c.header_counts[1] = 7,
        |c| c.header_keys[0] = 9,
        |c| c.timestamps.push(1),
    ];
    for (index, lie) in lies.iter().enumerate() {
        let mut columns = sample().into_columns();
        lie(&mut columns);
        assert!(Batch::new(columns).is_err(), "lie {index} was believed");
    }
}
