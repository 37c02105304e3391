"""Connectors that move from Kafka Connect on Apache Kafka to Towpath and back: nothing is lost, nothing comes twice.

usage: migration.py TOWPATH JARS, within `towpath-lab --postgres --peers`, which names Kafka and Postgres in the environment
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import uuid

from check import check, eventually, run
from jvm_worker import Worker

TOWPATH, JARS = sys.argv[1], sys.argv[2]
BROKER = os.environ["KAFKA_BOOTSTRAP"]
PLUGINS = os.path.join(os.path.dirname(JARS.rstrip("/")), "plugins")
JSON = {"value.converter": "org.apache.kafka.connect.json.JsonConverter", "value.converter.schemas.enable": "false"}


def towpath(*arguments, code=0):
    """What a command prints; its exit code must be this."""
    done = subprocess.run([TOWPATH, *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == code, f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def sql(text):
    subprocess.run(["psql", "-qX", "-v", "ON_ERROR_STOP=1", "-c", text], check=True)


class Node:
    """A worker of Towpath."""

    def __init__(self, folder, pipelines):
        self.data, self.pipelines, self.log = os.path.join(folder, "data"), pipelines, os.path.join(folder, "towpath.log")
        self.process = None

    def start(self):
        command = [TOWPATH, "run", self.pipelines, "--data-dir", self.data, "--rest", "127.0.0.1:0", "--kafka", "none", "--registry", "none"]
        self.process = subprocess.Popen(command, stdout=open(self.log, "a"), stderr=subprocess.STDOUT)
        eventually("it answers", lambda: self.process.poll() is None and os.path.exists(os.path.join(self.data, "addresses.json")), 60)

    def end(self, how=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(how)
            self.process.wait()


class Scene:
    """One folder with what moves in it."""

    def __init__(self, folder):
        self.folder, self.name, self.written = folder, f"moving-{uuid.uuid4().hex[:8]}", 0
        self.pipelines = os.path.join(folder, "pipelines")
        alone = {f"{kind}_storage_replication_factor": 1 for kind in ("config", "offset", "status")}
        # References to the file of secrets are Connect's to follow on the way back.
        providers = {"config_providers": "file", "config_providers_file_class": "org.apache.kafka.common.config.provider.FileConfigProvider"}
        self.connect = Worker(BROKER, JARS, self.name, folder, plugin_path=PLUGINS, **alone, **providers)
        self.node = Node(folder, self.pipelines)
        self.connect_to = ["--worker-config", self.connect.properties, "--data-dir", self.node.data]

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, count):
        with open(self.path("in.txt"), "a") as file:
            file.writelines(f"line {self.written + index}\n" for index in range(count))
        self.written += count

    def lines(self, file):
        """Numbers of the lines that arrived, in their order."""
        path = self.path(file)
        return [int(line.split()[1]) for line in open(path)] if os.path.exists(path) else []

    def arrive(self, what, *files):
        for file in files:
            eventually(f"{what}: {file}", lambda: len(self.lines(file)) >= self.written)
            assert self.lines(file) == list(range(self.written)), f"{what}: {file} has {self.lines(file)}"

    def create(self, name, **config):
        config = {key.replace("_", "."): value for key, value in config.items()}
        eventually(f"{name} is created", lambda: self.connect.ask("PUT", f"/connectors/{name}/config", {"tasks.max": "1", **config}), 60)

    def state(self, name):
        return ((self.connect.ask("GET", f"/connectors/{name}/status") or {}).get("connector") or {}).get("state")

    def close(self):
        for path in (self.connect.log, self.node.log):
            if sys.exc_info()[0] and os.path.exists(path):
                sys.stdout.writelines(open(path).readlines()[-25:])
        self.node.end(signal.SIGKILL)
        self.connect.kill()


SOURCE, SINK = ("org.apache.kafka.connect.file.FileStream" + kind + "Connector" for kind in ("Source", "Sink"))


@check
def files_go_on_in_towpath_and_back_in_connect():
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(folder)
        try:
            there_and_back(scene)
        finally:
            scene.close()


def there_and_back(scene):
    topic = f"{scene.name}-lines"
    scene.connect.start()
    scene.write(100)
    scene.create("source", connector_class=SOURCE, topic=topic, file=scene.path("in.txt"))
    scene.create("sink", connector_class=SINK, topics=topic, file=scene.path("out.txt"))
    scene.create("late", connector_class=SINK, topics=topic, file=scene.path("late.txt"))
    scene.arrive("in Connect", "out.txt", "late.txt")
    eventually("one is stopped", lambda: scene.connect.ask("PUT", "/connectors/late/stop", {}) or scene.state("late") == "STOPPED", 60)
    scene.write(50)
    scene.arrive("in Connect", "out.txt")

    said = towpath("import", *scene.connect_to, "--into", scene.pipelines, code=2)
    assert "migration.running" in said and not os.path.exists(scene.pipelines), said
    scene.connect.end()
    said = towpath("import", *scene.connect_to, "--into", scene.pipelines, "--dry-run")
    assert "50 offsets" in said and not os.path.exists(scene.node.data) and not os.path.exists(scene.pipelines), said
    said = towpath("import", *scene.connect_to, "--into", scene.pipelines)
    assert "with 50 records" in said, said
    assert "with 0 records" in towpath("import", *scene.connect_to, "--into", scene.pipelines), "a second time changes something"
    scene.write(50)
    scene.node.start()
    scene.arrive("in Towpath", "out.txt")
    assert len(scene.lines("late.txt")) == 100, "what was stopped runs"
    scene.write(50)
    scene.arrive("in Towpath", "out.txt")
    said = towpath("import", *scene.connect_to, "--into", scene.pipelines, code=3)
    scene.node.end()
    said = towpath("import", *scene.connect_to, "--into", scene.pipelines, code=2)
    assert "migration.different" in said, said

    said = towpath("export", *scene.connect_to, code=2)
    assert "migration.different" in said, said
    said = towpath("export", *scene.connect_to, "--overwrite", "--dry-run")
    said = towpath("export", *scene.connect_to, "--overwrite")
    assert "with 100 records" in said, said
    assert "with 0 records" in towpath("export", *scene.connect_to), "a second time changes something"
    scene.write(50)
    scene.connect.start()
    scene.arrive("back in Connect", "out.txt")
    assert scene.state("late") == "STOPPED" and len(scene.lines("late.txt")) == 100, "what was stopped runs"
    eventually("the late one goes on", lambda: scene.connect.ask("PUT", "/connectors/late/resume", {}) or scene.state("late") == "RUNNING", 60)
    scene.arrive("back in Connect", "late.txt")


@check
def what_was_born_here_runs_in_connect():
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(folder)
        try:
            os.mkdir(scene.pipelines)
            topic = f"{scene.name}-lines"
            for name, config in {
                "born-source": {"connector.class": "file-source", "topic": topic, "file": scene.path("in.txt"), "value.converter": "string"},
                "born-sink": {"connector.class": "file-sink", "topics": topic, "file": scene.path("out.txt"), "value.converter": "string"},
            }.items():
                with open(os.path.join(scene.pipelines, f"{name}.yaml"), "w") as file:
                    file.writelines(f"{key}: {value}\n" for key, value in config.items())
            scene.write(70)
            scene.node.start()
            scene.arrive("in Towpath", "out.txt")
            towpath("stop", "born-sink", "--data-dir", scene.node.data)
            eventually("it is stopped", lambda: re.search(r"born-sink .*STOPPED", towpath("status", "--data-dir", scene.node.data)))
            scene.write(30)
            towpath("tail", topic, "--max", "100", "--data-dir", scene.node.data)
            scene.node.end()
            said = towpath("export", *scene.connect_to)
            assert "with 100 records" in said, said
            assert "with 0 records" in towpath("export", *scene.connect_to), "a second time changes something"
            scene.connect.start()
            assert scene.state("born-sink") == "STOPPED"
            scene.write(20)
            eventually("it goes on", lambda: scene.connect.ask("PUT", "/connectors/born-sink/resume", {}) or scene.state("born-sink") == "RUNNING", 60)
            scene.arrive("in Connect", "out.txt")
        finally:
            scene.close()


@check
def changes_of_a_database_go_on_in_towpath_and_back_in_debezium():
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(folder)
        try:
            changes_there_and_back(scene)
        finally:
            scene.close()


def changes_there_and_back(scene):
    prefix = scene.name.replace("-", "_")
    topic, rows = f"{prefix}.public.moved", 0

    def insert(count):
        nonlocal rows
        sql(f"insert into moved select n, 'row ' || n from generate_series({rows + 1}, {rows + count}) n")
        rows += count

    def arrive(what):
        def ids():
            path = scene.path("changes.txt")
            return [int(found) for found in re.findall(r'"after":\{"id":(\d+)', open(path).read())] if os.path.exists(path) else []

        eventually(what, lambda: len(ids()) >= rows)
        assert ids() == list(range(1, rows + 1)), f"{what}: {ids()}"

    sql("create table moved (id int primary key, name text)")
    insert(20)
    scene.connect.start()
    database = {f"database.{key}": os.environ[name] for key, name in
                {"hostname": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}.items()}
    scene.create("changes", **{
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector", "plugin.name": "pgoutput", "topic.prefix": prefix,
        "table.include.list": "public.moved", "slot.name": prefix, "publication.name": prefix,
        "publication.autocreate.mode": "filtered", **database, **JSON,
    })
    scene.create("changes-sink", connector_class=SINK, topics=topic, file=scene.path("changes.txt"))
    arrive("the snapshot, in Debezium")
    insert(20)
    arrive("changes, in Debezium")
    scene.connect.end()
    towpath("import", *scene.connect_to, "--into", scene.pipelines)
    text = "".join(open(os.path.join(scene.pipelines, name)).read() for name in os.listdir(scene.pipelines) if name.endswith(".yaml"))
    assert f"database.password: {os.environ['PGPASSWORD']}\n" not in text and "${file:" in text, text
    insert(20)
    scene.node.start()
    arrive("changes, in Towpath")
    insert(20)
    arrive("further changes, in Towpath")
    scene.node.end()
    towpath("export", *scene.connect_to, "--overwrite")
    insert(20)
    scene.connect.start()
    arrive("changes, back in Debezium")


run("moving")
