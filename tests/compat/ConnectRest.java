// kafka-connect-client, the Java client of Kafka Connect's REST interface, against a worker: java ConnectRest.java URL FOLDER
//
// In the folder connectors may use files; the environment names two users as NAME:PASSWORD, OPERATOR who may do everything and READER who
// may look. The first thing that does not hold ends with a failure.

import java.nio.file.*;
import java.time.Instant;
import java.util.*;
import java.util.concurrent.Callable;
import org.sourcelab.kafka.connect.apiclient.*;
import org.sourcelab.kafka.connect.apiclient.request.dto.*;
import org.sourcelab.kafka.connect.apiclient.request.post.PostConnectorRestart;
import org.sourcelab.kafka.connect.apiclient.rest.exceptions.*;

public class ConnectRest {
    static String url;
    static KafkaConnectClient client;

    static KafkaConnectClient clientOf(String login) {
        String[] parts = login.split(":", 2);
        return new KafkaConnectClient(new Configuration(url).useBasicAuth(parts[0], parts[1]));
    }

    static void fail(String what) {
        System.out.println("  FAILED  kafka-connect-client: " + what);
        System.exit(1);
    }

    static void held(String what) {
        System.out.println("  ok      kafka-connect-client: " + what);
    }

    static void same(String what, Object expected, Object found) {
        if (!Objects.equals(expected, found)) {
            fail(what + ": " + found + " and not " + expected);
        }
    }

    static void eventually(String what, Callable<Boolean> condition) throws Exception {
        Instant deadline = Instant.now().plusSeconds(30);
        while (!condition.call()) {
            if (Instant.now().isAfter(deadline)) {
                fail(what + ": not within 30 s");
            }
        }
    }

    static void refused(int status, String message, Callable<?> call) throws Exception {
        try {
            call.call();
            fail("not refused, although " + status + " is expected");
        } catch (InvalidRequestException refusal) {
            same("the status of a refusal", status, refusal.getErrorCode());
            if (!refusal.getMessage().contains(message)) {
                fail("a refusal says " + refusal.getMessage() + " and not " + message);
            }
        }
    }

    /** Waits until a connector and its tasks are all in this state. */
    static void await(String connector, String state, int tasks) throws Exception {
        eventually(connector + " is " + state, () -> {
            ConnectorStatus status = client.getConnectorStatus(connector);
            return status.getConnector().get("state").equals(state) && status.getTasks().size() == tasks
                && status.getTasks().stream().allMatch(task -> task.getState().equals(state));
        });
    }

    static void awaitLines(Path file, Set<String> lines) throws Exception {
        eventually("all lines arrive", () -> Files.exists(file) && Set.copyOf(Files.readAllLines(file)).equals(lines));
    }

    static ConnectorDefinition create(String name, Map<String, String> config) {
        return client.addConnector(NewConnectorDefinition.newBuilder().withName(name).withConfig(config).build());
    }

    static ConnectorPluginConfigValidationResults validate(String plugin, Map<String, String> config) {
        return client.validateConnectorPluginConfig(
            ConnectorPluginConfigDefinition.newBuilder().withName(plugin).withConfig(config).build());
    }

    static Map<String, String> with(Map<String, String> config, String key, String value) {
        Map<String, String> changed = new HashMap<>(config);
        changed.put(key, value);
        return changed;
    }

