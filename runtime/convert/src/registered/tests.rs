//! Both ways through a registry that keeps schemas in memory: what is registered, which bytes come out, what sinks get.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::executor::block_on;
use serde_json::{Value, json};
use towpath_model::datum::{write_bytes, write_double, write_long};
use towpath_model::{Batch, BatchBuilder, Config, Encoding, Form, Run};

use super::*;
use crate::definition::SchemaType;
use crate::{Converted, SinkPath, SourcePath};

/// Ids are places in the list.
#[derive(Clone, Default)]
struct Memory {
    schemas: Arc<Mutex<Vec<(String, Definition)>>>,
    asked: Arc<Mutex<u32>>,
    silent: bool,
}

impl Memory {
    fn with(schemas: &[&str]) -> Self {
        let memory = Self::default();
        for text in schemas {
            let definition = Definition { text: (*text).into(), ..Definition::default() };
            memory.schemas.lock().expect("alone").push((String::new(), definition));
        }
        memory
    }

    fn registered(&self) -> Vec<(String, Value)> {
        let schemas = self.schemas.lock().expect("alone");
        let json = |text: &str| serde_json::from_str(text).expect("JSON");
        schemas.iter().map(|(subject, definition)| (subject.clone(), json(&definition.text))).collect()
    }

    fn asked(&self) -> u32 {
        *self.asked.lock().expect("alone")
    }

    fn ask<T>(&self, answer: impl FnOnce(&mut Vec<(String, Definition)>) -> Option<T>) -> Result<T, RegistryFault> {
        *self.asked.lock().expect("alone") += 1;
        if self.silent {
            return Err(RegistryFault::Unreachable("nobody is there".into()));
        }
        answer(&mut self.schemas.lock().expect("alone"))
            .ok_or_else(|| RegistryFault::Refused("Schema not found".into()))
    }
}

impl SchemaRegistries for Memory {
    fn at(&self, _: &RegistryAddress) -> Result<Arc<dyn SchemaRegistry>, String> {
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl SchemaRegistry for Memory {
    async fn register(&self, subject: &str, schema: &Definition, _: bool) -> Result<i32, RegistryFault> {
        self.ask(|schemas| {
            schemas.push((subject.to_owned(), schema.clone()));
            Some(schemas.len() as i32)
        })
    }

    async fn look_up(&self, subject: &str, schema: &Definition, _: bool) -> Result<i32, RegistryFault> {
        self.ask(|schemas| {
            let place = schemas.iter().position(|(known, text)| known == subject && text == schema)?;
            Some(place as i32 + 1)
        })
    }

    async fn latest(&self, subject: &str) -> Result<RegisteredSchema, RegistryFault> {
        self.ask(|schemas| {
            let place = schemas.iter().rposition(|(known, _)| known == subject)?;
            let definition = schemas[place].1.clone();
            Some(RegisteredSchema { id: place as i32 + 1, definition, referenced: Vec::new() })
        })
    }

    async fn by_id(&self, id: i32) -> Result<RegisteredSchema, RegistryFault> {
        self.ask(|schemas| {
            let definition = schemas.get(usize::try_from(id).ok()?.checked_sub(1)?)?.1.clone();
            Some(RegisteredSchema { id, definition, referenced: Vec::new() })
        })
    }
}

fn config(settings: &[(&str, &str)]) -> Config {
    settings.iter().copied().collect()
}

/// Records of one topic without keys.
fn batch(schema: &str, values: &[&[u8]]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("shop.orders");
    let value = Form::connect(builder.schema(schema));
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value });
    for datum in values {
        builder.key(None);
        builder.value(Some(datum));
        builder.end(None, None);
    }
    builder.build()
}

fn stored(values: &[&[u8]]) -> Batch {
    let mut builder = BatchBuilder::default();
    let topic = builder.topic("shop.orders");
    builder.run(Run { records: 0, topic, origin: topic, partition: 0, key: Form::BYTES, value: Form::BYTES });
    for (offset, bytes) in values.iter().enumerate() {
        builder.key(None);
        builder.value(Some(bytes));
        builder.end(Some(1), Some(offset as i64));
    }
    builder.build()
}

