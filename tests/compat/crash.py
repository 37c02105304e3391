"""kill -9 and SIGSTOP under running clients: they keep going while the broker is killed and restarted, or stands still for a while.

An idempotent producer and a group of one: every acknowledged record must be there once, in the order of sending, and no committed
offset may go back. A transactional producer, whose history is kept: each transaction writes one number to every partition, so that what
a reader of committed records finds must be the same in all of them, rising, with every number whose commit was acknowledged and none
that was aborted. Groups of either protocol whose members are killed, or stand still until others have what was theirs: every record is
read by somebody, and what is committed was read and never goes back.
usage: crash.py ROUNDS COMMAND... where COMMAND serves the log of a folder that stands in it as {folder} at the address {address}.
"""

import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from check import check, eventually, run
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
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

    def __init__(self, folder):
        self.folder = folder
        self.address = free_address()
        self.process = None
        self.start()

    def start(self):
        command = [part.format(address=self.address, folder=self.folder) for part in COMMAND]
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

    def disturb(self, chance):
        """Kills it and starts it again, or stops it for a while."""
        if chance.random() < 0.5:
            self.kill()
            self.start()
        else:
            self.process.send_signal(signal.SIGSTOP)
            time.sleep(chance.uniform(0.1, 2.5))
            self.process.send_signal(signal.SIGCONT)


@check
def what_is_acknowledged_is_there_once_and_in_order():
    chance = random.Random(SEED)
    print(f"          seed {SEED}, {ROUNDS} disturbances")
    broker = Broker("records")
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
            broker.disturb(chance)
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


@check
def transactions_are_whole_or_absent():
    chance = random.Random(SEED + 1)
    broker = Broker("transactions")
    try:
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_topics([NewTopic("tx", PARTITIONS, 1)])["tx"].result(30)
        disturbances, done = threading.Event(), []

        def trouble():
            for _ in range(ROUNDS):
                time.sleep(chance.uniform(0.3, 1.5))
                broker.disturb(chance)
            disturbances.set()
        troublemaker = threading.Thread(target=trouble, daemon=True)
        writer, history, number = None, {}, 0
        writer = new_writer(broker.address)
        troublemaker.start()
        while not disturbances.is_set() or number < ROUNDS * 5:
            if writer is None:
                writer = new_writer(broker.address)
            history[number] = "open"
            try:
                history[number] = one_transaction(writer, number, chance.random() < 0.3)
            except KafkaException as error:
                if history[number] == "open":
                    # What was asked last has no answer: only a reader can tell.
                    history[number] = "unknown"
                done.append(str(error))
                writer = None
            number += 1
        troublemaker.join()
        new_writer(broker.address)
        found = [committed(broker.address, partition) for partition in range(PARTITIONS)]
        assert found[0] == found[1] == found[2], [len(part) for part in found]
        assert found[0] == sorted(set(found[0])), "twice, or out of order"
        seen = set(found[0])
        outcomes = {outcome: [one for one, ended in history.items() if ended == outcome] for outcome in ["committed", "aborted", "unknown"]}
        lost = [one for one in outcomes["committed"] if one not in seen]
        assert not lost, f"acknowledged and lost: {lost}"
        shown = [one for one in outcomes["aborted"] if one in seen]
        assert not shown, f"aborted and seen: {shown}"
        print(f"          {len(outcomes['committed'])} committed, {len(outcomes['aborted'])} aborted, {len(outcomes['unknown'])} without"
              f" an answer, of which {len(seen - set(outcomes['committed']))} came true; {len(done)} producers were replaced")
    finally:
        broker.kill()


@check
def no_member_takes_records_along():
    for protocol in ["classic", "consumer"]:
        members_come_and_go(protocol)


