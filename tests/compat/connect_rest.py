"""Clients of Kafka Connect's REST interface against a worker that asks who they are: kafka-connect-py with its command `kc`, kafka-connect-api.

usage: connect_rest.py URL FOLDER. In the folder connectors may use files; the environment names two users as NAME:PASSWORD, OPERATOR who may do
everything and READER who may look.
"""

import json
import os
import subprocess
import sys
import uuid

from check import check, eventually, run
from kafka_connect import KafkaConnect
from kafka_connect_api.errors import ConnectApiException, GenericConflict, GenericForbidden, GenericNotFound, GenericUnauthorized
from kafka_connect_api.kafka_connect_api import Api, Cluster, Connector
from requests import HTTPError

URL, FOLDER = sys.argv[1], sys.argv[2]
OPERATOR, READER = os.environ["OPERATOR"], os.environ["READER"]
STRANGER = OPERATOR.split(":")[0] + ":wrong"
STRINGS, JSON = "org.apache.kafka.connect.storage.StringConverter", "org.apache.kafka.connect.json.JsonConverter"


class Files:
    """A file whose lines go to a topic, and one that they go to from there: names and configurations of two connectors."""

    def __init__(self):
        self.name = f"files-{uuid.uuid4().hex[:8]}"
        self.source_name, self.sink_name = f"{self.name}-source", f"{self.name}-sink"
        self.source_file, self.sink_file = os.path.join(FOLDER, self.source_name), os.path.join(FOLDER, self.sink_name)
        self.source = {"connector.class": "FileStreamSource", "tasks.max": "1", "file": self.source_file, "topic": self.name,
                       "value.converter": STRINGS}
        self.sink = {"connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector", "tasks.max": "1",
                     "file": self.sink_file, "topics": self.name, "value.converter": STRINGS}
        self.written = 0
        self.write()

    def write(self):
        with open(self.source_file, "a") as file:
            file.writelines(f"{self.written + index}\n" for index in range(10))
        self.written += 10

    def found(self):
        if not os.path.exists(self.sink_file):
            return []
        with open(self.sink_file) as file:
            return [int(line) for line in file.read().splitlines()]

    def arrive(self):
        eventually("all lines arrive", lambda: set(self.found()) == set(range(self.written)))


def states(status):
    """The state of a connector and those of its tasks."""
    return [status["connector"]["state"], *(task["state"] for task in status["tasks"])]


def refused(error, call, *arguments):
    """What a call is refused with."""
    try:
        call(*arguments)
    except error as refusal:
        return refusal
    raise AssertionError(f"{call} is not refused")


# --- kafka-connect-py

py = KafkaConnect(URL, OPERATOR)


def py_state(connector, state, tasks=1):
    eventually(f"{connector} is {state}", lambda: states(py.get_connector_status(connector)) == [state] * (1 + tasks))


def py_files():
    files = Files()
    created = py.create_connector({"name": files.source_name, "config": files.source})
    assert created["name"] == files.source_name and created["type"] == "source", created
    assert created["config"] == {"name": files.source_name, **files.source}
    created = py.create_connector({"name": files.sink_name, "config": files.sink})
    assert created["type"] == "sink", created
    py_state(files.source_name, "RUNNING")
    py_state(files.sink_name, "RUNNING")
    files.arrive()
    return files


@check
def kafka_connect_py_knows_the_worker_and_its_plugins():
    assert set(py.get_cluster_info()) == {"version", "commit", "kafka_cluster_id"}
    plugins = {plugin["class"]: plugin for plugin in py.list_connector_plugins()}
    assert plugins["file-source"]["type"] == "source" and plugins["file-sink"]["type"] == "sink" and plugins["file-sink"]["version"]


@check
def kafka_connect_py_validates():
    files = Files()
    checked = py.validate_connector_config("FileStreamSource", {"name": files.source_name, **files.source})
    assert checked["error_count"] == 0 and "Common" in checked["groups"], checked
    del files.source["topic"]
    checked = py.validate_connector_config("FileStreamSource", {"name": files.source_name, **files.source})
    wrong = [one["value"] for one in checked["configs"] if one["value"]["errors"]]
    assert checked["error_count"] == 1 and [one["name"] for one in wrong] == ["topic"], wrong


