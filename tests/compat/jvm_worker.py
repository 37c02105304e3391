"""A worker of Kafka Connect in a JVM of its own, for scripts that need one: started, asked over REST, ended or killed."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request

from check import eventually


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Worker:
    def __init__(self, broker, jars, name, folder, number=0, **further):
        self.folder, self.port, self.log = folder, free_port(), os.path.join(folder, f"worker-{number}.log")
        self.jars, self.process = jars, None
        properties = {
            "bootstrap.servers": broker, "group.id": name, "listeners": f"http://127.0.0.1:{self.port}",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "config.storage.topic": f"{name}-configs", "config.storage.replication.factor": 3,
            "offset.storage.topic": f"{name}-offsets", "offset.storage.replication.factor": 3, "offset.storage.partitions": 3,
            "status.storage.topic": f"{name}-status", "status.storage.replication.factor": 3, "status.storage.partitions": 2,
            "offset.flush.interval.ms": 300, "session.timeout.ms": 6000, "heartbeat.interval.ms": 1000,
            "scheduled.rebalance.max.delay.ms": 500, "plugin.discovery": "service_load", "plugin.path": os.path.dirname(jars.rstrip("/")),
            **{key.replace("_", "."): value for key, value in further.items()},
        }
        self.properties = os.path.join(folder, f"worker-{number}.properties")
        with open(self.properties, "w") as file:
            file.writelines(f"{key}={value}\n" for key, value in properties.items())

    def start(self):
        command = ["java", "-Xmx384m", "-cp", f"{self.jars}/*", "org.apache.kafka.connect.cli.ConnectDistributed", self.properties]
        self.process = subprocess.Popen(command, stdout=open(self.log, "a"), stderr=subprocess.STDOUT)
        eventually("a worker answers", lambda: self.process.poll() is None and self.ask("GET", "/connectors") is not None, 180)

    def ask(self, method, path, body=None):
        """The answer; none where the worker is busy with a rebalance or not there yet."""
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or "{}")
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None

    def end(self, how=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()

    def kill(self):
        self.end(signal.SIGKILL)
