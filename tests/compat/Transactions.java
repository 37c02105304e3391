// Transactions of the Java client against a running broker: java Transactions.java BROKER TOPIC
//
// Each line says what held; anything else ends with a failure. The topic has two partitions and is empty.

import java.time.Duration;
import java.util.*;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.*;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

public class Transactions {
    static String broker;
    static String topic;

    static Properties common() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", broker);
        return properties;
    }

    static KafkaProducer<String, String> producer(String id) {
        Properties properties = common();
        properties.put("transactional.id", id);
        properties.put("transaction.timeout.ms", "20000");
        return new KafkaProducer<>(properties, new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String group, String isolation) {
        Properties properties = common();
        properties.put("group.id", group);
        properties.put("isolation.level", isolation);
        properties.put("auto.offset.reset", "earliest");
        properties.put("enable.auto.commit", "false");
        return new KafkaConsumer<>(properties, new StringDeserializer(), new StringDeserializer());
    }

    /** All values of a partition up to its end, as this isolation level sees it. */
    static List<String> read(int number, String isolation) {
        List<String> found = new ArrayList<>();
        TopicPartition partition = new TopicPartition(topic, number);
        try (KafkaConsumer<String, String> consumer = consumer("reader", isolation)) {
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            long end = consumer.endOffsets(List.of(partition)).get(partition);
            while (consumer.position(partition) < end) {
                for (ConsumerRecord<String, String> record : consumer.poll(Duration.ofSeconds(1))) {
                    found.add(record.value());
                }
            }
        }
        return found;
    }

    static void check(String what, Object expected, Object found) {
        if (!Objects.equals(expected, found)) {
            System.out.println("FAILED " + what + ": " + found + " and not " + expected);
            System.exit(1);
        }
        System.out.println("held " + what);
    }

    public static void main(String[] arguments) throws Exception {
        broker = arguments[0];
        topic = arguments[1];
        KafkaProducer<String, String> producer = producer("java-" + topic);
        producer.initTransactions();
        List<List<String>> expected = List.of(new ArrayList<>(), new ArrayList<>());
        for (int round = 0; round < 20; round++) {
            boolean commits = round % 3 != 1;
            producer.beginTransaction();
            for (int index = 0; index < 10; index++) {
                String value = round + "-" + index;
                producer.send(new ProducerRecord<>(topic, index % 2, "k", value));
                if (commits) {
                    expected.get(index % 2).add(value);
                }
            }
            if (commits) {
                producer.commitTransaction();
            } else {
                producer.flush();
                producer.abortTransaction();
            }
        }
        check("committed records are read, aborted ones are not", expected.get(0), read(0, "read_committed"));
        check("in the other partition, too", expected.get(1), read(1, "read_committed"));
        check("everything is read without isolation", 100, read(0, "read_uncommitted").size());

        String group = "group-" + topic;
        TopicPartition partition = new TopicPartition(topic, 0);
        try (KafkaConsumer<String, String> consumer = consumer(group, "read_committed"); Admin admin = Admin.create(common())) {
            consumer.subscribe(List.of(topic));
            while (consumer.assignment().isEmpty()) {
                consumer.poll(Duration.ofMillis(200));
            }
            producer.beginTransaction();
            producer.send(new ProducerRecord<>(topic, 1, "k", "with offsets")).get();
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(7, "m")), consumer.groupMetadata());
            TransactionDescription open = admin.describeTransactions(List.of("java-" + topic)).description("java-" + topic).get();
            check("an open transaction is described", TransactionState.ONGOING, open.state());
            check("and listed", true, admin.listTransactions().all().get().stream().anyMatch(one -> one.producerId() == open.producerId()));
            ProducerState active = admin.describeProducers(List.of(new TopicPartition(topic, 1))).all().get()
                .get(new TopicPartition(topic, 1)).activeProducers().stream()
                .filter(one -> one.producerId() == open.producerId()).findFirst().get();
            check("and found in its partition", true, active.currentTransactionStartOffset().isPresent());
            producer.commitTransaction();
            check("offsets are committed with it", 7L, consumer.committed(Set.of(partition)).get(partition).offset());
            producer.beginTransaction();
            producer.sendOffsetsToTransaction(Map.of(partition, new OffsetAndMetadata(9, "m")), consumer.groupMetadata());
            producer.abortTransaction();
            check("and not with one that is aborted", 7L, consumer.committed(Set.of(partition)).get(partition).offset());
        }

        KafkaProducer<String, String> second = producer("java-" + topic);
        producer.beginTransaction();
        producer.send(new ProducerRecord<>(topic, 0, "k", "of the old one")).get();
        second.initTransactions();
        try {
            producer.commitTransaction();
            check("an older instance is fenced", "ProducerFencedException", "nothing");
        } catch (ProducerFencedException | InvalidProducerEpochException fenced) {
            System.out.println("held an older instance is fenced");
        }
        second.beginTransaction();
        second.send(new ProducerRecord<>(topic, 0, "k", "of the new one")).get();
        second.commitTransaction();
        List<String> all = read(0, "read_committed");
        check("and what it wrote is never read", false, all.contains("of the old one"));
        check("the new one's is", "of the new one", all.get(all.size() - 1));
        producer.close(Duration.ZERO);
        second.close();
        System.out.println("all held");
    }
}
