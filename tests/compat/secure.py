"""confluent-kafka and kafka-python over TLS and with every login, against listeners whose addresses stand in the environment."""

import os
import uuid

from check import check, eventually, run
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError as PythonError

CA, CLIENT = os.environ["CA"], os.environ["CLIENT"]
USER, PASSWORD = os.environ["USER_NAME"], os.environ["PASSWORD"]
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def confluent(address, protocol, mechanism=None, password=PASSWORD, identity=False):
    config = {"bootstrap.servers": address, "security.protocol": protocol}
    if "SSL" in protocol:
        config.update({"ssl.ca.location": CA, "ssl.endpoint.identification.algorithm": "https"})
    if identity:
        config.update({"ssl.certificate.location": f"{CLIENT}.pem", "ssl.key.location": f"{CLIENT}.key"})
    if mechanism:
        config.update({"sasl.mechanism": mechanism, "sasl.username": USER, "sasl.password": password})
    return config


def confluent_trip(config):
    topic = f"t-{uuid.uuid4().hex[:8]}"
    # A client that nobody holds any more ends what it has begun.
    admin = AdminClient(config)
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(30)
    producer = Producer(config)
    for index in range(100):
        producer.produce(topic, str(index))
    assert producer.flush(30) == 0, "not all was delivered"
    reader = Consumer({**config, "group.id": topic, "enable.auto.commit": False, "auto.offset.reset": "earliest"})
    reader.assign([TopicPartition(topic, 0, 0)])
    found = []
    eventually("100 records", lambda: found.extend(reader.consume(100, 0.2)) or len(found) >= 100)
    assert [int(one.value()) for one in found] == list(range(100))
    reader.close()


def python(address, protocol, mechanism=None, password=PASSWORD, identity=False):
    config = {"bootstrap_servers": address, "security_protocol": protocol}
    if "SSL" in protocol:
        config.update({"ssl_cafile": CA, "ssl_check_hostname": True})
    if identity:
        config.update({"ssl_certfile": f"{CLIENT}.pem", "ssl_keyfile": f"{CLIENT}.key"})
    if mechanism:
        config.update({"sasl_mechanism": mechanism, "sasl_plain_username": USER, "sasl_plain_password": password})
    return config


def python_trip(config):
    topic = f"t-{uuid.uuid4().hex[:8]}"
    producer = KafkaProducer(**config)
    for index in range(100):
        producer.send(topic, str(index).encode())
    producer.flush(30)
    producer.close()
    reader = KafkaConsumer(topic, **config, auto_offset_reset="earliest", enable_auto_commit=False)
    found = []

    def enough():
        for records in reader.poll(200).values():
            found.extend(records)
        return len(found) >= 100
    eventually("100 records", enough)
    assert sorted(int(one.value) for one in found) == list(range(100))
    reader.close()


def all_ways(make, trip):
    trip(make(os.environ["SSL"], "SSL"))
    trip(make(os.environ["MUTUAL"], "SSL", identity=True))
    for mechanism in MECHANISMS:
        for protocol in ["SASL_PLAINTEXT", "SASL_SSL"]:
            try:
                trip(make(os.environ[protocol], protocol, mechanism))
            except Exception as error:
                raise AssertionError(f"{mechanism} as {protocol}") from error


@check
def confluent_kafka_over_tls_and_by_every_login():
    all_ways(confluent, confluent_trip)


@check
def kafka_python_over_tls_and_by_every_login():
    all_ways(python, python_trip)


@check
def a_wrong_password_is_told_as_one():
    for mechanism in MECHANISMS:
        errors = []
        config = confluent(os.environ["SASL_PLAINTEXT"], "SASL_PLAINTEXT", mechanism, "wrong")
        producer = Producer({**config, "error_cb": errors.append})
        eventually("librdkafka says so", lambda: producer.poll(0.1) or any(one.code() == KafkaError._AUTHENTICATION for one in errors))
        assert any("the user or the password is wrong" in one.str() for one in errors), errors
        try:
            KafkaProducer(**python(os.environ["SASL_PLAINTEXT"], "SASL_PLAINTEXT", mechanism, "wrong"), bootstrap_timeout_ms=5000)
            raise AssertionError("kafka-python came in")
        except PythonError:
            pass


@check
def without_a_certificate_nobody_comes_in_where_one_is_asked_for():
    admin = AdminClient(confluent(os.environ["MUTUAL"], "SSL"))
    try:
        admin.list_topics(timeout=3)
        raise AssertionError("it came in")
    except Exception as error:
        assert not isinstance(error, AssertionError), error


run("TLS and SASL")