@check
def kafka_connect_py_creates_looks_changes_and_deletes():
    files = py_files()
    source, sink = files.source_name, files.sink_name
    assert {source, sink} <= set(py.list_connectors())
    assert py.list_connectors(pattern=f"{files.name}-so") == [source]
    assert set(py.list_connectors(pattern=files.name, state="running")) == {source, sink}
    assert py.list_connectors(expand="info")[sink]["info"]["config"]["file"] == files.sink_file
    assert py.list_connectors(expand="status", state="RUNNING")[sink]["status"]["tasks"][0]["id"] == 0
    assert py.get_connector(source)["tasks"] == [{"connector": source, "task": 0}]
    assert py.get_connector_config(source)["topic"] == files.name
    assert [task["id"] for task in py.list_connector_tasks(sink)] == [{"connector": sink, "task": 0}]
    assert py.get_connector_task_status(sink, 0)["state"] == "RUNNING"
    assert py.list_connector_topics(source) == {source: {"topics": [files.name]}}

    other = files.name + "-other"
    updated = py.update_connector(source, {**files.source, "topic": other})
    assert updated["config"]["topic"] == other, updated
    py.update_connector(sink, {**files.sink, "topics": f"{files.name},{other}"})
    files.write()
    files.arrive()
    eventually("the other topic is used", lambda: set(py.list_connector_topics(source)[source]["topics"]) == {files.name, other})
    py.stop_connector(source)
    py_state(source, "STOPPED", 0)
    py.reset_connector_topics(source)
    eventually("topics are forgotten", lambda: py.list_connector_topics(source) == {source: {"topics": []}})

    py.delete_all_connectors(pattern=files.name)
    assert py.list_connectors(pattern=files.name) == []
    assert refused(HTTPError, py.get_connector, source).response.status_code == 404


@check
def kafka_connect_py_pauses_stops_resumes_and_restarts():
    files = py_files()
    source, sink = files.source_name, files.sink_name
    for connector in source, sink:
        py.pause_connector(connector)
        py_state(connector, "PAUSED")
        py.resume_connector(connector)
        py_state(connector, "RUNNING")
        py.stop_connector(connector)
        py_state(connector, "STOPPED", 0)
        assert py.list_connector_tasks(connector) == []
        py.resume_connector(connector)
        py_state(connector, "RUNNING")
        assert py.restart_connector(connector) is None
        py_state(connector, "RUNNING")
        planned = py.restart_connector(connector, include_tasks=True)
        assert states(planned) == ["RESTARTING", "RESTARTING"], planned
        py_state(connector, "RUNNING")
        py.restart_connector_task(connector, 0)
        py_state(connector, "RUNNING")
    of_all = [(py.pause_all_connectors, "PAUSED", 1), (py.stop_all_connectors, "STOPPED", 0), (py.resume_all_connectors, "RUNNING", 1)]
    for call, state, tasks in of_all:
        call(pattern=files.name)
        for connector in source, sink:
            py_state(connector, state, tasks)
    py.restart_all_connectors(include_tasks=True, pattern=files.name, state="RUNNING")
    files.write()
    files.arrive()
    py.delete_all_connectors(pattern=files.name)


@check
def kafka_connect_py_sees_a_task_fail_and_restarts_it():
    files = py_files()
    sink = files.sink_name
    py.update_connector(sink, {**files.sink, "value.converter": JSON})
    with open(files.source_file, "a") as file:
        file.write("no JSON\n")

    def fails():
        eventually("the task fails", lambda: states(py.get_connector_status(sink)) == ["RUNNING", "FAILED"])
    fails()
    assert "not JSON" in py.get_connector_task_status(sink, 0)["trace"]
    planned = py.restart_connector(sink, include_tasks=True, only_failed=True)
    assert states(planned) == ["RUNNING", "RESTARTING"], planned
    fails()
    py.update_connector(sink, files.sink)
    py_state(sink, "RUNNING")
    eventually("the line arrives as text", lambda: "no JSON" in open(files.sink_file).read())
    py.delete_all_connectors(pattern=files.name)