    public static void main(String[] arguments) throws Exception {
        url = arguments[0];
        String operator = System.getenv("OPERATOR");
        client = clientOf(operator);
        // What stands in a path must be escaped.
        String topic = "java-" + UUID.randomUUID();
        String source = topic + " source/1";
        String sink = topic + " sink/1";
        Path from = Path.of(arguments[1], topic + "-source");
        Path to = Path.of(arguments[1], topic + "-sink");
        Map<String, String> common = Map.of("tasks.max", "1", "value.converter", "org.apache.kafka.connect.storage.StringConverter");
        Map<String, String> reads = new HashMap<>(common);
        reads.putAll(Map.of("name", source, "connector.class", "FileStreamSource", "file", from.toString(), "topic", topic));
        Map<String, String> writes = new HashMap<>(common);
        writes.putAll(Map.of("name", sink, "connector.class", "org.apache.kafka.connect.file.FileStreamSinkConnector", "file", to.toString(),
            "topics", topic));

        ConnectServerVersion version = client.getConnectServerVersion();
        same("all is told", false, version.getVersion().isEmpty() || version.getCommit().isEmpty() || version.getKafkaClusterId().isEmpty());
        held("the worker is described");

        same("a source's type", "source", client.getConnectorPlugins().stream()
            .filter(plugin -> plugin.getClassName().equals("file-source")).findFirst().get().getType());
        held("plugins are listed");

        same("errors", 0, validate("FileStreamSource", reads).getErrorCount());
        Map<String, String> lacking = new HashMap<>(reads);
        lacking.remove("topic");
        ConnectorPluginConfigValidationResults wrong = validate("FileStreamSource", lacking);
        same("errors of a config without a topic", 1, wrong.getErrorCount());
        same("where it is wrong", List.of("topic"), wrong.getConfigs().stream().map(config -> config.getValue())
            .filter(value -> !value.getErrors().isEmpty()).map(value -> value.getName()).toList());
        same("what is known of a setting", true, wrong.getConfigs().stream().map(config -> config.getDefinition())
            .anyMatch(key -> key.getName().equals("topic") && key.isRequired() && !key.getDocumentation().isEmpty()));
        held("configs are validated");

        Files.write(from, List.of("one", "two"));
        same("the config of what is created", reads, create(source, reads).getConfig());
        same("its type", "sink", create(sink, writes).getType());
        await(source, "RUNNING", 1);
        await(sink, "RUNNING", 1);
        awaitLines(to, Set.of("one", "two"));
        held("connectors are created and run");

        same("names", true, client.getConnectors().containsAll(List.of(source, sink)));
        same("an expanded status", "RUNNING", client.getConnectorsWithExpandedStatus().getStatusForConnector(sink).getConnector().get("state"));
        same("an expanded config", writes, client.getConnectorsWithExpandedInfo().getDefinitionForConnector(sink).getConfig());
        ConnectorsWithExpandedMetadata both = client.getConnectorsWithAllExpandedMetadata();
        same("both at once", List.of("sink", "sink"),
            List.of(both.getDefinitionForConnector(sink).getType(), both.getStatusForConnector(sink).getType()));
        same("a connector", 0, client.getConnector(source).getTasks().get(0).getTask());
        same("its config", reads, client.getConnectorConfig(source));
        same("its tasks", from.toString(), client.getConnectorTasks(source).iterator().next().getConfig().get("file"));
        same("one of them", "RUNNING", client.getConnectorTaskStatus(source, 0).getState());
        same("where it runs", false, client.getConnectorTaskStatus(source, 0).getWorkerId().isEmpty());
        held("they are looked at");

        same("its topics", List.of(topic), client.getConnectorTopics(source).getTopics());
        client.pauseConnector(source);
        await(source, "PAUSED", 1);
        same("topics are reset", true, client.resetConnectorTopics(source));
        eventually("none is left", () -> client.getConnectorTopics(source).getTopics().isEmpty());
        held("topics are told and reset");

        client.resumeConnector(source);
        for (String connector : List.of(source, sink)) {
            await(connector, "RUNNING", 1);
            same("a restart", true, client.restartConnector(connector));
            same("one of its tasks, too", true, client.restartConnector(new PostConnectorRestart(connector).withIncludeTasks(true)));
            await(connector, "RUNNING", 1);
            same("one of what failed", true,
                client.restartConnector(new PostConnectorRestart(connector).withIncludeTasks(true).withOnlyFailed(true)));
            same("one of a task", true, client.restartConnectorTask(connector, 0));
            await(connector, "RUNNING", 1);
        }
        Files.write(from, List.of("three"), StandardOpenOption.APPEND);
        awaitLines(to, Set.of("one", "two", "three"));
        held("they are paused, resumed and restarted");

        same("a changed config", "2", client.updateConnectorConfig(sink, with(writes, "tasks.max", "2")).getConfig().get("tasks.max"));
        client.updateConnectorConfig(sink, with(writes, "value.converter", "org.apache.kafka.connect.json.JsonConverter"));
        Files.write(from, List.of("no JSON"), StandardOpenOption.APPEND);
        eventually("the task fails", () -> client.getConnectorStatus(sink).getTasks().stream().anyMatch(task -> task.getState().equals("FAILED")));
        same("why", true, client.getConnectorTaskStatus(sink, 0).getTrace().contains("not JSON"));
        client.updateConnectorConfig(sink, writes);
        await(sink, "RUNNING", 1);
        awaitLines(to, Set.of("one", "two", "three", "no JSON"));
        held("a config that makes a task fail is changed back");

        refused(409, "Connector " + sink + " already exists", () -> create(sink, writes));
        refused(400, "Missing required configuration \"topic\"", () -> create(topic, with(lacking, "name", topic)));
        refused(404, "none", () -> client.getConnector("none"));
        refused(404, "none", () -> client.pauseConnector("none"));
        refused(404, "none", () -> client.deleteConnector("none"));
        refused(404, "", () -> client.restartConnectorTask(sink, 7));
        refused(401, "", () -> clientOf(operator.split(":")[0] + ":wrong").getConnectors());
        KafkaConnectClient reader = clientOf(System.getenv("READER"));
        same("a reader looks", true, reader.getConnectors().contains(sink));
        refused(403, "", () -> reader.deleteConnector(sink));
        held("it is told what is wrong");

        for (String connector : List.of(source, sink)) {
            same("a deletion", true, client.deleteConnector(connector));
            same("it is gone", false, client.getConnectors().contains(connector));
        }
        held("connectors are deleted");
    }
}
