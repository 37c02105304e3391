"""Kafka Connect itself, two workers of it in a JVM each, with our log as its Kafka: its internal topics, its groups, its file connectors.

usage: connect_worker.py BROKER JARS. What a source reads from a file a sink writes to another, while workers come, are killed and come back.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import uuid

from check import check, eventually, run

BROKER, JARS = sys.argv[1], sys.argv[2]
NAME = f"jvm-{uuid.uuid4().hex[:8]}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    def __init__(self, folder, number):
        self.folder, self.port, self.log = folder, free_port(), os.path.join(folder, f"worker-{number}.log")
        self.process = None
        properties = {
            "bootstrap.servers": BROKER, "group.id": NAME, "listeners": f"http://127.0.0.1:{self.port}",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "config.storage.topic": f"{NAME}-configs", "config.storage.replication.factor": 3,
            "offset.storage.topic": f"{NAME}-offsets", "offset.storage.replication.factor": 3, "offset.storage.partitions": 3,
            "status.storage.topic": f"{NAME}-status", "status.storage.replication.factor": 3, "status.storage.partitions": 2,
            "offset.flush.interval.ms": 300, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000,
            "scheduled.rebalance.max.delay.ms": 500, "plugin.discovery": "service_load", "plugin.path": os.path.dirname(JARS.rstrip("/")),
        }
        self.properties = os.path.join(folder, f"worker-{number}.properties")
        with open(self.properties, "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in properties.items())

    def start(self):
        command = ["java", "-Xmx384m", "-cp", f"{JARS}/*", "org.apache.kafka.connect.cli.ConnectDistributed", self.properties]
        self.process = subprocess.Popen(command, stdout=open(self.log, "a"), stderr=subprocess.STDOUT)
        eventually("a worker answers", lambda: self.process.poll() is None and self.ask("GET", "/connectors") is not None, 180)

    def ask(self, method, path, body=None):
        """The answer; none where the worker is busy with a rebalance or not there yet."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def kill(self):
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def workers_of(worker):
    """Which workers run tasks, if all of them run."""
    status = worker.ask("GET", "/connectors?expand=status") or {}
    tasks = [task for one in status.values() for task in one["status"]["tasks"]]
    running = len(tasks) == 3 and all(task["state"] == "RUNNING" for task in tasks)
    return {task["worker_id"] for task in tasks} if running else set()


@check
def lines_go_from_file_to_file_while_workers_come_and_go():
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "in.txt"), os.path.join(folder, "out.txt")
        written = 0
        workers = [Worker(folder, number) for number in range(2)]

        def write(count):
            nonlocal written
            with open(source, "a") as file:
                file.writelines(f"line {written + index}\n" for index in range(count))
            written += count

        def arrived():
            with open(target) as file:
                return {int(line.split()[1]) for line in file if line.startswith("line ")} == set(range(written))

        try:
            first, second = workers
            first.start()
            connectors = {
                "source": {"connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector", "topic": f"{NAME}-lines", "file": source},
                "sink": {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": f"{NAME}-lines", "file": target},
                "copy": {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "topics": f"{NAME}-lines", "file": target + ".copy"},
            }
            write(100)
            for name, config in connectors.items():
                eventually(f"{name} is created", lambda: first.ask("PUT", f"/connectors/{name}/config", {"tasks.max": "1", **config}), 60)
            eventually("the first lines arrive", lambda: os.path.exists(target) and arrived(), 120)
            second.start()
            eventually("two workers share the tasks", lambda: len(workers_of(first)) == 2, 120)
            write(100)
            eventually("lines arrive with two workers", arrived, 120)
            first.kill()
            write(100)
            eventually("one takes over", lambda: len(workers_of(second)) == 1, 120)
            eventually("lines arrive after a kill", arrived, 120)
            first.start()
            eventually("both share again", lambda: len(workers_of(first)) == 2, 120)
            write(100)
            eventually("lines arrive after a restart", arrived, 120)
            assert set(first.ask("GET", "/connectors")) == set(connectors), "a restarted worker has read its topics"
        except BaseException:
            for worker in workers:
                if os.path.exists(worker.log):
                    sys.stdout.writelines(open(worker.log).readlines()[-15:])
            raise
        finally:
            for worker in workers:
                worker.kill()


run("Kafka Connect")