fn source(memory: &Memory, settings: &[(&str, &str)], records: &Batch) -> Converted {
    let settings = [&[("value.converter", "avro")], settings].concat();
    let mut path = SourcePath::new(&config(&settings), HashMap::new(), memory).expect("a path");
    block_on(path.convert(records)).expect("converted")
}

fn sink(memory: &Memory, accepts: Encoding, records: &Batch) -> Converted {
    let config = config(&[("value.converter", "io.confluent.connect.avro.AvroConverter")]);
    let mut path = SinkPath::new(&config, &[accepts], HashMap::new(), memory).expect("a path");
    block_on(path.convert(records)).expect("converted")
}

fn value(converted: &Converted, index: usize) -> Vec<u8> {
    let record = converted.records.records().nth(index);
    record.and_then(|record| record.value.bytes).expect("a value").to_vec()
}

fn value_schema(converted: &Converted) -> Value {
    let record = converted.records.records().next().expect("a record");
    let schema = record.value.form.schema.expect("a schema");
    serde_json::from_str(converted.records.schema(schema)).expect("JSON")
}

fn number(value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    write_long(&mut out, value);
    out
}

/// One schema with all that AvroData has a way of its own for.
fn everything() -> Value {
    let field = |name: &str, schema: Value| {
        let mut schema = schema;
        schema["field"] = name.into();
        schema
    };
    json!({"type": "struct", "optional": false, "name": "shop.orders.Value", "version": 3, "fields": [
        field("id", json!({"type": "int32", "optional": false, "default": 0})),
        field("small", json!({"type": "int16", "optional": true})),
        field("price", json!({"type": "bytes", "optional": false, "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
            "parameters": {"scale": "2", "connect.decimal.precision": "10"}})),
        field("day", json!({"type": "int32", "optional": true, "name": "org.apache.kafka.connect.data.Date", "version": 1})),
        field("at", json!({"type": "int64", "optional": false, "name": "io.debezium.time.MicroTimestamp", "version": 1})),
        field("tags", json!({"type": "array", "items": {"type": "string", "optional": true}, "optional": false})),
        field("rates", json!({"type": "map", "keys": {"type": "string", "optional": false},
            "values": {"type": "double", "optional": false}, "optional": false})),
        field("note", json!({"type": "string", "optional": true, "default": "none"})),
    ]})
}

fn everything_data() -> Vec<u8> {
    let mut out = number(7);
    out.extend([number(1), number(-3)].concat());
    write_bytes(&mut out, &[0x04, 0xd2]);
    out.extend(number(0));
    out.extend(number(1_700_000_000_000_000));
    out.extend([number(2), number(1)].concat());
    write_bytes(&mut out, b"a");
    out.extend([number(0), number(0)].concat());
    out.extend(number(1));
    write_bytes(&mut out, b"EUR");
    write_double(&mut out, 1.5);
    out.extend(number(0));
    // The default comes first, so null is the second branch.
    out.extend(number(1));
    out
}

