#!/usr/bin/env bash
# The Java client by way of Kafka's own command-line tools, against a running broker: java.sh BROKER JARS [LOG]. With the folder of the
# log, its segments and indexes are given to Kafka's DumpLogSegments.
set -euo pipefail
broker=$1
jars=$2
log=${3:-}
topic="java-$RANDOM$RANDOM"
group="g-$topic"
failed=0
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

tool() { timeout 300 java -Xmx256m -cp "$jars/*" "$@" 2>/dev/null; }
check() { # name, what must stand in the answer, answer
  if grep -qE -- "$2" <<<"$3"; then echo "  ok      java: $1"; else echo "  FAILED  java: $1: $3"; failed=1; fi
}

check "a topic is created" "Created topic $topic" \
  "$(tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" --create --topic "$topic" --partitions 2 --config retention.ms=86400000)"
check "and described" "PartitionCount: 2.*retention.ms=86400000" \
  "$(tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" --describe --topic "$topic")"
printf 'a:1\nb:2\nc:3\n' | tool org.apache.kafka.tools.ConsoleProducer --bootstrap-server "$broker" --topic "$topic" \
  --reader-property parse.key=true --reader-property key.separator=: --compression-codec zstd >/dev/null
check "a group reads what was produced" "^1 2 3 $" "$(tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$broker" \
  --topic "$topic" --from-beginning --max-messages 3 --group "$group" --timeout-ms 180000 | sort | tr '\n' ' ')"
check "its lag is shown" "$group +$topic +[01] +[0-9]+ +[0-9]+ +0 " \
  "$(tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$broker" --describe --group "$group")"
check "its offsets are reset" "$group +$topic +0 +0" "$(tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand \
  --bootstrap-server "$broker" --reset-offsets --group "$group" --topic "$topic" --to-earliest --execute)"
check "a group of the newer protocol reads" "^1 2 3 $" "$(tool org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$broker" \
  --topic "$topic" --from-beginning --max-messages 3 --group "newer-$group" --command-property group.protocol=consumer --timeout-ms 180000 | sort | tr '\n' ' ')"
check "and is shown as one" "newer-$group +consumer" \
  "$(tool org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$broker" --list --type | tr 'C' 'c')"
check "ends are told" "3" "$(tool org.apache.kafka.tools.GetOffsetShell --bootstrap-server "$broker" --topic "$topic" --time -1 \
  | awk -F: '{ sum += $3 } END { print sum }')"
check "a config is altered" "retention.ms=1234567" "$(tool kafka.admin.ConfigCommand --bootstrap-server "$broker" --alter \
  --entity-type topics --entity-name "$topic" --add-config retention.ms=1234567 >/dev/null
  tool kafka.admin.ConfigCommand --bootstrap-server "$broker" --describe --entity-type topics --entity-name "$topic")"
check "the topic grows" "PartitionCount: 4" \
  "$(tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" --alter --topic "$topic" --partitions 4
  tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" --describe --topic "$topic")"
check "the load generator sends" "^20000 records sent" "$(tool org.apache.kafka.tools.ProducerPerformance --topic "$topic" \
  --num-records 20000 --record-size 200 --throughput -1 --command-property bootstrap.servers="$broker" acks=all)"
transactions="tx-$topic"
tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" --create --topic "$transactions" --partitions 2 >/dev/null
check "transactions commit, abort, carry offsets and fence" "^all held$" \
  "$(timeout 300 java -Xmx256m -cp "$jars/*" "$here/Transactions.java" "$broker" "$transactions" 2>/dev/null)"
check "transactions are listed" "java-$transactions.*CompleteCommit" \
  "$(tool org.apache.kafka.tools.TransactionsCommand --bootstrap-server "$broker" list)"
check "a hanging one is looked for" "TransactionalId" "$(tool org.apache.kafka.tools.TransactionsCommand \
  --bootstrap-server "$broker" find-hanging --topic "$transactions" --partition 0; echo TransactionalId)"
check "the load generator sends in transactions" "^20000 records sent" "$(tool org.apache.kafka.tools.ProducerPerformance \
  --topic "$topic" --num-records 20000 --record-size 200 --throughput -1 --transactional-id "load-$topic" \
  --transaction-duration-ms 50 --command-property bootstrap.servers="$broker")"
check "records are deleted" "low_watermark: 1" "$(printf '{"partitions":[{"topic":"%s","partition":0,"offset":1}],"version":1}' "$topic" \
  >"$scratch/delete.json"; tool org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$broker" --offset-json-file "$scratch/delete.json")"
check "sizes are told" '"size":[1-9]' \
  "$(tool org.apache.kafka.tools.LogDirsCommand --bootstrap-server "$broker" --describe --topic-list "$topic")"
if [ -n "$log" ]; then
  # Segments lag behind the journal by a checkpoint at most.
  for _ in $(seq 100); do
    segment=$(find "$log" -path "*/$topic-*" -name '*.log' -size +100k | head -1)
    [ -z "$segment" ] || break
    sleep 0.2
  done
  base=${segment%.log}
  check "DumpLogSegments reads a segment" "isvalid: true" \
    "$(tool org.apache.kafka.tools.DumpLogSegments --files "$segment" | tail -2)"
  check "and its indexes" "index passed sanity check" \
    "$(tool org.apache.kafka.tools.DumpLogSegments --files "$base.index,$base.timeindex" --index-sanity-check)"
  for _ in $(seq 100); do
    index=$(find "$log" -path "*/$transactions-0/*" -name '*.txnindex' -size +0 | head -1)
    [ -z "$index" ] || break
    sleep 0.2
  done
  check "it reads the index of aborted transactions" "producerId: [0-9]+.*lastStableOffset" \
    "$(tool org.apache.kafka.tools.DumpLogSegments --files "$index")"
  check "and markers" "endTxnMarker: ABORT" \
    "$(tool org.apache.kafka.tools.DumpLogSegments --files "${index%.txnindex}.log" --print-data-log)"
  state=$(find "$log" -path "*/__transaction_state-*" -name '*.log' -size +0 | head -1)
  check "and the state of transactional ids" '"transactionalId":.*"transactionStatus":[145],' \
    "$(tool org.apache.kafka.tools.DumpLogSegments --files "$state" --transaction-log-decoder)"
fi
acls() { timeout 300 java -Xmx256m -cp "$jars/*" org.apache.kafka.tools.AclCommand --bootstrap-server "$broker" "$@" 2>&1 || true; }
check "ACLs are refused as by a broker without an authorizer" "SecurityDisabledException: No Authorizer is configured on the broker" "$(acls --list)"
check "also ones to delete" "SecurityDisabledException: No Authorizer is configured\.$" \
  "$(acls --remove --force --allow-principal User:alice --operation Read --topic "$topic")"
check "the topic is deleted" "gone" "$(tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" --delete --topic "$topic"
  tool org.apache.kafka.tools.TopicCommand --bootstrap-server "$broker" --list | grep -q "^$topic$" || echo gone)"
exit $failed
