"""librdkafka, by way of confluent-kafka, against a running broker whose address is the first argument."""

import subprocess
import sys
import uuid

from check import check, eventually, run
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic,
                                   ResourceType)

BROKER = sys.argv[1]
ADMIN = AdminClient({"bootstrap.servers": BROKER})

MEMBER = """
import sys
from confluent_kafka import Consumer
consumer = Consumer({"bootstrap.servers": sys.argv[1], "group.id": sys.argv[2], "session.timeout.ms": 6000,
                     "auto.offset.reset": "earliest"})
consumer.subscribe([sys.argv[3]], on_assign=lambda _, parts: print(len(parts), flush=True))
while True:
    consumer.poll(1)
"""


def new_topic(partitions=1, **config):
    name = f"t-{uuid.uuid4().hex[:8]}"
    config = {key.replace("_", "."): value for key, value in config.items()}
    ADMIN.create_topics([NewTopic(name, partitions, 1, config=config)])[name].result(30)
    return name


def producer(**config):
    return Producer({"bootstrap.servers": BROKER, "linger.ms": 5, **{key.replace("_", "."): value for key, value in config.items()}})


def fill(topic, values, partition=0, **config):
    failures = []
    sender = producer(**config)
    for index, value in enumerate(values):
        sender.produce(topic, value, key=f"k{index}", partition=partition, timestamp=1_000_000 + index,
                       headers=[("n", str(index)), ("none", None)],
                       on_delivery=lambda error, _: failures.append(error) if error else None)
        sender.poll(0)
    assert sender.flush(120) == 0, "not all was delivered"
    assert not failures, failures


def consumer(group=None, **config):
    return Consumer({"bootstrap.servers": BROKER, "group.id": group or f"g-{uuid.uuid4().hex[:8]}",
                     "auto.offset.reset": "earliest", "enable.auto.commit": False, "session.timeout.ms": 6000,
                     **{key.replace("_", "."): value for key, value in config.items()}})


def newer_consumer(group, **config):
    return Consumer({"bootstrap.servers": BROKER, "group.id": group, "group.protocol": "consumer", "auto.offset.reset": "earliest",
                     "enable.auto.commit": False, **{key.replace("_", "."): value for key, value in config.items()}})


def take(reader, count, seconds=120):
    found = []

    def enough():
        message = reader.poll(0.2)
        if message is not None:
            assert not message.error(), message.error()
            found.append(message)
        return len(found) >= count
    eventually(f"{count} records", enough, seconds)
    return found


@check
def every_codec_with_keys_headers_and_timestamps():
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"]:
        topic = new_topic()
        fill(topic, [f"{codec}-{index}" for index in range(500)], compression_type=codec)
        reader = consumer()
        reader.assign([TopicPartition(topic, 0, 0)])
        for index, message in enumerate(take(reader, 500)):
            assert message.offset() == index and message.value() == f"{codec}-{index}".encode()
            assert message.key() == f"k{index}".encode() and message.timestamp()[1] == 1_000_000 + index
            assert message.headers() == [("n", str(index).encode()), ("none", None)]
        reader.close()


@check
def every_level_of_acknowledgement_and_an_idempotent_producer():
    topic = new_topic()
    for acks in ["0", "1", "all"]:
        fill(topic, ["a"] * 100, acks=acks)
    fill(topic, ["b"] * 1000, enable_idempotence=True)
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    assert len(take(reader, 1300)) == 1300
    assert reader.get_watermark_offsets(TopicPartition(topic, 0)) == (0, 1300)
    reader.close()


@check
def a_record_that_is_too_large_is_refused_and_the_next_is_not():
    topic = new_topic(max_message_bytes="1000")
    errors = []
    sender = producer()
    for value in [b"x" * 5000, b"y"]:
        sender.produce(topic, value, on_delivery=lambda error, _: errors.append(error and error.code()))
        sender.flush(120)
    assert errors == [KafkaError.MSG_SIZE_TOO_LARGE, None], errors


@check
def a_group_takes_over_from_a_member_that_is_killed():
    topic, group = new_topic(4), f"g-{uuid.uuid4().hex[:8]}"
    for partition in range(4):
        fill(topic, [f"{partition}-{index}" for index in range(10)], partition)
    first = consumer(group)
    assigned = []
    first.subscribe([topic], on_assign=lambda _, parts: assigned.append(len(parts)))
    take(first, 40)
    second = subprocess.Popen([sys.executable, "-c", MEMBER, BROKER, group, topic], stdout=subprocess.PIPE, text=True)
    try:
        eventually("two members share", lambda: first.poll(0.1) or (assigned and assigned[-1] == 2))
        assert int(second.stdout.readline()) == 2
        members = ADMIN.describe_consumer_groups([group])[group].result(30).members
        assert len(members) == 2, members
    finally:
        second.kill()
        second.wait()
    eventually("one takes over", lambda: first.poll(0.1) or assigned[-1] == 4)
    first.close()


