// Runs records through a transform of Connect or Debezium: a case a line in, what became of it a line out.
//
// Keys, values and headers stand in JsonConverter's envelope with their schemas, both ways, and nulls are left as they are. What a
// transform or the converter after it refuses is told apart, for the converter's faults are not the transform's.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.connect.connector.ConnectRecord;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.header.ConnectHeaders;
import org.apache.kafka.connect.header.Header;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.sink.SinkRecord;
import org.apache.kafka.connect.source.SourceRecord;
import org.apache.kafka.connect.transforms.Transformation;
import org.apache.kafka.connect.transforms.predicates.Predicate;

public class Originals {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final JsonConverter KEYS = converter(true);
    private static final JsonConverter VALUES = converter(false);

    private static JsonConverter converter(boolean isKey) {
        JsonConverter converter = new JsonConverter();
        converter.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false"), isKey);
        return converter;
    }

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
            out.flush();
        }
    }

    private static ObjectNode answer(JsonNode given) {
        ObjectNode answer = JSON.createObjectNode();
        ConnectRecord<?> transformed;
        try {
            transformed = apply(given);
        } catch (Throwable fault) {
            return answer.put("failed", String.valueOf(fault));
        }
        if (transformed == null) {
            return answer.put("dropped", true);
        }
        try {
            return answer.set("record", written(transformed));
        } catch (Throwable fault) {
            return answer.put("unconvertible", String.valueOf(fault));
        }
    }

    @SuppressWarnings({"unchecked", "rawtypes"})
    private static ConnectRecord<?> apply(JsonNode given) throws Exception {
        Map<String, String> settings = new HashMap<>();
        given.get("settings").fields().forEachRemaining(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
        SinkRecord sunk = read(given.get("record"));
        // Debezium's transforms are for sources, and leave the partition open.
        boolean isForSources = given.get("transform").asText().startsWith("io.debezium.");
        ConnectRecord<?> record = isForSources ? sourced(sunk) : sunk;
        Object made = Class.forName(given.get("transform").asText()).getDeclaredConstructor().newInstance();
        if (made instanceof Predicate) {
            Predicate<SinkRecord> predicate = (Predicate<SinkRecord>) made;
            predicate.configure(settings);
            return predicate.test(sunk) ? sunk : null;
        }
        Transformation transform = (Transformation) made;
        transform.configure(settings);
        return transform.apply(record);
    }

    private static SourceRecord sourced(SinkRecord record) {
        return new SourceRecord(null, null, record.topic(), record.kafkaPartition(), record.keySchema(), record.key(),
            record.valueSchema(), record.value(), record.timestamp(), record.headers());
    }

    private static SinkRecord read(JsonNode record) {
        String topic = record.get("topic").asText();
        SchemaAndValue key = KEYS.toConnectData(topic, bytes(record.get("key")));
        SchemaAndValue value = VALUES.toConnectData(topic, bytes(record.get("value")));
        ConnectHeaders headers = new ConnectHeaders();
        for (JsonNode header : record.get("headers")) {
            String name = header.get("key").asText();
            headers.add(name, VALUES.toConnectHeader(topic, name, bytes(header.get("value"))));
        }
        Long timestamp = record.hasNonNull("timestamp") ? record.get("timestamp").asLong() : null;
        return new SinkRecord(topic, record.get("partition").asInt(), key.schema(), key.value(), value.schema(), value.value(),
            record.get("offset").asLong(), timestamp, TimestampType.CREATE_TIME, headers);
    }

    private static byte[] bytes(JsonNode payload) {
        return payload == null || payload.isNull() ? null : payload.asText().getBytes(StandardCharsets.UTF_8);
    }

    private static ObjectNode written(ConnectRecord<?> record) {
        ObjectNode written = JSON.createObjectNode();
        written.put("topic", record.topic());
        written.put("partition", record.kafkaPartition());
        written.put("timestamp", record.timestamp());
        written.put("key", text(KEYS.fromConnectData(record.topic(), record.keySchema(), record.key())));
        written.put("value", text(VALUES.fromConnectData(record.topic(), record.valueSchema(), record.value())));
        ArrayNode headers = written.putArray("headers");
        for (Header header : record.headers()) {
            ObjectNode node = headers.addObject().put("key", header.key());
            node.put("value", text(VALUES.fromConnectHeader(record.topic(), header.key(), header.schema(), header.value())));
        }
        return written;
    }

    private static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.UTF_8);
    }
}
