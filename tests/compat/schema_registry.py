"""Confluent's serializers against a running worker: its Kafka listener, its schema registry, its sinks and sources.

The arguments are the worker's data directory and its pipelines folder; the environment says where PostgreSQL is, as psql has it.
"""

import base64
import json
import os
import subprocess
import sys
import threading
import uuid
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from check import check, eventually, run
from confluent_kafka import Consumer, Producer
from confluent_kafka.schema_registry import Schema, SchemaReference, SchemaRegistryClient, record_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.schema_registry.error import SchemaRegistryError
from confluent_kafka.schema_registry.confluent.type import decimal_pb2
from confluent_kafka.schema_registry.json_schema import JSONDeserializer, JSONSerializer
from confluent_kafka.schema_registry.protobuf import ProtobufDeserializer, ProtobufSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from google.protobuf import descriptor_pb2, descriptor_pool, timestamp_pb2
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.text_format import Parse

DATA, PIPELINES = sys.argv[1:3]
ADDRESSES = json.loads((Path(DATA) / "addresses.json").read_text())
REGISTRY = SchemaRegistryClient({"url": f"http://{ADDRESSES['registry']}"})
ORDER = """{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"}, {"name": "item", "type": ["null", "string"], "default": null},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "SENT"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 8, "scale": 2}},
    {"name": "tags", "type": {"type": "array", "items": "string"}}]}"""

PARCEL = """{"$schema": "http://json-schema.org/draft-07/schema#", "title": "Parcel", "type": "object", "required": ["id"],
    "properties": {"id": {"type": "integer"}, "to": {"type": "string"}, "weight": {"type": ["number", "null"]}},
    "additionalProperties": false}"""

# What protoc makes of a file: a unit, which is imported, and crates, of which the second message and one inside of it are written.
UNIT = """name: "shop/unit.proto" package: "shop" syntax: "proto3"
    enum_type { name: "Unit" value { name: "PIECE" number: 0 } value { name: "KILO" number: 1 } }"""
CRATE = """name: "shop/crate.proto" package: "shop" syntax: "proto3"
    dependency: "shop/unit.proto" dependency: "google/protobuf/timestamp.proto" dependency: "confluent/type/decimal.proto"
    message_type { name: "Unused" }
    message_type { name: "Crate" oneof_decl { name: "holder" }
        field { name: "id" number: 1 type: TYPE_INT64 label: LABEL_OPTIONAL }
        field { name: "unit" number: 2 type: TYPE_ENUM type_name: ".shop.Unit" label: LABEL_OPTIONAL }
        field { name: "at" number: 3 type: TYPE_MESSAGE type_name: ".google.protobuf.Timestamp" label: LABEL_OPTIONAL }
        field { name: "sums" number: 4 type: TYPE_SINT32 label: LABEL_REPEATED }
        field { name: "items" number: 5 type: TYPE_MESSAGE type_name: ".shop.Crate.Item" label: LABEL_REPEATED }
        field { name: "counts" number: 6 type: TYPE_MESSAGE type_name: ".shop.Crate.CountsEntry" label: LABEL_REPEATED }
        field { name: "person" number: 7 type: TYPE_STRING label: LABEL_OPTIONAL oneof_index: 0 }
        field { name: "shelf" number: 8 type: TYPE_UINT32 label: LABEL_OPTIONAL oneof_index: 0 }
        nested_type { name: "CountsEntry" options { map_entry: true }
            field { name: "key" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
            field { name: "value" number: 2 type: TYPE_INT32 label: LABEL_OPTIONAL } }
        nested_type { name: "Item"
            field { name: "name" number: 1 type: TYPE_STRING label: LABEL_OPTIONAL }
            field { name: "price" number: 2 type: TYPE_MESSAGE type_name: ".confluent.type.Decimal" label: LABEL_OPTIONAL } } }"""
POOL = descriptor_pool.Default()
assert timestamp_pb2.DESCRIPTOR and decimal_pb2.DESCRIPTOR, "they are imported for the pool"
for text in [UNIT, CRATE]:
    POOL.AddSerializedFile(Parse(text, descriptor_pb2.FileDescriptorProto()).SerializeToString())
