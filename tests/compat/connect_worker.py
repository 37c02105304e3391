"""Kafka Connect itself, two workers of it in a JVM each, with our log as its Kafka: its internal topics, its groups, its file connectors.

usage: connect_worker.py BROKER JARS. What a source reads from a file a sink writes to another, while workers come, are killed and come back.
"""

import os
import sys
import tempfile
import uuid

from check import check, eventually, run
from jvm_worker import Worker

BROKER, JARS = sys.argv[1], sys.argv[2]
NAME = f"jvm-{uuid.uuid4().hex[:8]}"


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
        workers = [Worker(BROKER, JARS, NAME, folder, number) for number in range(2)]

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