@check
def offsets_are_committed_by_hand_and_resumed():
    topic, group = new_topic(), f"g-{uuid.uuid4().hex[:8]}"
    fill(topic, [str(index) for index in range(20)])
    reader = consumer(group)
    reader.subscribe([topic])
    take(reader, 20)
    reader.commit(offsets=[TopicPartition(topic, 0, 7, metadata="half way")], asynchronous=False)
    reader.close()
    reader = consumer(group)
    assert reader.committed([TopicPartition(topic, 0)])[0].metadata == "half way"
    reader.subscribe([topic])
    assert take(reader, 1)[0].offset() == 7
    reader.close()


@check
def a_static_member_that_comes_back_keeps_its_partitions():
    topic, group = new_topic(2), f"g-{uuid.uuid4().hex[:8]}"
    fill(topic, ["a"])
    generations = []
    for _ in range(2):
        reader = consumer(group, group_instance_id="one")
        reader.subscribe([topic])
        eventually("an assignment", lambda: reader.poll(0.1) or reader.assignment())
        generations.append(len(reader.assignment()))
        reader.close()
    assert generations == [2, 2], generations


@check
def cooperative_members_share():
    topic, group = new_topic(4), f"g-{uuid.uuid4().hex[:8]}"
    pair = [consumer(group, partition_assignment_strategy="cooperative-sticky") for _ in range(2)]
    for reader in pair:
        reader.subscribe([topic])
    eventually("two members share", lambda: [reader.poll(0.1) for reader in pair] and [len(reader.assignment()) for reader in pair] == [2, 2])
    for reader in pair:
        reader.close()


@check
def members_of_the_newer_protocol_share_and_take_over():
    for assignor in ["uniform", "range"]:
        topic, group = new_topic(4), f"g-{uuid.uuid4().hex[:8]}"
        for partition in range(4):
            fill(topic, [f"{partition}-{index}" for index in range(10)], partition)
        first, second = [newer_consumer(group, group_remote_assignor=assignor) for _ in range(2)]
        first.subscribe([topic])
        take(first, 40)
        first.commit(asynchronous=False)
        second.subscribe([topic])
        eventually("two members share", lambda: (first.poll(0.1), second.poll(0.1)) and len(first.assignment()) == len(second.assignment()) == 2)
        described = ADMIN.describe_consumer_groups([group])[group].result(30)
        assert len(described.members) == 2 and described.partition_assignor == assignor, described
        second.close()
        eventually("one takes over", lambda: first.poll(0.1) or len(first.assignment()) == 4)
        fill(topic, ["last"], 3)
        assert take(first, 1)[0].value() == b"last", "nothing is read twice"
        first.close()


@check
def a_static_member_of_the_newer_protocol_comes_back():
    topic, group = new_topic(2), f"g-{uuid.uuid4().hex[:8]}"
    for _ in range(2):
        reader = newer_consumer(group, group_instance_id="one")
        reader.subscribe([topic])
        eventually("an assignment", lambda: reader.poll(0.1) or len(reader.assignment()) == 2)
        reader.close()


@check
def a_group_changes_to_the_newer_protocol_and_back_while_it_is_read():
    for strategy in ["range", "cooperative-sticky"]:
        topic, group = new_topic(4), f"g-{uuid.uuid4().hex[:8]}"
        for partition in range(4):
            fill(topic, [f"{partition}-{index}" for index in range(10)], partition)
        old = consumer(group, partition_assignment_strategy=strategy)
        old.subscribe([topic])
        take(old, 40)
        old.commit(asynchronous=False)
        new = newer_consumer(group)
        new.subscribe([topic])
        eventually("both protocols share", lambda: (old.poll(0.1), new.poll(0.1)) and len(old.assignment()) == len(new.assignment()) == 2)
        for partition in range(4):
            fill(topic, ["last"], partition)
        found = [message.value() for message in take(old, 2) + take(new, 2)]
        assert found == [b"last"] * 4, found
        old.commit(asynchronous=False)
        new.commit(asynchronous=False)
        new.close()
        eventually("the older member takes over", lambda: old.poll(0.1) or len(old.assignment()) == 4)
        fill(topic, ["back"], 3)
        assert take(old, 1)[0].value() == b"back", "nothing is read twice"
        old.close()


