// Runs payloads through a converter of Connect: a case a line in, what became of it a line out.
//
// Data with schemas stand in JsonConverter's envelope, bytes in Base64, and nulls are left as they are.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.connect.data.SchemaAndValue;
import org.apache.kafka.connect.json.JsonConverter;
import org.apache.kafka.connect.storage.Converter;
import org.apache.kafka.connect.storage.HeaderConverter;

public class Converters {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final String TOPIC = "t";
    private static final JsonConverter ENVELOPE = new JsonConverter();

    public static void main(String[] arguments) throws Exception {
        ENVELOPE.configure(Map.of("schemas.enable", "true", "replace.null.with.default", "false"), false);
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
            out.flush();
        }
    }

    private static ObjectNode answer(JsonNode given) {
        ObjectNode answer = JSON.createObjectNode();
        boolean writes = given.get("writes").asBoolean();
        SchemaAndValue data = null;
        if (writes) {
            try {
                data = ENVELOPE.toConnectData(TOPIC, given.get("given").asText().getBytes(StandardCharsets.UTF_8));
            } catch (Throwable fault) {
                // What is no Connect data is no case.
                return answer.put("unreadable", String.valueOf(fault));
            }
        }
        byte[] written;
        SchemaAndValue read;
        try {
            Codec codec = codec(given);
            if (writes) {
                written = codec.write(data);
                return answer.put("converted", written == null ? null : Base64.getEncoder().encodeToString(written));
            }
            JsonNode bytes = given.get("given");
            read = codec.read(bytes.isNull() ? null : Base64.getDecoder().decode(bytes.asText()));
        } catch (Throwable fault) {
            return answer.put("failed", String.valueOf(fault));
        }
        try {
            byte[] shown = ENVELOPE.fromConnectData(TOPIC, read.schema(), read.value());
            return answer.put("converted", shown == null ? null : new String(shown, StandardCharsets.UTF_8));
        } catch (Throwable fault) {
            return answer.put("unreadable", String.valueOf(fault));
        }
    }

    private interface Codec {
        byte[] write(SchemaAndValue data);

        SchemaAndValue read(byte[] bytes);
    }

    private static Codec codec(JsonNode given) throws Exception {
        Map<String, String> settings = new HashMap<>();
        given.get("settings").fields().forEachRemaining(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
        Object made = Class.forName(given.get("converter").asText()).getDeclaredConstructor().newInstance();
        if (given.get("part").asText().equals("header")) {
            HeaderConverter converter = (HeaderConverter) made;
            settings.put("converter.type", "header");
            converter.configure(settings);
            return new Codec() {
                public byte[] write(SchemaAndValue data) {
                    return converter.fromConnectHeader(TOPIC, "h", data.schema(), data.value());
                }

                public SchemaAndValue read(byte[] bytes) {
                    return converter.toConnectHeader(TOPIC, "h", bytes);
                }
            };
        }
        Converter converter = (Converter) made;
        converter.configure(settings, given.get("part").asText().equals("key"));
        return new Codec() {
            public byte[] write(SchemaAndValue data) {
                return converter.fromConnectData(TOPIC, data.schema(), data.value());
            }

            public SchemaAndValue read(byte[] bytes) {
                return converter.toConnectData(TOPIC, bytes);
            }
        };
    }
}