@check
def kafka_connect_py_is_told_what_is_wrong():
    files = py_files()

    def answer(call, *arguments):
        response = refused(HTTPError, call, *arguments).response
        assert response.status_code == response.json()["error_code"]
        return response.status_code, response.json()["message"]
    assert answer(py.create_connector, {"name": files.sink_name, "config": files.sink}) == (409, f"Connector {files.sink_name} already exists")
    status, message = answer(py.update_connector, files.sink_name, {"connector.class": "FileStreamSink", "topics": files.name})
    assert status == 400 and 'Missing required configuration "file"' in message, message
    status, message = answer(py.create_connector, {"name": "none", "config": {"connector.class": "Nowhere"}})
    assert status == 400 and message.startswith("Failed to find any class that implements Connector and which name matches Nowhere"), message
    for call in py.get_connector, py.get_connector_status, py.pause_connector, py.delete_connector, py.list_connector_tasks:
        assert answer(call, "none")[0] == 404, call
    assert answer(py.restart_connector_task, files.sink_name, 7)[0] == 404
    reader = KafkaConnect(URL, READER)
    assert files.sink_name in reader.list_connectors()
    assert answer(reader.delete_connector, files.sink_name)[0] == 403
    assert answer(KafkaConnect(URL, STRANGER).list_connectors)[0] == 401
    assert answer(KafkaConnect(URL).list_connectors)[0] == 401
    py.delete_all_connectors(pattern=files.name)


@check
def kc_does_the_same():
    def kc(*arguments):
        command = [os.path.join(os.path.dirname(sys.executable), "kc"), *arguments]
        environment = {**os.environ, "KAFKA_CONNECT_URL": URL, "KAFKA_CONNECT_BASIC_AUTH": OPERATOR}
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60).stdout
        # It ends with 0 also where it fails, and says why where its answer would be.
        return json.loads(answer) if answer.strip() else None
    files = Files()
    source = files.source_name
    assert kc("info")["kafka_cluster_id"]
    assert "file-source" in [plugin["class"] for plugin in kc("list-plugins")]
    # Its validate-config sends a string that holds the config; no worker takes that.
    assert kc("create", "--config-data", json.dumps({"name": source, "config": files.source}))["name"] == source
    py_state(source, "RUNNING")
    assert kc("list", "--pattern", files.name) == [source]
    assert kc("list", "--pattern", files.name, "--expand", "info")[source]["info"] == kc("get", source)
    assert kc("status", source)["connector"]["state"] == "RUNNING"
    assert kc("update", source, "--config-data", json.dumps({**files.source, "tasks.max": "2"}))["config"] == kc("config", source)
    assert kc("list-tasks", source)[0]["id"]["task"] == 0
    eventually("its topic is used", lambda: kc("list-topics", source) == {source: {"topics": [files.name]}})
    kc("pause", source)
    py_state(source, "PAUSED")
    kc("reset-topics", source)
    assert kc("list-topics", source) == {source: {"topics": []}}
    kc("resume", source)
    py_state(source, "RUNNING")
    kc("restart", source, "--include-tasks")
    py_state(source, "RUNNING")
    kc("restart-task", source, "0")
    py_state(source, "RUNNING")
    assert kc("task-status", source, "0")["state"] == "RUNNING"
    kc("delete", source)
    assert kc("list", "--pattern", files.name) == []


# --- kafka-connect-api


def api_of(login):
    name, password = login.split(":")
    return Api(url=URL, username=name, password=password)


api = api_of(OPERATOR)
cluster = Cluster(api)


def api_state(connector, state, tasks=1):
    eventually(f"{connector} is {state}", lambda: states(connector.status) == [state] * (1 + tasks))