#[test]
fn schemas_are_registered_as_avro_data_renders_them_and_data_stay_as_they_are() {
    let memory = Memory::default();
    let data = everything_data();
    let converted = source(&memory, &[], &batch(&everything().to_string(), &[&data, &data]));
    assert_eq!(converted.failures, []);
    assert_eq!(value(&converted, 1), [&[0, 0, 0, 0, 1][..], &data].concat());
    let expected = json!({"type": "record", "name": "Value", "namespace": "shop.orders", "fields": [
        {"name": "id", "type": {"type": "int", "connect.default": 0}, "default": 0},
        {"name": "small", "type": ["null", {"type": "int", "connect.type": "int16"}], "default": null},
        {"name": "price", "type": {"type": "bytes", "scale": 2, "precision": 10, "connect.version": 1,
            "connect.parameters": {"scale": "2", "connect.decimal.precision": "10"},
            "connect.name": "org.apache.kafka.connect.data.Decimal", "logicalType": "decimal"}},
        {"name": "day", "type": ["null", {"type": "int", "connect.version": 1,
            "connect.name": "org.apache.kafka.connect.data.Date", "logicalType": "date"}], "default": null},
        {"name": "at", "type": {"type": "long", "connect.version": 1, "connect.name": "io.debezium.time.MicroTimestamp"}},
        {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
        {"name": "rates", "type": {"type": "map", "values": "double"}},
        {"name": "note", "type": [{"type": "string", "connect.default": "none"}, "null"], "default": "none"},
    ], "connect.version": 3, "connect.name": "shop.orders.Value"});
    assert_eq!(memory.registered(), [("shop.orders-value".to_owned(), expected.clone())]);
    // The order of attributes is part of the text, and so of what is the same schema.
    assert_eq!(memory.schemas.lock().expect("alone")[0].1.text.as_ref(), expected.to_string());

    let read = sink(&memory, Encoding::Connect, &stored(&[&value(&converted, 0)]));
    assert_eq!(value(&read, 0), data);
    let schema = value_schema(&read);
    assert_eq!(schema, everything());
    let read = sink(&memory, Encoding::Json, &stored(&[&value(&converted, 0)]));
    let json: Value = serde_json::from_slice(&value(&read, 0)).expect("JSON");
    let expected = json!({"id": 7, "small": -3, "price": "BNI=", "day": null, "at": 1_700_000_000_000_000i64, "tags": ["a", null],
        "rates": {"EUR": 1.5}, "note": "none"});
    assert_eq!(json, expected);
}

#[test]
fn the_registry_is_asked_once_for_a_schema_and_never_for_a_record() {
    let memory = Memory::default();
    let mut path = SourcePath::new(&config(&[("value.converter", "avro")]), HashMap::new(), &memory).expect("a path");
    let data = number(5);
    for _ in 0..3 {
        block_on(path.convert(&batch(r#"{"type":"int64","optional":false}"#, &[&data, &data, &data])))
            .expect("converted");
    }
    assert_eq!((memory.asked(), memory.registered().len()), (1, 1));
    let config = config(&[("value.converter", "avro")]);
    let mut path = SinkPath::new(&config, &[Encoding::Json], HashMap::new(), &memory).expect("a path");
    let bytes = [&[0, 0, 0, 0, 1][..], &data].concat();
    for _ in 0..3 {
        block_on(path.convert(&stored(&[&bytes, &bytes]))).expect("converted");
    }
    assert_eq!(memory.asked(), 2);
}

#[test]
fn a_registry_that_is_silent_holds_the_batch_up_and_one_that_refuses_the_record() {
    let long = batch(r#"{"type":"int64","optional":false}"#, &[&number(5)]);
    let silent = Memory { silent: true, ..Memory::default() };
    let mut path = SourcePath::new(&config(&[("value.converter", "avro")]), HashMap::new(), &silent).expect("a path");
    let error = block_on(path.convert(&long)).expect_err("nobody answers");
    assert!(
        matches!(&error, ConnectorError::Retriable { reason, .. } if reason.code.as_deref() == Some(REGISTRY_UNREACHABLE))
    );
    let refused = source(&Memory::default(), &[("value.converter.auto.register.schemas", "false")], &long);
    assert_eq!((refused.failures.len(), refused.failures[0].code.as_str()), (1, "convert.registry"));
    let unknown = sink(&Memory::default(), Encoding::Json, &stored(&[&[0, 0, 0, 0, 9, 2]]));
    assert_eq!(unknown.failures[0].code, "convert.registry");
    let foreign = sink(&Memory::default(), Encoding::Json, &stored(&[b"{\"a\":1}"]));
    assert_eq!(foreign.failures[0].code, "convert.form");
    // A datum that is none is not stored for others to stumble over.
    let broken = source(&Memory::default(), &[], &batch(r#"{"type":"string","optional":false}"#, &[&[6, b'a']]));
    assert_eq!(broken.failures[0].code, "convert.datum");
}

#[test]
fn the_latest_schema_is_used_where_its_shape_is_that_of_the_data() {
    let memory = Memory::default();
    let latest = |text: &str| {
        let definition = Definition { schema_type: SchemaType::Avro, text: text.into(), references: Vec::new() };
        memory.schemas.lock().expect("alone").push(("shop.orders-value".into(), definition));
    };
    latest(r#"{"type":"record","name":"V","doc":"better","fields":[{"name":"a","type":"long"}]}"#);
    let schema =
        r#"{"type":"struct","optional":false,"name":"V","fields":[{"type":"int64","optional":false,"field":"a"}]}"#;
    let settings = [("value.converter.use.latest.version", "true")];
    let converted = source(&memory, &settings, &batch(schema, &[&number(1)]));
    assert_eq!(value(&converted, 0), [0, 0, 0, 0, 1, 2]);
    latest(r#"{"type":"record","name":"V","fields":[{"name":"a","type":"string"}]}"#);
    let converted = source(&memory, &settings, &batch(schema, &[&number(1)]));
    assert!(converted.failures[0].reason.contains("another shape"), "{:?}", converted.failures);
}

#[test]
fn subjects_and_names_follow_the_settings() {
    let schema = r#"{"type":"struct","optional":false,"name":"a.b-c","fields":[{"type":"int64","optional":false,"field":"1 x"}]}"#;
    let records = batch(schema, &[&number(1)]);
    let refused = source(&Memory::default(), &[], &records);
    assert!(refused.failures[0].reason.contains("scrub.invalid.names=true"), "{:?}", refused.failures);
    for (strategy, subject) in [
        ("TopicNameStrategy", "shop.orders-value"),
        ("RecordNameStrategy", "a.b_c"),
        ("io.confluent.kafka.serializers.subject.TopicRecordNameStrategy", "shop.orders-a.b_c"),
    ] {
        let memory = Memory::default();
        let settings = [
            ("value.converter.scrub.invalid.names", "true"),
            ("value.converter.connect.meta.data", "false"),
            ("value.converter.value.subject.name.strategy", strategy),
        ];
        assert_eq!(source(&memory, &settings, &records).failures, []);
        let expected =
            json!({"type": "record", "name": "b_c", "namespace": "a", "fields": [{"name": "x1_x", "type": "long"}]});
        assert_eq!(memory.registered(), [(subject.to_owned(), expected)]);
    }
    for (key, wrong) in [
        ("value.converter.value.subject.name.strategy", "ByMood"),
        ("value.converter.auto.register.schemas", "perhaps"),
        ("value.converter.basic.auth.credentials.source", "SASL_INHERIT"),
        ("value.converter.schema.registry.url", "localhost:8081"),
    ] {
        let config = config(&[("value.converter", "avro"), (key, wrong)]);
        let error = SourcePath::new(&config, HashMap::new(), &Unconnected).err().expect(key);
        assert_eq!(error.key, key);
    }
}

/// What Avro has and Connect has not.
#[test]
fn enums_fixed_values_and_unions_become_what_connect_knows() {
    let schema = r#"{"type":"record","name":"n.R","fields":[
        {"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},
        {"name":"f","type":{"type":"fixed","name":"F","size":2}},
        {"name":"o","type":["int","null"]},
        {"name":"u","type":["null","string",{"type":"record","name":"S","fields":[{"name":"x","type":"long"}]}]},
        {"name":"t","type":{"type":"long","logicalType":"timestamp-millis"}},
        {"name":"one","type":["string"]}]}"#;
    let memory = Memory::with(&[
        schema,
        r#"{"type":"record","name":"L","fields":[{"name":"next","type":["null","L"]}]}"#,
        "\"null\"",
    ]);
    let data = |union: &[u8]| [&[0, 0, 0, 0, 1, 2, b'h', b'i', 2][..], union, &[2, 0, 2, b'z']].concat();
    let (null, text, record) = (data(&[0]), data(&[2, 2, b'q']), data(&[4, 10]));
    let read = sink(&memory, Encoding::Json, &stored(&[&null, &text, &record, &[0, 0, 0, 0, 2, 0], &[0, 0, 0, 0, 3]]));
    let expected = |union: &str| format!(r#"{{"e":"B","f":"aGk=","o":null,"u":{union},"t":1,"one":"z"}}"#);
    for (index, union) in
        ["null", r#"{"string":"q","S":null}"#, r#"{"string":null,"S":{"x":5}}"#].into_iter().enumerate()
    {
        assert_eq!(String::from_utf8(value(&read, index)).expect("UTF-8"), expected(union));
    }
    assert!(read.failures[0].reason.contains("L contains itself"), "{:?}", read.failures);
    assert_eq!(read.failures.len(), 2);
    let read = sink(&memory, Encoding::Connect, &stored(&[&text]));
    let schema = value_schema(&read);
    assert_eq!(schema["name"], "n.R");
    let parameters = json!({"io.confluent.connect.avro.Enum": "n.E", "io.confluent.connect.avro.Enum.A": "A", "io.confluent.connect.avro.Enum.B": "B"});
    assert_eq!((&schema["fields"][0]["parameters"], &schema["fields"][0]["name"]), (&parameters, &json!("n.E")));
    assert_eq!(schema["fields"][1]["parameters"]["connect.fixed.size"], "2");
    assert_eq!(schema["fields"][3]["name"], "io.confluent.connect.avro.Union");
    assert_eq!(schema["fields"][4]["name"], "org.apache.kafka.connect.data.Timestamp");
}

const JSON_SCHEMA: (&str, &str) = ("value.converter", "json-schema");

fn json_sink(memory: &Memory, settings: &[(&str, &str)], accepts: Encoding, records: &Batch) -> Converted {
    let class = ("value.converter", "io.confluent.connect.json.JsonSchemaConverter");
    let mut path =
        SinkPath::new(&config(&[&[class], settings].concat()), &[accepts], HashMap::new(), memory).expect("a path");
    block_on(path.convert(records)).expect("converted")
}

/// A document behind the id of its schema.
fn document(id: u8, document: &Value) -> Vec<u8> {
    [&[0, 0, 0, 0, id][..], document.to_string().as_bytes()].concat()
}

#[test]
fn schemas_are_registered_as_json_schema_data_renders_them_and_read_back() {
    let memory = Memory::default();
    let data = everything_data();
    let converted = source(&memory, &[JSON_SCHEMA], &batch(&everything().to_string(), &[&data, &data]));
    assert_eq!(converted.failures, []);
    let expected = json!({"title": "shop.orders.Value", "type": "object", "properties": {
        "id": {"default": 0, "type": "integer", "connect.type": "int32", "connect.index": 0},
        "small": {"oneOf": [{"type": "null"}, {"type": "integer", "connect.type": "int16"}], "connect.index": 1},
        "price": {"title": "org.apache.kafka.connect.data.Decimal", "type": "string", "connect.type": "bytes", "connect.version": 1,
            "connect.parameters": {"scale": "2", "connect.decimal.precision": "10"}, "connect.index": 2},
        "day": {"oneOf": [{"type": "null"}, {"title": "org.apache.kafka.connect.data.Date", "type": "integer", "connect.type": "int32",
            "connect.version": 1}], "connect.index": 3},
        "at": {"title": "io.debezium.time.MicroTimestamp", "type": "integer", "connect.type": "int64", "connect.version": 1,
            "connect.index": 4},
        "tags": {"type": "array", "items": {"oneOf": [{"type": "null"}, {"type": "string"}]}, "connect.index": 5},
        "rates": {"type": "object", "additionalProperties": {"type": "number", "connect.type": "float64"}, "connect.type": "map",
            "connect.index": 6},
        "note": {"oneOf": [{"type": "null"}, {"default": "none", "type": "string"}], "connect.index": 7},
    }, "connect.version": 3});
    assert_eq!(memory.registered(), [("shop.orders-value".to_owned(), expected.clone())]);
    assert_eq!(memory.schemas.lock().expect("alone")[0].1.schema_type, SchemaType::Json);
    assert_eq!(memory.schemas.lock().expect("alone")[0].1.text.as_ref(), expected.to_string());
    let written = json!({"id": 7, "small": -3, "price": "BNI=", "day": null, "at": 1_700_000_000_000_000i64, "tags": ["a", null],
        "rates": {"EUR": 1.5}, "note": "none"});
    assert_eq!(value(&converted, 1), document(1, &written));

    let read = json_sink(&memory, &[], Encoding::Connect, &stored(&[&value(&converted, 0)]));
    assert_eq!(value_schema(&read), everything());
    // The null has become the default.
    let mut with_note = data.clone();
    with_note.pop();
    with_note.extend(number(0));
    write_bytes(&mut with_note, b"none");
    assert_eq!(value(&read, 0), with_note);
    let read = json_sink(&memory, &[], Encoding::Json, &stored(&[&value(&converted, 0)]));
    assert_eq!(value(&read, 0), written.to_string().as_bytes());

    let memory = Memory::default();
    let settings = [
        JSON_SCHEMA,
        ("value.converter.decimal.format", "NUMERIC"),
        ("value.converter.ignore.default.for.nullables", "true"),
        ("value.converter.object.additional.properties", "false"),
        ("value.converter.value.subject.name.strategy", "RecordNameStrategy"),
    ];
    let converted = source(&memory, &settings, &batch(&everything().to_string(), &[&data]));
    let registered = memory.registered();
    let (subject, schema) = registered.first().expect("a schema");
    assert_eq!((subject.as_str(), &schema["additionalProperties"]), ("shop.orders.Value", &json!(false)));
    assert_eq!(schema["properties"]["price"]["type"], "number");
    let read: Value = serde_json::from_slice(&value(&converted, 0)[5..]).expect("JSON");
    assert_eq!((&read["price"], &read["note"]), (&json!(12.34), &Value::Null));
}

/// What others write: properties in any order and beyond those that are named, enums, unions, maps of their own making.
#[test]
fn json_schemas_of_others_become_what_connect_knows() {
    let memory = Memory::default();
    let know = |text: Value| {
        let definition =
            Definition { schema_type: SchemaType::Json, text: text.to_string().into(), references: Vec::new() };
        memory.schemas.lock().expect("alone").push(("shop.orders-value".into(), definition));
    };
    know(
        json!({"type": "object", "required": ["id"], "definitions": {"size": {"type": "object", "properties": {"w": {"type": "integer"}}}},
        "properties": {"id": {"type": "integer"}, "state": {"type": "string", "enum": ["NEW", "SENT"]}, "note": {"type": ["string", "null"]},
        "size": {"oneOf": [{"type": "number"}, {"$ref": "#/definitions/size"}]}, "rate": {"type": "number"},
        "by": {"type": "array", "connect.type": "map", "items": {"type": "object",
            "properties": {"key": {"type": "integer"}, "value": {"type": "boolean"}}}}}}),
    );
    know(json!({"type": "object", "properties": {"next": {"$ref": "#"}}}));
    let given = json!({"note": "n", "unknown": [1], "size": {"w": 3}, "state": "SENT", "id": 5, "by": [{"key": 1, "value": true}]});
    let records = stored(&[&document(1, &given)]);
    let as_it_is = json_sink(&memory, &[], Encoding::Json, &records);
    assert_eq!(value(&as_it_is, 0), given.to_string().as_bytes());
    let missing = json_sink(&memory, &[], Encoding::Connect, &records);
    assert!(missing.failures[0].reason.contains("$.rate is null"), "{:?}", missing.failures);

    let settings = [("value.converter.use.optional.for.nonrequired", "true")];
    let read = json_sink(&memory, &settings, Encoding::Connect, &records);
    assert_eq!(read.failures, []);
    let schema = value_schema(&read);
    assert_eq!((&schema["fields"][0]["optional"], &schema["fields"][1]["optional"]), (&json!(false), &json!(true)));
    assert_eq!(schema["fields"][1]["parameters"]["io.confluent.connect.json.Enum.SENT"], "SENT");
    assert_eq!(schema["fields"][3]["name"], "io.confluent.connect.json.OneOf");
    // Written again it is what was read, in the order of the schema.
    let again = source(&memory, &[JSON_SCHEMA], &batch(&schema.to_string(), &[&value(&read, 0)]));
    let expected = json!({"id": 5, "state": "SENT", "note": "n", "size": {"w": 3}, "rate": null, "by": [{"key": 1, "value": true}]});
    assert_eq!(value(&again, 0), document(3, &expected));
    let written = memory.registered().pop().expect("a schema").1;
    let size = json!({"oneOf": [{"type": "null"}, {"type": "number", "connect.type": "float64", "connect.index": 0},
        {"type": "object", "properties": {"w": {"oneOf": [{"type": "null"}, {"type": "integer", "connect.type": "int64"}], "connect.index": 0}},
        "connect.index": 1}], "connect.index": 3});
    assert_eq!(written["properties"]["size"], size);

    let endless = json_sink(&memory, &[], Encoding::Connect, &stored(&[&document(2, &json!({}))]));
    assert!(endless.failures[0].reason.contains("contains itself"), "{:?}", endless.failures);
    let broken = json_sink(&memory, &[], Encoding::Json, &stored(&[&[0, 0, 0, 0, 1, b'{']]));
    assert_eq!(broken.failures[0].code, "convert.json");
    let by_avro = sink(&memory, Encoding::Json, &records);
    assert!(by_avro.failures[0].reason.contains("it is of type JSON"), "{:?}", by_avro.failures);
}

#[test]
fn the_latest_json_schema_is_used_where_it_takes_the_data() {
    let memory = Memory::default();
    let latest = |text: Value| {
        let definition =
            Definition { schema_type: SchemaType::Json, text: text.to_string().into(), references: Vec::new() };
        memory.schemas.lock().expect("alone").push(("shop.orders-value".into(), definition));
    };
    let settings = [JSON_SCHEMA, ("value.converter.use.latest.version", "true")];
    let records = batch(r#"{"type":"int64","optional":false}"#, &[&number(5)]);
    latest(json!({"type": "number"}));
    assert_eq!(value(&source(&memory, &settings, &records), 0), document(1, &json!(5)));
    latest(json!({"type": "string"}));
    let refused = source(&memory, &settings, &records);
    assert!(refused.failures[0].reason.contains("another shape"), "{:?}", refused.failures);
}

const PROTOBUF: (&str, &str) = ("value.converter", "protobuf");

impl Memory {
    fn text(&self, place: usize) -> (String, String) {
        let schemas = self.schemas.lock().expect("alone");
        let (subject, definition) = schemas.get(place).expect("registered");
        (subject.clone(), definition.text.to_string())
    }

    fn hold(&self, subject: &str, schema_type: SchemaType, text: &str) {
        let definition = Definition { schema_type, text: text.into(), references: Vec::new() };
        self.schemas.lock().expect("alone").push((subject.into(), definition));
    }
}

fn protobuf_sink(memory: &Memory, accepts: Encoding, records: &Batch) -> Converted {
    let config = config(&[("value.converter", "io.confluent.connect.protobuf.ProtobufConverter")]);
    let mut path = SinkPath::new(&config, &[accepts], HashMap::new(), memory).expect("a path");
    block_on(path.convert(records)).expect("converted")
}

#[test]
fn protobuf_is_written_and_read_behind_id_and_places() {
    let memory = Memory::default();
    let schema = r#"{"type":"struct","name":"shop.Order","optional":true,"fields":[{"field":"id","type":"int32"},
        {"field":"note","type":"string","optional":true,"default":"d"}]}"#;
    let (data, null) = ([&number(1)[..], &number(7), &number(1)].concat(), number(0));
    let settings = [PROTOBUF, ("value.converter.value.subject.name.strategy", "TopicRecordNameStrategy")];
    let converted = source(&memory, &settings, &batch(schema, &[&data, &data, &null]));
    assert_eq!(converted.failures, []);
    let text =
        "syntax = \"proto3\";\npackage shop;\n\nmessage Order {\n  int32 id = 1;\n  optional string note = 2;\n}\n";
    assert_eq!(memory.text(0), ("shop.orders-shop.Order".to_owned(), text.to_owned()));
    let stored_bytes = [0, 0, 0, 0, 1, 0, 8, 7];
    assert_eq!((value(&converted, 0), value(&converted, 1)), (stored_bytes.to_vec(), stored_bytes.to_vec()));
    // A null is a tombstone, whatever its schema.
    assert_eq!(converted.records.records().nth(2).and_then(|record| record.value.bytes), None);
    assert_eq!(memory.asked(), 1);

    let read = protobuf_sink(&memory, Encoding::Json, &stored(&[&stored_bytes]));
    assert_eq!(value(&read, 0), br#"{"id":7,"note":null}"#);
    let read = protobuf_sink(&memory, Encoding::Connect, &stored(&[&stored_bytes]));
    assert_eq!(value_schema(&read)["name"], "Order");

    // Plain bytes, and keys that are texts, are messages of Google's.
    let plain = batch(r#"{"type":"string"}"#, &[&[2, b'k']]);
    assert_eq!(value(&source(&memory, &[PROTOBUF], &plain), 0), [0, 0, 0, 0, 2, 2, 14, 10, 1, b'k']);
    assert_eq!(
        value(&protobuf_sink(&memory, Encoding::Json, &stored(&[&[0, 0, 0, 0, 2, 2, 14, 10, 1, b'k']])), 0),
        b"\"k\""
    );
}

#[test]
fn any_message_of_a_file_is_read_and_what_is_none_fails_by_itself() {
    let memory = Memory::default();
    memory.hold(
        "s",
        SchemaType::Protobuf,
        "syntax = \"proto3\"; message A { A a = 1; } message B { message C { int32 n = 1; } C c = 1; }",
    );
    let of = |places: &[u8], data: &[u8]| [&[0, 0, 0, 0, 1][..], places, data].concat();
    let records =
        [of(&[2, 2], &[10, 2, 8, 5]), of(&[4, 2, 0], &[8, 6]), of(&[0], &[]), of(&[2, 8], &[]), of(&[2, 2], &[10, 9])];
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let read = protobuf_sink(&memory, Encoding::Json, &stored(&records));
    assert_eq!((value(&read, 0), value(&read, 1)), (br#"{"c":{"n":5}}"#.to_vec(), br#"{"n":6}"#.to_vec()));
    let reasons: Vec<&str> = read.failures.iter().map(|failure| failure.reason.as_str()).collect();
    for (reason, said) in reasons.iter().zip(["contains itself", "no message of the schema", "no Protobuf"]) {
        assert!(reason.contains(said), "{reasons:?}");
    }
    assert_eq!(reasons.len(), 3);
    assert_eq!(memory.asked(), 1);
}

#[test]
fn the_latest_protobuf_schema_is_written_field_by_field() {
    let memory = Memory::default();
    let settings = [PROTOBUF, ("value.converter.use.latest.version", "true")];
    let records = batch(
        r#"{"type":"struct","fields":[{"field":"a","type":"int32"},{"field":"b","type":"string"}]}"#,
        &[&[10, 2, b'x']],
    );
    let hold = |text: &str| memory.hold("shop.orders-value", SchemaType::Protobuf, text);
    hold("syntax = \"proto3\"; message Mine { string b = 1; sint64 a = 9; string more = 3; }");
    assert_eq!(value(&source(&memory, &settings, &records), 0), [0, 0, 0, 0, 1, 0, 0x48, 10, 10, 1, b'x']);
    hold("syntax = \"proto3\"; message Other {} message ConnectDefault1 { int32 a = 1; bytes b = 2; }");
    let refused = source(&memory, &settings, &records);
    assert!(refused.failures[0].reason.contains("field b: string cannot be written"), "{:?}", refused.failures);
    hold("syntax = \"proto3\"; message ConnectDefault1 { int32 a = 1; }");
    let refused = source(&memory, &settings, &records);
    assert!(refused.failures[0].reason.contains("has no field of this name"), "{:?}", refused.failures);
    memory.hold("shop.orders-value", SchemaType::Json, "true");
    let refused = source(&memory, &settings, &records);
    assert!(refused.failures[0].reason.contains("another shape"), "{:?}", refused.failures);
}
