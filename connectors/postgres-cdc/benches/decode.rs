//! From the server's bytes to a finished batch, per row of ten columns: a change of the stream, a row of the snapshot.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use towpath_model::Config;
use towpath_postgres_cdc::config::Settings;
use towpath_postgres_cdc::envelope::{Operation, Origin, Writer};
use towpath_postgres_cdc::schema::{
    ColumnFacts, PgType, SharedSchemas, Source, Table, TableFacts, TypeKind, TypeRegistry,
};
use towpath_postgres_cdc::wire::{
    Cells, Inbound, Message, ReplicaIdentity, Replication, read_copy_row, read_replication,
};

const ROWS: usize = 1000;

const COLUMNS: [(&str, &str, i32, &str); 10] = [
    ("id", "int8", -1, "1234567"),
    ("customer", "int4", -1, "4711"),
    ("status", "varchar", 24, "shipped"),
    ("total", "numeric", (10 << 16 | 2) + 4, "12345.67"),
    ("note", "text", -1, "the quick brown fox jumps over the lazy dog, and then over it once more"),
    ("paid", "bool", -1, "t"),
    ("created", "timestamptz", -1, "2018-06-20 13:13:16.945104+00"),
    ("updated", "timestamp", -1, "2018-06-20 13:13:16.945104"),
    ("reference", "uuid", -1, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
    ("extra", "jsonb", -1, "{\"a\": 2, \"b\": [1, 2, 3]}"),
];

fn table() -> Arc<Table> {
    let mut types = TypeRegistry::default();
    let column = |(place, (name, kind, modifier, _)): (usize, &(&str, &str, i32, &str))| {
        types.insert(PgType { oid: place as u32, name: (*kind).into(), kind: TypeKind::Base });
        ColumnFacts {
            name: (*name).into(),
            type_oid: place as u32,
            modifier: *modifier,
            optional: place > 0,
            dimensions: 0,
            default: None,
            elements_optional: false,
            labels_open: false,
            place,
        }
    };
    let columns = COLUMNS.iter().enumerate().map(column).collect();
    let facts = TableFacts {
        oid: 1,
        schema: "public".into(),
        name: "orders".into(),
        identity: ReplicaIdentity::Default,
        columns,
        key: vec!["id".into()],
        key_deferrable: false,
    };
    let required =
        [("database.hostname", "h"), ("database.user", "u"), ("database.dbname", "shop"), ("topic.prefix", "shop")];
    let config: Config = required.into_iter().collect();
    let settings = Settings::parse(&config).expect("valid");
    Arc::new(Table::new(facts, &types, &settings.names, &settings.values))
}

fn source() -> Source {
    Source {
        name: "shop".into(),
        database: "db".into(),
        transaction_topic: None,
        schemas: SharedSchemas::new("shop.message".into(), towpath_model::Type::Bytes),
    }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("small").to_be_bytes();
    [b"d", length.as_slice(), body].concat()
}

fn stream_bytes() -> Vec<u8> {
    let mut body = [b"w".as_slice(), &[0; 24], b"I", &1u32.to_be_bytes(), b"N", &10u16.to_be_bytes()].concat();
    for (.., text) in COLUMNS {
        body.push(b't');
        body.extend_from_slice(&u32::try_from(text.len()).expect("small").to_be_bytes());
        body.extend_from_slice(text.as_bytes());
    }
    framed(&body).repeat(ROWS)
}

fn copy_bytes() -> Vec<u8> {
    let fields: Vec<_> = COLUMNS.iter().map(|(.., text)| *text).collect();
    framed(format!("(1234,17)\t{}\n", fields.join("\t")).as_bytes()).repeat(ROWS)
}

fn decode(criterion: &mut Criterion) {
    let table = table();
    let headers = [("__debezium.context.taskId", "0")];
    let mut writer = Writer::new(&source(), true, &headers);
    let origin = |lsn| Origin {
        ts_us: 1_795_214_308_437_158,
        snapshot: "false",
        last_commit: Some(764_200_672),
        lsn,
        xid: Some(1772),
        upstream: None,
    };
    let (mut cells, mut inbound, mut scratch) = (Cells::default(), Inbound::default(), Vec::new());
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(ROWS as u64));
    let bytes = stream_bytes();
    group.bench_function("stream", |bencher| {
        bencher.iter(|| {
            inbound.room().extend_from_slice(&bytes);
            while let Some(frame) = inbound.next_frame().expect("sound") {
                let Ok(Replication::Data { lsn, message }) = read_replication(inbound.body(&frame)) else { continue };
                let Ok(Message::Insert(_, mut cursor)) = Message::read(message) else { continue };
                cells.read_tuple(&mut cursor).expect("sound");
                let row = (&cells, cursor.whole());
                writer.change(&table, Operation::Create, None, row, &origin(lsn)).expect("written");
            }
            assert_eq!(writer.len(), ROWS);
            black_box(writer.finish())
        });
    });
    let bytes = copy_bytes();
    group.bench_function("snapshot", |bencher| {
        bencher.iter(|| {
            inbound.room().extend_from_slice(&bytes);
            while let Some(frame) = inbound.next_frame().expect("sound") {
                let line = inbound.body(&frame);
                let (_, unescaped) = read_copy_row(line, &mut cells, &mut scratch).expect("sound");
                let row = (&cells, if unescaped { scratch.as_slice() } else { line });
                writer.change(&table, Operation::Read, None, row, &origin(1)).expect("written");
            }
            assert_eq!(writer.len(), ROWS);
            black_box(writer.finish())
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
