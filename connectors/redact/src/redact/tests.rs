//! Batches in, batches out, under schemas and as text.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use towpath_model::datum::{Reader, write_boolean, write_bytes, write_double, write_float, write_long};
use towpath_model::{BatchBuilder, Field, Form, Run, Type};

use super::*;

fn redact(fields: &str, replacement: Option<&str>) -> Redact {
    let mut config = Config::default();
    config.set("fields", fields);
    if let Some(replacement) = replacement {
        config.set("replacement", replacement);
    }
    Redact::new(&config).expect("a transform")
}

fn struct_of(fields: Vec<(&str, Schema)>) -> Schema {
    let field = |(name, schema): (&str, Schema)| Field { name: name.into(), schema: Arc::new(schema) };
    Schema::new(Type::Struct(fields.into_iter().map(field).collect()))
}

fn batch(schema: &Schema, values: &[Option<&[u8]>]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    let index = builder.schema(&schema.to_json().to_string());
    let run = Run { records: 0, topic, origin: topic, partition: 3, key: Form::JSON, value: Form::connect(index) };
    builder.run(run);
    for (offset, value) in values.iter().enumerate() {
        builder.key(Some(b"{\"card\":1}"));
        builder.value(*value);
        builder.header("card", Form::BYTES, Some(b"kept"));
        builder.end(Some(7), Some(offset as i64));
    }
    builder.build()
}

fn values(transformed: &Transformed) -> Vec<Option<Vec<u8>>> {
    transformed.records.records().map(|record| record.value.bytes.map(<[u8]>::to_vec)).collect()
}

#[test]
fn fields_of_a_struct_are_replaced_and_all_else_of_the_record_stays() {
    let row = struct_of(vec![
        ("id", Schema::new(Type::Int64)),
        ("card", Schema::new(Type::String).optional()),
        ("paid", Schema::new(Type::Boolean)),
    ]);
    let schema = struct_of(vec![("after", row.optional()), ("op", Schema::new(Type::String))]);
    let datum = |card: Option<&str>| {
        let mut out = Vec::new();
        write_long(&mut out, 1);
        write_long(&mut out, 42);
        write_long(&mut out, i64::from(card.is_some()));
        card.iter().for_each(|card| write_bytes(&mut out, card.as_bytes()));
        write_boolean(&mut out, true);
        write_bytes(&mut out, b"c");
        out
    };
    let absent = [&[0][..], &[2, b'd']].concat();
    let (given, null) = (datum(Some("4111 1111")), datum(None));
    let input = batch(&schema, &[Some(&given), Some(&null), Some(&absent), None]);
    let output = redact("after.card", None).apply(input.clone()).expect("redacted");
    assert_eq!(values(&output), [Some(datum(Some("****"))), Some(null), Some(absent), None]);
    assert_eq!(output.origins, [0, 1, 2, 3]);
    for (before, after) in input.records().zip(output.records.records()) {
        assert_eq!((before.key, before.timestamp, before.offset), (after.key, after.timestamp, after.offset));
        assert!(before.headers().eq(after.headers()));
        assert_eq!(before.run, after.run);
    }
}

#[test]
fn every_type_has_its_zero() {
    let decimal = Schema::new(Type::Bytes).named("org.apache.kafka.connect.data.Decimal", 1);
    let variable = struct_of(vec![("scale", Schema::new(Type::Int32)), ("value", Schema::new(Type::Bytes))]);
    let schema = struct_of(vec![
        ("int", Schema::new(Type::Int32)),
        ("float", Schema::new(Type::Float32)),
        ("double", Schema::new(Type::Float64)),
        ("flag", Schema::new(Type::Boolean)),
        ("text", Schema::new(Type::String).default("none".into()).optional()),
        ("bytes", Schema::new(Type::Bytes)),
        ("decimal", decimal),
        ("variable", variable.named("io.debezium.data.VariableScaleDecimal", 1)),
        ("list", Schema::new(Type::Array(Arc::new(Schema::new(Type::Int32))))),
    ]);
    let datum = |int: i64, real: f64, flag: bool, text: &[u8], [bytes, decimal]: [&[u8]; 2], list: &[i64]| {
        let mut out = Vec::new();
        write_long(&mut out, int);
        write_float(&mut out, real as f32);
        write_double(&mut out, real);
        write_boolean(&mut out, flag);
        write_long(&mut out, 0);
        write_bytes(&mut out, text);
        write_bytes(&mut out, bytes);
        write_bytes(&mut out, decimal);
        write_long(&mut out, int);
        write_bytes(&mut out, decimal);
        if !list.is_empty() {
            write_long(&mut out, list.len() as i64);
            list.iter().for_each(|item| write_long(&mut out, *item));
        }
        write_long(&mut out, 0);
        out
    };
    let given = datum(9, 1.5, true, b"secret", [b"xyz", &[1, 2]], &[1, 2, 3]);
    let all = "int,float,double,flag,text,bytes,decimal,variable,list";
    let output = redact(all, Some("-")).apply(batch(&schema, &[Some(&given)])).expect("redacted");
    assert_eq!(values(&output), [Some(datum(0, 0.0, false, b"-", [b"", &[0]], &[]))]);
}

