// Writes topics of every kind into a running Apache Kafka and prints what its own consumer reads of them: java Record.java BROKER
//
// A line is topic, offset, timestamp, key, value and headers (name=value, comma-separated), with tabs between; "-" is null.

import java.time.Duration;
import java.util.*;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

public class Record {
    static final long TIME = 1_700_000_000_000L;
    static String broker;

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        List<String> topics = new ArrayList<>();
        try (Admin admin = Admin.create(common())) {
            for (String codec : List.of("none", "gzip", "snappy", "lz4", "zstd")) {
                create(admin, topics, codec, Map.of());
                try (var producer = producer(Map.of("enable.idempotence", "false", "compression.type", codec))) {
                    for (int batch = 0; batch < 3; batch++) batch(producer, codec, batch * 10, 10);
                }
            }
            create(admin, topics, "idempotent", Map.of());
            try (var producer = producer(Map.of("enable.idempotence", "true"))) {
                for (int batch = 0; batch < 8; batch++) batch(producer, "idempotent", batch * 3, 3);
            }
            create(admin, topics, "append-time", Map.of("message.timestamp.type", "LogAppendTime"));
            try (var producer = producer(Map.of())) {
                batch(producer, "append-time", 0, 5);
            }
            create(admin, topics, "transactional", Map.of());
            transactions(topics.get(topics.size() - 1));
            create(admin, topics, "compacted", Map.of("cleanup.policy", "compact", "segment.ms", "1000",
                "min.cleanable.dirty.ratio", "0.01", "delete.retention.ms", "86400000"));
            compacted("compacted");
        }
        for (String topic : topics) print(topic);
    }

    static Map<String, Object> common() {
        return new HashMap<>(Map.of("bootstrap.servers", broker));
    }

    static void create(Admin admin, List<String> topics, String name, Map<String, String> configs) throws Exception {
        admin.createTopics(List.of(new NewTopic(name, 1, (short) 1).configs(configs))).all().get();
        topics.add(name);
    }

    static KafkaProducer<String, String> producer(Map<String, Object> more) {
        Map<String, Object> configs = common();
        configs.put("linger.ms", "1000");
        configs.putAll(more);
        return new KafkaProducer<>(configs, new StringSerializer(), new StringSerializer());
    }

    /** Records that go into one batch. */
    static void batch(KafkaProducer<String, String> producer, String topic, int from, int count) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (int number = from; number < from + count; number++) {
            String key = number % 5 == 4 ? null : "k" + number;
            String value = number % 7 == 6 ? null : "value " + number + " " + "é".repeat(number);
            // Times go back now and then, so that the last record is not always the latest.
            var record = new ProducerRecord<>(topic, null, TIME + number * 1000L - (number % 4) * 2500L, key, value);
            if (number % 3 == 0) record.headers().add("h", ("v" + number).getBytes());
            sent.add(producer.send(record));
        }
        producer.flush();
        for (var one : sent) one.get();
    }

    /** Two producers whose transactions overlap, some committed and some aborted, and records outside of any between. */
    static void transactions(String topic) throws Exception {
        try (var first = producer(Map.of("transactional.id", "first"));
             var second = producer(Map.of("transactional.id", "second"));
             var plain = producer(Map.of())) {
            first.initTransactions();
            second.initTransactions();
            for (int round = 0; round < 4; round++) {
                int from = round * 12;
                first.beginTransaction();
                batch(first, topic, from, 3);
                second.beginTransaction();
                batch(second, topic, from + 3, 3);
                batch(plain, topic, from + 6, 2);
                batch(first, topic, from + 8, 2);
                if (round % 2 == 0) first.abortTransaction(); else first.commitTransaction();
                batch(second, topic, from + 10, 2);
                if (round < 2) second.commitTransaction(); else second.abortTransaction();
            }
        }
    }

    static void compacted(String topic) throws Exception {
        try (var producer = producer(Map.of())) {
            for (int round = 0; round < 4; round++) {
                for (int key = 0; key < 6; key++) {
                    String value = key == round ? null : "round " + round;
                    producer.send(new ProducerRecord<>(topic, null, TIME + round * 10_000L + key, "k" + key, value)).get();
                }
                // The next record begins a new segment; what lies before it may be compacted.
                Thread.sleep(1500);
            }
        }
        while (read(topic).size() > 14) Thread.sleep(500);
    }

    static List<ConsumerRecord<String, String>> read(String topic) {
        Map<String, Object> configs = common();
        configs.put("isolation.level", "read_committed");
        configs.put("auto.offset.reset", "earliest");
        List<ConsumerRecord<String, String>> found = new ArrayList<>();
        try (var consumer = new KafkaConsumer<>(configs, new StringDeserializer(), new StringDeserializer())) {
            var partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) consumer.poll(Duration.ofMillis(200)).forEach(found::add);
        }
        return found;
    }

    static void print(String topic) {
        for (var record : read(topic)) {
            List<String> headers = new ArrayList<>();
            record.headers().forEach(header -> headers.add(header.key() + "=" + new String(header.value())));
            System.out.println(String.join("\t", topic, Long.toString(record.offset()), Long.toString(record.timestamp()),
                text(record.key()), text(record.value()), String.join(",", headers)));
        }
    }

    static String text(String value) {
        return value == null ? "-" : value;
    }
}
