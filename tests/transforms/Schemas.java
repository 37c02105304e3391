// Says what keeps a schema of a registry from following earlier ones: a case a line in, the verdicts a line out.
//
// For each earlier schema: why the next one cannot read what was written under it, and why it cannot read what the next one writes.
// Which text is no schema is told instead.

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import org.apache.avro.Schema;
import org.apache.avro.SchemaCompatibility;

public class Schemas {
    private static final ObjectMapper JSON = new ObjectMapper();

    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            out.println(JSON.writeValueAsString(answer(JSON.readTree(line))));
            out.flush();
        }
    }

    private static ObjectNode answer(JsonNode given) {
        Language<?> language = switch (given.get("language").asText()) {
            case "AVRO" -> new Avro();
            default -> throw new IllegalArgumentException("no such language: " + given);
        };
        return answer(language, given);
    }

    private static <S> ObjectNode answer(Language<S> language, JsonNode given) {
        ObjectNode answer = JSON.createObjectNode();
        List<String> texts = new ArrayList<>();
        given.get("earlier").forEach(text -> texts.add(text.asText()));
        texts.add(given.get("next").asText());
        List<S> schemas = new ArrayList<>();
        for (String text : texts) {
            try {
                schemas.add(language.parse(text));
            } catch (Throwable fault) {
                return answer.set("invalid", JSON.createArrayNode().add(schemas.size()).add(String.valueOf(fault)));
            }
        }
        ArrayNode verdicts = answer.putArray("verdicts");
        S next = schemas.remove(schemas.size() - 1);
        for (S earlier : schemas) {
            ObjectNode verdict = verdicts.addObject();
            verdict.set("backward", JSON.valueToTree(differences(language, next, earlier)));
            verdict.set("forward", JSON.valueToTree(differences(language, earlier, next)));
        }
        return answer;
    }

    // A comparison that fails says no, as it does in a registry.
    private static <S> List<String> differences(Language<S> language, S reader, S writer) {
        try {
            return language.differences(reader, writer);
        } catch (Throwable fault) {
            return List.of(String.valueOf(fault));
        }
    }

    private interface Language<S> {
        S parse(String text) throws Exception;

        // Why data that were written under one cannot be read under the other.
        List<String> differences(S reader, S writer) throws Exception;
    }

    private static class Avro implements Language<Schema> {
        public Schema parse(String text) {
            return new Schema.Parser().parse(text);
        }

        public List<String> differences(Schema reader, Schema writer) {
            List<String> differences = new ArrayList<>();
            SchemaCompatibility.checkReaderWriterCompatibility(reader, writer).getResult().getIncompatibilities()
                .forEach(found -> differences.add(found.getType() + " " + found.getLocation()));
            return differences;
        }
    }
}