def api_files():
    files = Files()
    source, sink = Connector(cluster, files.source_name), Connector(cluster, files.sink_name)
    source.config, sink.config = files.source, files.sink
    api_state(source, "RUNNING")
    api_state(sink, "RUNNING")
    files.arrive()
    return files, source, sink


@check
def kafka_connect_api_knows_the_worker_and_its_loggers():
    assert cluster.version and cluster.kafka_cluster in repr(cluster)
    before = cluster.loggers["towpath_rest"]["level"]
    assert cluster.set_logger_log_level("towpath_rest", "TRACE") == ["towpath_rest"]
    changed = cluster.loggers["towpath_rest"]
    assert changed["level"] == "TRACE" and changed["last_modified"], changed
    root = cluster.root_logger["level"]
    cluster.root_logger = "WARN"
    assert cluster.root_logger["level"] == "WARN"
    cluster.root_logger = root
    cluster.set_logger_log_level("towpath_rest", before)
    assert cluster.loggers["towpath_rest"]["level"] == before


@check
def kafka_connect_api_creates_looks_steers_and_deletes():
    files, source, sink = api_files()
    assert {source.name, sink.name} <= set(cluster.connectors)
    assert source.exists() and source.connector_class == "FileStreamSource" and source.status["type"] == "source"
    assert sink.tasks[0].id == 0 and sink.tasks[0].is_running() and sink.tasks[0].config["file"] == files.sink_file
    expanded = api.get("/connectors?expand=status&expand=info")[sink.name]
    assert expanded["status"]["name"] == expanded["info"]["name"] == sink.name
    for connector in source, sink:
        connector.pause()
        api_state(connector, "PAUSED")
        connector.resume()
        api_state(connector, "RUNNING")
        connector.restart()
        connector.restart_all_tasks()
        api_state(connector, "RUNNING")
        connector.cycle_connector()
        api_state(connector, "RUNNING")
    files.write()
    files.arrive()
    for connector in source, sink:
        connector.delete()
        assert connector.name not in cluster.connectors
        assert refused(GenericNotFound, connector.exists).code == 404


@check
def kafka_connect_api_resets_offsets():
    files, source, sink = api_files()
    offsets = f"/connectors/{source.name}/offsets"
    size = os.path.getsize(files.source_file)
    eventually("its offset is told", lambda: api.get(offsets) == {
        "offsets": [{"partition": {"filename": files.source_file}, "offset": {"position": size}}]})
    assert "must be in the STOPPED state" in refused(ConnectApiException, api.delete, offsets).details["message"]
    api.put_raw(f"/connectors/{source.name}/stop")
    api_state(source, "STOPPED", 0)
    assert api.delete(offsets) == {"message": "The offsets for this connector have been reset successfully"}
    assert api.get(offsets) == {"offsets": []}
    source.resume()
    eventually("the lines arrive once more", lambda: files.found() == 2 * list(range(files.written)))
    source.delete()
    sink.delete()


@check
def kafka_connect_api_is_told_what_is_wrong():
    files, source, sink = api_files()
    again = {"name": sink.name, "config": files.sink}
    conflict = refused(GenericConflict, lambda: api.post_raw("/connectors", json=again))
    assert conflict.code == 409 and conflict.details[0]["message"] == f"Connector {sink.name} already exists"
    wrong = refused(ConnectApiException, setattr, sink, "config", {"connector.class": "FileStreamSink", "topics": files.name})
    assert wrong.code == 400 and 'Missing required configuration "file"' in wrong.details["message"]
    assert refused(GenericNotFound, Connector(cluster, "none").pause).code == 404
    assert refused(GenericNotFound, getattr, Connector(cluster, "none"), "status").code == 404
    reader = Cluster(api_of(READER))
    assert sink.name in reader.connectors
    assert refused(GenericForbidden, reader.connectors[sink.name].delete).code == 403
    assert refused(GenericUnauthorized, Cluster(api_of(STRANGER)).get).code == 401
    source.delete()
    sink.delete()


run("REST of Kafka Connect")
