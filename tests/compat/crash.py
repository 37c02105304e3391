"""kill -9 under a running client: an idempotent producer and a group of one keep going while the broker is killed and restarted.

Every acknowledged record must be there once, in the order of sending, and no committed offset may go back.
usage: crash.py ROUNDS COMMAND... where COMMAND serves a log at the address that stands in it as {address}.
"""

import random
import signal
import socket
import subprocess
import sys
import time

from check import check, eventually, run
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

ROUNDS, COMMAND = int(sys.argv[1]), sys.argv[2:]
SEED = random.randrange(1 << 32)
PARTITIONS = 3


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


class Broker:
    """A broker that is killed and comes back at the same address."""

    def __init__(self):
        self.address = free_address()
        self.process = None
        self.start()

    def start(self):
        command = [part.format(address=self.address) for part in COMMAND]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        host, port = self.address.split(":")

        def answers():
            assert self.process.poll() is None, "the broker has ended"
            try:
                socket.create_connection((host, int(port)), 0.2).close()
                return True
            except OSError:
                return False
        eventually("the broker listens", answers)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@check
def what_is_acknowledged_is_there_once_and_in_order():
    chance = random.Random(SEED)
    print(f"          seed {SEED}, {ROUNDS} kills")
    broker = Broker()
    try:
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_topics([NewTopic("t", PARTITIONS, 1)])["t"].result(30)
        producer = Producer({"bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 2,
                             "message.timeout.ms": 120000, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 200})
        reader = Consumer({"bootstrap.servers": broker.address, "group.id": "g", "session.timeout.ms": 6000,
                           "auto.offset.reset": "earliest", "enable.auto.commit": False, "reconnect.backoff.max.ms": 200})
        reader.subscribe(["t"])
        sent, acknowledged, failures = [0] * PARTITIONS, [[] for _ in range(PARTITIONS)], []
        committed = [0] * PARTITIONS

        def delivered(error, message):
            if error:
                failures.append(error)
            else:
                acknowledged[message.partition()].append((int(message.value()), message.offset()))

        for _ in range(ROUNDS):
            until = time.monotonic() + chance.uniform(0.2, 1.5)
            while time.monotonic() < until:
                for _ in range(chance.randrange(1, 40) if len(producer) < 2000 else 0):
                    partition = chance.randrange(PARTITIONS)
                    producer.produce("t", str(sent[partition]), partition=partition, on_delivery=delivered)
                    sent[partition] += 1
                producer.poll(0)
                message = reader.poll(0.01)
                if message is not None and not message.error() and chance.random() < 0.3:
                    try:
                        for part in reader.commit(message, asynchronous=False):
                            if part.error is None:
                                assert part.offset >= committed[part.partition], "a committed offset went back"
                                committed[part.partition] = part.offset
                    except Exception as error:  # The broker was killed before or while it answered: the fate of this one is open.
                        assert not isinstance(error, AssertionError), error
            broker.kill()
            broker.start()
        assert producer.flush(120) == 0, "not all was delivered"
        assert not failures, failures[:3]
        for part in reader.committed([TopicPartition("t", partition) for partition in range(PARTITIONS)], 30):
            assert part.offset >= committed[part.partition] or committed[part.partition] == 0, (part, committed)
        reader.close()
        for partition in range(PARTITIONS):
            assert [value for value, _ in acknowledged[partition]] == list(range(sent[partition]))
            found = read(broker.address, partition, sent[partition])
            assert found == [(value, offset) for value, offset in acknowledged[partition]], difference(found, acknowledged[partition])
        print(f"          {sum(sent)} records, none lost, none twice")
    finally:
        broker.kill()


def read(address, partition, count):
    reader = Consumer({"bootstrap.servers": address, "group.id": "other", "enable.auto.commit": False, "enable.partition.eof": True})
    reader.assign([TopicPartition("t", partition, 0)])
    found = []

    def all_read():
        for message in reader.consume(1000, 0.5):
            if message.error():
                return True
            found.append((int(message.value()), message.offset()))
        return False
    eventually(f"{count} records of partition {partition}", all_read, 60)
    reader.close()
    return found


def difference(found, expected):
    at = next((index for index, pair in enumerate(zip(found, expected)) if pair[0] != pair[1]), min(len(found), len(expected)))
    return f"{len(found)} of {len(expected)}; from {at}: {found[at:at + 3]} and not {expected[at:at + 3]}"


run("kill -9")
