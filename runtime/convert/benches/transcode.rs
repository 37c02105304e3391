//! What a record costs between connector and log: a Debezium envelope of ten columns, about 780 bytes of JSON.

use std::collections::HashMap;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::executor::block_on;
use towpath_convert::{SinkPath, SourcePath};
use towpath_model::datum::{write_boolean, write_bytes, write_double, write_long};
use towpath_model::{Batch, BatchBuilder, Config, Encoding, Form, Run};

const RECORDS: usize = 1000;

fn fields(fields: &[(&str, &str, bool)]) -> String {
    let field = |(name, kind, optional): &(&str, &str, bool)| {
        format!(r#"{{"type":"{kind}","optional":{optional},"field":"{name}"}}"#)
    };
    fields.iter().map(field).collect::<Vec<_>>().join(",")
}

fn schema() -> String {
    let columns = fields(&[
        ("id", "int64", false),
        ("customer_id", "int64", false),
        ("status", "string", true),
        ("note", "string", true),
        ("quantity", "int32", true),
        ("price", "double", true),
        ("total", "bytes", true),
        ("paid", "boolean", true),
        ("created_at", "int64", true),
        ("updated_at", "string", true),
    ]);
    let source = fields(&[
        ("version", "string", false),
        ("connector", "string", false),
        ("name", "string", false),
        ("ts_ms", "int64", false),
        ("snapshot", "string", true),
        ("db", "string", false),
        ("sequence", "string", true),
        ("ts_us", "int64", true),
        ("ts_ns", "int64", true),
        ("schema", "string", false),
        ("table", "string", false),
        ("txId", "int64", true),
        ("lsn", "int64", true),
        ("xmin", "int64", true),
    ]);
    let row = |name: &str| {
        format!(
            r#"{{"type":"struct","fields":[{columns}],"optional":true,"name":"shop.public.orders.Value","field":"{name}"}}"#
        )
    };
    format!(
        r#"{{"type":"struct","fields":[{},{},{{"type":"struct","fields":[{source}],"optional":false,"field":"source"}},{{"type":"string","optional":true,"field":"transaction"}},{}],"optional":false,"name":"shop.public.orders.Envelope","version":2}}"#,
        row("before"),
        row("after"),
        fields(&[
            ("op", "string", false),
            ("ts_ms", "int64", true),
            ("ts_us", "int64", true),
            ("ts_ns", "int64", true)
        ])
    )
}

fn some_text(out: &mut Vec<u8>, text: &str) {
    write_long(out, 1);
    write_bytes(out, text.as_bytes());
}

fn some_long(out: &mut Vec<u8>, value: i64) {
    write_long(out, 1);
    write_long(out, value);
}

fn datum(id: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write_long(&mut out, 0);
    write_long(&mut out, 1);
    write_long(&mut out, id);
    write_long(&mut out, 1_000_000 + id);
    some_text(&mut out, "shipped");
    some_text(&mut out, "leave it at the door if nobody answers the bell");
    some_long(&mut out, 3);
    write_long(&mut out, 1);
    write_double(&mut out, 19.99);
    write_long(&mut out, 1);
    write_bytes(&mut out, &[0x17, 0x6d]);
    write_long(&mut out, 1);
    write_boolean(&mut out, true);
    some_long(&mut out, 1_795_214_308_437_158);
    some_text(&mut out, "2026-11-21T01:02:03.456789Z");
    for text in ["3.6.3.Final", "postgresql", "shop"] {
        write_bytes(&mut out, text.as_bytes());
    }
    write_long(&mut out, 1_795_214_308_437);
    some_text(&mut out, "false");
    write_bytes(&mut out, b"shop");
    some_text(&mut out, r#"["764200672","764212624"]"#);
    some_long(&mut out, 1_795_214_308_437_158);
    some_long(&mut out, 1_795_214_308_437_158_000);
    write_bytes(&mut out, b"public");
    write_bytes(&mut out, b"orders");
    some_long(&mut out, 1772);
    some_long(&mut out, 764_212_624);
    write_long(&mut out, 0);
    write_long(&mut out, 0);
    write_bytes(&mut out, b"c");
    some_long(&mut out, 1_795_214_308_500);
    some_long(&mut out, 1_795_214_308_500_123);
    some_long(&mut out, 1_795_214_308_500_123_456);
    out
}

fn batch() -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("shop.public.orders");
    let key = Form::connect(
        builder
            .schema(r#"{"type":"struct","fields":[{"type":"int64","optional":false,"field":"id"}],"optional":false}"#),
    );
    let value = Form::connect(builder.schema(&schema()));
    builder.run(Run { records: 0, topic, origin: topic, partition: -1, key, value });
    for id in 0..RECORDS as i64 {
        builder.key_with(|out| {
            write_long(out, id);
            true
        });
        builder.value(Some(&datum(id)));
        builder.end(None, None);
    }
    builder.build()
}

fn benches(criterion: &mut Criterion) {
    let batch = batch();
    let mut group = criterion.benchmark_group("record");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let unwrap =
        [("transforms", "u"), ("transforms.u.type", "ExtractNewRecordState"), ("transforms.u.add.fields", "op,lsn")];
    let route = [
        ("transforms", "r"),
        ("transforms.r.type", "RegexRouter"),
        ("transforms.r.regex", "shop\\.(.*)"),
        ("transforms.r.replacement", "$1"),
    ];
    let schemas = [("value.converter.schemas.enable", "true")];
    let cases: [(&str, &[(&str, &str)]); 4] = [
        ("source json", &[]),
        ("source json with schemas", &schemas),
        ("source unwrap", &unwrap),
        ("source route", &route),
    ];
    for (name, config) in cases {
        let config: Config = config.iter().copied().collect();
        let mut path = SourcePath::new(&config, HashMap::new(), &towpath_convert::Unconnected).expect("a path");
        group.bench_function(name, |bencher| bencher.iter(|| block_on(path.convert(&batch)).expect("converted")));
    }
    let mut path = SourcePath::new(&Config::default(), HashMap::new(), &towpath_convert::Unconnected).expect("a path");
    let log = block_on(path.convert(&batch)).expect("converted").records;
    println!(
        "{} bytes of JSON a record",
        log.records().next().and_then(|record| record.value.bytes).map_or(0, <[u8]>::len)
    );
    for (name, config) in [("sink json", &[][..]), ("sink unwrap", &unwrap[..])] {
        let config: Config = config.iter().copied().collect();
        let mut path =
            SinkPath::new(&config, &[Encoding::Json], HashMap::new(), &towpath_convert::Unconnected).expect("a path");
        group.bench_function(name, |bencher| bencher.iter(|| block_on(path.convert(&log)).expect("converted")));
    }
    group.finish();
}

criterion_group!(transcode, benches);
criterion_main!(transcode);