@check
def seeking_to_an_offset_and_to_a_time():
    topic = new_topic()
    fill(topic, [str(index) for index in range(100)])
    reader = consumer()
    reader.assign([TopicPartition(topic, 0, 0)])
    take(reader, 1)
    reader.seek(TopicPartition(topic, 0, 42))
    assert take(reader, 1)[0].offset() == 42
    found = reader.offsets_for_times([TopicPartition(topic, 0, 1_000_077)], 30)
    assert found[0].offset == 77, found
    reader.close()


@check
def transactions_commit_and_abort_records_and_offsets_together():
    topic, group, name = new_topic(2), f"g-{uuid.uuid4().hex[:8]}", f"tx-{uuid.uuid4().hex[:8]}"
    sender = producer(transactional_id=name, transaction_timeout_ms="20000")
    sender.init_transactions(30)
    reader = consumer(group)
    reader.subscribe([topic])
    eventually("an assignment", lambda: reader.poll(0.1) or reader.assignment())
    expected = [[], []]
    for number in range(12):
        commits = number % 3 != 1
        sender.begin_transaction()
        for index in range(20):
            value = f"{number}-{index}"
            sender.produce(topic, value, partition=index % 2)
            if commits:
                expected[index % 2].append(value)
        sender.send_offsets_to_transaction([TopicPartition(topic, 0, number + 1)], reader.consumer_group_metadata(), 30)
        sender.flush(120)
        if commits:
            sender.commit_transaction(30)
        else:
            sender.abort_transaction(30)
    assert reader.committed([TopicPartition(topic, 0)], 30)[0].offset == 12
    reader.close()
    for isolation, counts in [("read_committed", [len(part) for part in expected]), ("read_uncommitted", [120, 120])]:
        for partition in range(2):
            one = consumer(isolation_level=isolation, enable_partition_eof="true")
            one.assign([TopicPartition(topic, partition, 0)])
            found = []

            def at_the_end():
                message = one.poll(0.5)
                if message is None:
                    return False
                if message.error():
                    return message.error().code() == KafkaError._PARTITION_EOF
                found.append(message.value().decode())
                return False
            eventually(f"the end of partition {partition}", at_the_end)
            assert len(found) == counts[partition], (isolation, partition, len(found))
            if isolation == "read_committed":
                assert found == expected[partition]
            one.close()


@check
def a_newer_instance_fences_an_older_one():
    topic, name = new_topic(), f"tx-{uuid.uuid4().hex[:8]}"
    first, second = producer(transactional_id=name), producer(transactional_id=name)
    first.init_transactions(30)
    first.begin_transaction()
    first.produce(topic, "of the old one")
    first.flush(120)
    second.init_transactions(30)
    try:
        first.commit_transaction(30)
        raise AssertionError("an older instance committed")
    except KafkaException as error:
        assert error.args[0].code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH), error
    second.begin_transaction()
    second.produce(topic, "of the new one")
    second.commit_transaction(30)
    reader = consumer(isolation_level="read_committed")
    reader.assign([TopicPartition(topic, 0, 0)])
    assert [message.value() for message in take(reader, 1)] == [b"of the new one"]
    reader.close()


@check
def topics_and_configs_are_administered():
    topic = new_topic(retention_ms="60000")
    resource = ConfigResource(ResourceType.TOPIC, topic)
    configs = ADMIN.describe_configs([resource])[resource].result(30)
    assert configs["retention.ms"].value == "60000" and configs["segment.bytes"].is_default
    change = ConfigEntry("retention.ms", "120000", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
    ADMIN.incremental_alter_configs([changed])[changed].result(30)
    assert ADMIN.describe_configs([resource])[resource].result(30)["retention.ms"].value == "120000"
    ADMIN.create_partitions([NewPartitions(topic, 3)])[topic].result(30)
    assert len(ADMIN.list_topics(topic, 30).topics[topic].partitions) == 3
    ADMIN.delete_topics([topic])[topic].result(30)
    assert topic not in ADMIN.list_topics(timeout=120).topics


@check
def groups_are_listed_described_and_deleted():
    topic, group = new_topic(), f"g-{uuid.uuid4().hex[:8]}"
    fill(topic, ["a"])
    reader = consumer(group)
    reader.subscribe([topic])
    take(reader, 1)
    reader.commit(asynchronous=False)
    try:
        ADMIN.delete_consumer_groups([group])[group].result(30)
        raise AssertionError("a group with members was deleted")
    except Exception as error:
        assert "NON_EMPTY_GROUP" in str(error), error
    reader.close()
    assert group in [one.group_id for one in ADMIN.list_consumer_groups().result(30).valid]
    ADMIN.delete_consumer_groups([group])[group].result(30)
    assert group not in [one.group_id for one in ADMIN.list_consumer_groups().result(30).valid]


run("confluent-kafka")
