"""kafka-python, pure Python, against a running broker whose address is the first argument."""

import sys
import uuid

from check import check, eventually, run
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import NewTopic
from kafka.structs import OffsetAndMetadata

BROKER = sys.argv[1]


def new_topic(partitions=1):
    name = f"t-{uuid.uuid4().hex[:8]}"
    admin = KafkaAdminClient(bootstrap_servers=BROKER)
    admin.create_topics([NewTopic(name, partitions, 1)])
    admin.close()
    return name


def fill(topic, values, **config):
    sender = KafkaProducer(bootstrap_servers=BROKER, **config)
    sent = [sender.send(topic, value.encode(), key=b"k", headers=[("n", b"1")], partition=0, timestamp_ms=1_000_000 + index)
            for index, value in enumerate(values)]
    sender.flush(120)
    offsets = [one.get(30).offset for one in sent]
    sender.close()
    return offsets


def consumer(group=None, **config):
    return KafkaConsumer(bootstrap_servers=BROKER, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
                         **config)


def take(reader, count):
    found = []

    def enough():
        # An assignment that comes after the poll that asked for it is lost to this client.
        for records in reader.poll(60_000).values():
            found.extend(records)
        return len(found) >= count
    eventually(f"{count} records", enough)
    return found


@check
def every_codec_comes_back():
    for codec in [None, "gzip"]:
        topic = new_topic()
        assert fill(topic, [str(index) for index in range(200)], compression_type=codec) == list(range(200))
        reader = consumer()
        reader.assign([TopicPartition(topic, 0)])
        found = take(reader, 200)
        assert [int(one.value) for one in found] == list(range(200))
        assert found[7].timestamp == 1_000_007 and found[7].key == b"k" and list(found[7].headers) == [("n", b"1")]
        reader.close()


@check
def every_level_of_acknowledgement():
    topic = new_topic()
    for acks in [1, "all"]:
        fill(topic, ["a"] * 10, acks=acks, enable_idempotence=False)
    assert fill(topic, ["b"] * 10, acks="all", enable_idempotence=True) == list(range(20, 30))


@check
def a_group_commits_and_resumes():
    topic, group = new_topic(), f"g-{uuid.uuid4().hex[:8]}"
    fill(topic, [str(index) for index in range(20)])
    reader = consumer(group)
    reader.subscribe([topic])
    take(reader, 20)
    reader.commit({TopicPartition(topic, 0): OffsetAndMetadata(7, "half way", -1)})
    reader.close()
    reader = consumer(group)
    reader.subscribe([topic])
    assert take(reader, 1)[0].offset == 7
    reader.close()


@check
def seeking_to_an_offset_and_to_a_time():
    topic = new_topic()
    fill(topic, [str(index) for index in range(50)])
    part = TopicPartition(topic, 0)
    reader = consumer()
    reader.assign([part])
    reader.seek(part, 42)
    assert take(reader, 1)[0].offset == 42
    assert reader.offsets_for_times({part: 1_000_030})[part].offset == 30
    assert reader.end_offsets([part])[part] == 50 and reader.beginning_offsets([part])[part] == 0
    reader.close()


run("kafka-python")