Crate, Item = (GetMessageClass(POOL.FindMessageTypeByName(name)) for name in ["shop.Crate", "shop.Crate.Item"])
PROTOBUF = {"use.deprecated.format": False}


class Hooks(BaseHTTPRequestHandler):
    """Keeps what sinks send."""

    received = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        Hooks.received.append(json.loads(body))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def unused(kind="t"):
    return f"{kind}-{uuid.uuid4().hex[:8]}"


def pipeline(name, **settings):
    """A pipeline file; JSON is YAML."""
    settings = {key.replace("__", "."): value for key, value in settings.items()}
    fresh = Path(PIPELINES) / f"{name}.new"
    fresh.write_text(json.dumps({"name": name, **settings}))
    fresh.rename(Path(PIPELINES) / f"{name}.yaml")


def order(number):
    return {"id": number, "item": None if number % 2 else f"item {number}", "state": "SENT", "price": Decimal("12.50"), "tags": ["a"]}


def produce(topic, serializer, values):
    producer = Producer({"bootstrap.servers": ADDRESSES["kafka"]})
    for value in values:
        producer.produce(topic, serializer(value, SerializationContext(topic, MessageField.VALUE)))
    assert producer.flush(30) == 0, "not all was delivered"


def consume(topic, count):
    consumer = Consumer({"bootstrap.servers": ADDRESSES["kafka"], "group.id": unused("g"), "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    taken = []

    def enough():
        message = consumer.poll(1)
        if message is not None and not message.error():
            taken.append(message)
        return len(taken) >= count

    eventually(f"{count} records of {topic}", enough, 60)
    consumer.close()
    return taken


@check
def avro_goes_out_and_comes_back():
    topic = unused()
    produce(topic, AvroSerializer(REGISTRY, ORDER), map(order, range(20)))
    deserializer = AvroDeserializer(REGISTRY)
    context = SerializationContext(topic, MessageField.VALUE)
    assert [deserializer(message.value(), context) for message in consume(topic, 20)] == [order(number) for number in range(20)]
    assert f"{topic}-value" in REGISTRY.get_subjects()


@check
def settings_of_the_serializer_hold():
    topic = unused()
    settings = {"auto.register.schemas": False, "normalize.schemas": True, "subject.name.strategy": record_subject_name_strategy}
    serializer = AvroSerializer(REGISTRY, ORDER, conf=settings)
    REGISTRY.register_schema("shop.Order", Schema(ORDER, "AVRO"), normalize_schemas=True)
    produce(topic, serializer, [order(1)])
    latest = AvroSerializer(REGISTRY, conf={"auto.register.schemas": False, "use.latest.version": True,
                                            "subject.name.strategy": lambda *_: "shop.Order"})
    produce(topic, latest, [order(2)])
    assert len(consume(topic, 2)) == 2


@check
def the_registry_client_is_answered():
    subject = unused("s")
    first = REGISTRY.register_schema(subject, Schema(ORDER, "AVRO"))
    assert REGISTRY.lookup_schema(subject, Schema(ORDER, "AVRO")).version == 1
    assert REGISTRY.get_latest_version(subject).schema_id == first
    assert REGISTRY.get_schema(first).schema_type == "AVRO"
    assert REGISTRY.get_compatibility() == "BACKWARD"
    changed = Schema(ORDER.replace('"name": "id"', '"name": "number"'), "AVRO")
    assert not REGISTRY.test_compatibility(subject, changed)
    try:
        REGISTRY.register_schema(subject, changed)
        raise AssertionError("an incompatible schema was taken")
    except SchemaRegistryError as error:
        assert (error.http_status_code, error.error_code) == (409, 409), error
    REGISTRY.set_compatibility(subject, "NONE")
    REGISTRY.register_schema(subject, changed)
    assert REGISTRY.get_versions(subject) == [1, 2]
    assert REGISTRY.delete_version(subject, 1) == 1
    assert REGISTRY.delete_subject(subject) == [2]
    assert REGISTRY.delete_subject(subject, permanent=True) == [1, 2]
    assert subject not in REGISTRY.get_subjects()


@check
def what_python_wrote_a_sink_sends_as_json():
    expected = [{"id": number, "item": order(number)["item"], "state": "SENT", "price": "BOI=", "tags": ["a"]} for number in range(3)]
    sent("avro", AvroSerializer(REGISTRY, ORDER), map(order, range(3)), expected)


@check
def what_python_wrote_under_a_json_schema_a_sink_sends():
    parcels = [{"id": number, "to": "Delft", "weight": None if number else 1.5} for number in range(3)]
    sent("json-schema", JSONSerializer(PARCEL, REGISTRY), parcels, parcels)


@check
def json_schemas_follow_confluents_rules():
    subject = unused("s")
    REGISTRY.register_schema(subject, Schema(PARCEL, "JSON"))
    assert REGISTRY.get_latest_version(subject).schema.schema_type == "JSON"
    wider, narrower = PARCEL.replace('"integer"', '"number"'), PARCEL.replace('"to": {"type": "string"}, ', "")
    assert REGISTRY.test_compatibility(subject, Schema(wider, "JSON"))
    assert not REGISTRY.test_compatibility(subject, Schema(narrower, "JSON"))
    outer = """{"type": "array", "items": {"$ref": "parcel.json"}}"""
    reference = SchemaReference("parcel.json", subject, 1)
    REGISTRY.register_schema(unused("s"), Schema(outer, "JSON", [reference]))


def crate(number):
    held = {"person": "Ann"} if number else {"shelf": 0}
    fields = {"id": number, "unit": "KILO", "at": "1970-01-01T00:00:02.5Z", "sums": [-1, 300], "counts": {"a": number}, **held}
    return ParseDict({**fields, "items": [{"name": "rope", "price": {"value": "BA==", "precision": 1}}]}, Crate())


@check
def what_python_wrote_as_protobuf_a_sink_sends():
    expected = [{"holder_0": {"person": "Ann" if number else None, "shelf": None if number else 0}, "id": number, "unit": "KILO",
                 "at": 2500, "sums": [-1, 300], "items": [{"name": "rope", "price": "BA=="}], "counts": {"a": number}} for number in range(3)]
    sent("protobuf", ProtobufSerializer(Crate, REGISTRY, PROTOBUF), map(crate, range(3)), expected)
    assert "shop/unit.proto" in REGISTRY.get_subjects(), "an import is registered under its name"
    assert "confluent/type/decimal.proto" not in REGISTRY.get_subjects(), "what is known needs no registration"


@check
def messages_inside_of_others_are_found_by_their_places():
    topic = unused()
    items = [ParseDict({"name": f"item {number}"}, Item()) for number in range(3)]
    produce(topic, ProtobufSerializer(Item, REGISTRY, PROTOBUF), items)
    deserializer = ProtobufDeserializer(Item, PROTOBUF, REGISTRY)
    context = SerializationContext(topic, MessageField.VALUE)
    assert [deserializer(message.value(), context) for message in consume(topic, 3)] == items


@check
def protobuf_follows_confluents_rules():
    subject = unused("s")
    text = """syntax = "proto3"; package p; message M { int32 id = 1; string note = 2; }"""
    REGISTRY.register_schema(subject, Schema(text, "PROTOBUF"))
    kept = REGISTRY.get_latest_version(subject).schema
    assert kept.schema_type == "PROTOBUF"
    assert kept.schema_str == """syntax = "proto3";\npackage p;\n\nmessage M {\n  int32 id = 1;\n  string note = 2;\n}\n""", kept.schema_str
    assert REGISTRY.test_compatibility(subject, Schema(text.replace("int32", "int64"), "PROTOBUF"))
    assert not REGISTRY.test_compatibility(subject, Schema(text.replace("int32", "string"), "PROTOBUF"))


def sent(converter, serializer, values, expected):
    """What Python writes to a topic, an HTTP sink sends on."""
    topic, hooks = unused(), unused("hooks")
    server = HTTPServer(("127.0.0.1", 0), Hooks)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hooks.received.clear()
    produce(topic, serializer, values)
    pipeline(hooks, connector__class="http-sink", topics=topic, http__url=f"http://127.0.0.1:{server.server_port}/orders",
             value__converter=converter, value__converter__schema__registry__url=f"http://{ADDRESSES['registry']}", key__converter="string")
    eventually("three requests", lambda: len(Hooks.received) >= 3, 60)
    assert sorted(Hooks.received, key=lambda body: body["id"]) == expected, Hooks.received


@check
def what_a_source_wrote_python_reads():
    deserializer = AvroDeserializer(REGISTRY)
    keys, values = captured("avro", deserializer)
    assert keys == [{"id": 1}, {"id": 2}], keys
    assert [value["op"] for value in values] == ["r", "r"], values
    assert values[0]["after"] == {"id": 1, "item": "rope", "price": order(0)["price"]}, values
    assert values[1]["after"] == {"id": 2, "item": None, "price": None}, values


@check
def what_a_source_wrote_under_json_schemas_python_reads():
    deserializer = JSONDeserializer(None, schema_registry_client=REGISTRY)
    keys, values = captured("json-schema", deserializer)
    assert keys == [{"id": 1}, {"id": 2}], keys
    assert [value["after"] for value in values] == [{"id": 1, "item": "rope", "price": "BOI="}, {"id": 2, "item": None, "price": None}], values


@check
def what_a_source_wrote_as_protobuf_python_reads():
    keys, values = captured("protobuf", ClassOfTheSubject())
    assert keys == [{"id": 1}, {"id": 2}], keys
    price = {"value": "BOI=", "precision": 4, "scale": 2}
    assert [value["after"] for value in values] == [{"id": 1, "item": "rope", "price": price}, {"id": 2}], values


class ClassOfTheSubject:
    """Reads messages by the class that the registry's schema comes to."""

    readers = {}

    def __call__(self, data, context):
        subject = f"{context.topic}-{context.field}"
        if subject not in self.readers:
            serialized = REGISTRY.get_latest_version(subject, fmt="serialized").schema.schema_str
            file = descriptor_pb2.FileDescriptorProto.FromString(base64.b64decode(serialized))
            file.name = f"{subject}.proto"
            POOL.AddSerializedFile(file.SerializeToString())
            message = GetMessageClass(POOL.FindMessageTypeByName(f"{file.package}.{file.message_type[0].name}"))
            self.readers[subject] = ProtobufDeserializer(message, PROTOBUF, REGISTRY)
        return MessageToDict(self.readers[subject](data, context), preserving_proto_field_name=True)


def captured(converter, deserializer):
    """Keys and values of two change events."""
    name = unused("cdc").replace("-", "_")
    sql(f"create table {name} (id int primary key, item text, price numeric(8, 2))")
    sql(f"insert into {name} values (1, 'rope', 12.5), (2, null, null)")
    given = {key: os.environ[f"PG{key.upper()}"] for key in ["host", "port", "user", "password", "database"]}
    pipeline(name, connector__class="postgres-cdc", database__hostname=given["host"], database__port=given["port"],
             database__user=given["user"], database__password=given["password"], database__dbname=given["database"],
             topic__prefix=name, table__include__list=f"public.{name}", publication__autocreate__mode="filtered", slot__name=name, publication__name=name,
             key__converter=converter, value__converter=converter)
    topic = f"{name}.public.{name}"
    taken = consume(topic, 2)
    keys = [deserializer(message.key(), SerializationContext(topic, MessageField.KEY)) for message in taken]
    values = [deserializer(message.value(), SerializationContext(topic, MessageField.VALUE)) for message in taken]
    return keys, values


def sql(text):
    """Runs SQL where the environment says."""
    subprocess.run(["psql", "-q", "-c", text], check=True)


run("confluent-kafka with schemas")