#[test]
fn paths_go_through_arrays_and_into_maps() {
    let line = struct_of(vec![("price", Schema::new(Type::Int32)), ("name", Schema::new(Type::String))]);
    let map = Type::Map(Arc::new(Schema::new(Type::String)), Arc::new(Schema::new(Type::String)));
    let schema = struct_of(vec![("lines", Schema::new(Type::Array(Arc::new(line)))), ("tags", Schema::new(map))]);
    let datum = |price: i64, tag: &str, sized: bool| {
        let mut out = Vec::new();
        if sized {
            // A block whose size in bytes is given, as other writers do.
            out.extend([3, 4 * 2]);
        } else {
            out.push(4);
        }
        for _ in 0..2 {
            write_long(&mut out, price);
            write_bytes(&mut out, b"ab");
        }
        out.push(0);
        out.push(4);
        for (key, value) in [("card", tag), ("color", "red")] {
            write_bytes(&mut out, key.as_bytes());
            write_bytes(&mut out, value.as_bytes());
        }
        out.push(0);
        out
    };
    let output = redact("lines.price, tags.card", None).apply(batch(&schema, &[Some(&datum(5, "4111", true))]));
    assert_eq!(values(&output.expect("redacted")), [Some(datum(0, "****", false))]);
}

#[test]
fn what_cannot_be_read_does_not_pass() {
    let schema = struct_of(vec![("card", Schema::new(Type::String))]);
    let mut good = Vec::new();
    write_bytes(&mut good, b"4111");
    let outcome = redact("card", None).apply(batch(&schema, &[Some(&good), Some(&good[..3]), Some(b"\x02x\0")]));
    let Err(ConnectorError::Records(refused)) = outcome else { panic!("refused") };
    assert_eq!(
        refused.iter().map(|error| (error.index, error.code.as_str())).collect::<Vec<_>>(),
        [(1, "redact.value"), (2, "redact.value")]
    );
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
    builder.key(None);
    builder.value(Some(b"4111"));
    builder.end(None, None);
    assert!(redact("card", None).apply(builder.build()).is_err());
}

#[test]
fn arbitrary_bytes_never_panic_and_never_hang() {
    let items = Type::Array(Arc::new(struct_of(vec![("card", Schema::new(Type::String).optional())])));
    let schema = struct_of(vec![("items", Schema::new(items)), ("card", Schema::new(Type::Bytes))]);
    for seed in 0..2000 {
        let mut random = StdRng::seed_from_u64(seed);
        let bytes: Vec<u8> = (0..random.random_range(0..40)).map(|_| random.random_range(0..=255)).collect();
        let outcome = redact("card,items.card", None).apply(batch(&schema, &[Some(&bytes)]));
        if let Ok(output) = outcome {
            let datum = values(&output).remove(0).expect("a value");
            assert_eq!(Reader::new(&datum[datum.len() - 1..]).long(), Ok(0), "seed {seed}: the last field is empty");
        }
        let _ = json::redact(&bytes, &["card".to_owned()], "\"\"", &mut Vec::new());
    }
}

#[test]
fn json_goes_in_and_out_as_text() {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("orders");
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::JSON });
    for value in [Some(&b"{\"card\":\"4111\",\"id\":1.0}"[..]), None] {
        builder.key(None);
        builder.value(value);
        builder.end(None, None);
    }
    let output = redact("card", Some("\"gone\"")).apply(builder.build()).expect("redacted");
    assert_eq!(values(&output), [Some(b"{\"card\":\"\\\"gone\\\"\",\"id\":1.0}".to_vec()), None]);
}

#[test]
fn a_configuration_without_fields_is_refused() {
    assert!(Redact::new(&Config::default()).is_err());
}