def members_come_and_go(protocol):
    chance = random.Random(f"{SEED} {protocol}")
    broker = Broker(f"groups-{protocol}")
    members = []
    try:
        admin = AdminClient({"bootstrap.servers": broker.address})
        admin.create_topics([NewTopic("t", PARTITIONS, 1)])["t"].result(30)
        producer = Producer({"bootstrap.servers": broker.address, "enable.idempotence": True, "linger.ms": 2,
                             "message.timeout.ms": 120000, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 200})
        seen, sent, positions = [set() for _ in range(PARTITIONS)], [0] * PARTITIONS, [0] * PARTITIONS
        # In the group by name alone: it asks for offsets and joins nothing.
        onlooker = Consumer({"bootstrap.servers": broker.address, "group.id": protocol, "reconnect.backoff.max.ms": 200})

        def look(seconds=10):
            """What is committed has been read, and is no less than at the last look."""
            try:
                found = onlooker.committed([TopicPartition("t", partition) for partition in range(PARTITIONS)], seconds)
            except KafkaException:
                return
            for part in found:
                offset = max(part.offset, 0)
                assert offset >= positions[part.partition], f"{part} was {positions[part.partition]} before"
                eventually(f"somebody has read all before {part}", lambda: seen[part.partition].issuperset(range(offset)))
                positions[part.partition] = offset

        for _ in range(3):
            members.append(Member(broker.address, protocol, seen))
        for _ in range(max(ROUNDS // 2, 1)):
            until = time.monotonic() + chance.uniform(0.5, 3)
            while time.monotonic() < until:
                for partition in range(PARTITIONS):
                    producer.produce("t", str(sent[partition]), partition=partition)
                    sent[partition] += 1
                producer.poll(0.02)
            look()
            member = chance.choice(members)
            what = chance.random()
            if what < 0.4:
                member.kill()
                members.remove(member)
                members.append(Member(broker.address, protocol, seen))
            elif what < 0.8:
                member.process.send_signal(signal.SIGSTOP)
                time.sleep(chance.choice([1, 8]))
                look()
                member.process.send_signal(signal.SIGCONT)
            else:
                broker.disturb(chance)
            look()
        assert producer.flush(120) == 0, "not all was delivered"
        for partition in range(PARTITIONS):
            eventually(f"all of partition {partition} is read", lambda: seen[partition].issuperset(range(sent[partition])), 120)
        look(60)
        print(f"          {protocol}: {sum(sent)} records, none passed over")
    finally:
        for member in members:
            member.kill()
        broker.kill()


class Member:
    """A member of a group in a process of its own, and what it says that it has read."""

    def __init__(self, address, group, seen):
        script = pathlib.Path(__file__).with_name("member.py")
        self.process = subprocess.Popen([sys.executable, script, address, group, "t", group], stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.listen, args=[seen], daemon=True).start()

    def listen(self, seen):
        for line in self.process.stdout:
            if line.endswith("\n"):
                partition, offset, value = map(int, line.split())
                # One producer, nothing twice: an offset is the number that was sent.
                if offset == value:
                    seen[partition].add(offset)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def new_writer(address):
    """A producer whose transactions nobody else has open any more."""
    def begin():
        writer = Producer({"bootstrap.servers": address, "transactional.id": "writer", "transaction.timeout.ms": 20000,
                           "linger.ms": 0, "retry.backoff.ms": 50, "reconnect.backoff.max.ms": 200})
        try:
            writer.init_transactions(10)
            return writer
        except KafkaException:
            return None
    return eventually("a producer begins", begin, 120)


def one_transaction(writer, number, aborts):
    writer.begin_transaction()
    for partition in range(PARTITIONS):
        writer.produce("tx", str(number), partition=partition)
    try:
        if not aborts:
            patiently(writer.commit_transaction)
            return "committed"
    except KafkaException as error:
        if not error.args[0].txn_requires_abort():
            raise
    patiently(writer.abort_transaction)
    return "aborted"


def patiently(ends):
    while True:
        try:
            return ends(60)
        except KafkaException as error:
            if not error.args[0].retriable():
                raise


def committed(address, partition):
    """What a reader of committed records finds up to the end."""
    reader = Consumer({"bootstrap.servers": address, "group.id": "committed", "enable.auto.commit": False, "enable.partition.eof": True,
                       "isolation.level": "read_committed"})
    reader.assign([TopicPartition("tx", partition, 0)])
    found = []

    def all_read():
        for message in reader.consume(1000, 0.5):
            if message.error():
                return True
            found.append(int(message.value()))
        return False
    eventually(f"the end of partition {partition}", all_read, 60)
    reader.close()
    return found


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


run("kill -9 and SIGSTOP")
