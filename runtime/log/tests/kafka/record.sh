#!/usr/bin/env bash
# Makes the files of this folder anew: starts Apache Kafka (`make peers` has fetched it), lets Record.java write topics and read them
# back, stops Kafka, and keeps its segments with their indexes under segments/ and what its consumer read in records.tsv.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peers=${TOWPATH_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/towpath-peers}
[ -f "$peers/.made" ] || { echo "Apache Kafka is not installed: make peers" >&2; exit 3; }
scratch=$(mktemp -d)
broker=
stop() { if [ -n "$broker" ]; then kill "$broker" 2>/dev/null && wait "$broker" || true; broker=; fi; }
trap 'stop; rm -rf "$scratch"' EXIT
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
address=127.0.0.1:$(free_port)
controller=127.0.0.1:$(free_port)
cat >"$scratch/broker.properties" <<PROPERTIES
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@$controller
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://$address,CONTROLLER://$controller
advertised.listeners=PLAINTEXT://$address
log.dirs=$scratch/topics
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
log.cleaner.backoff.ms=200
log.index.interval.bytes=300
log.retention.ms=-1
PROPERTIES
java() { command java -Xmx512m -cp "$peers/kafka/*" "$@"; }
java kafka.tools.StorageTool format -t dG93cGF0aC1wZWVycy0wMQ -c "$scratch/broker.properties" >"$scratch/broker.log" 2>&1
command java -Xmx512m -cp "$peers/kafka/*" kafka.Kafka "$scratch/broker.properties" >>"$scratch/broker.log" 2>&1 &
broker=$!
until java org.apache.kafka.tools.TopicCommand --bootstrap-server "$address" --list >/dev/null 2>&1; do
  kill -0 "$broker" || { tail "$scratch/broker.log" >&2; exit 3; }
done
java "$here/Record.java" "$address" 2>"$scratch/client.log" >"$scratch/records.tsv" || { tail "$scratch/client.log" >&2; exit 1; }
# Stopped in an orderly way, it cuts its indexes to what they hold.
stop
rm -rf "$here/segments"
for topic in $(cut -f1 "$scratch/records.tsv" | uniq); do
  mkdir -p "$here/segments/$topic"
  cp "$scratch/topics/$topic-0/"*.log "$scratch/topics/$topic-0/"*index "$here/segments/$topic/"
done
mv "$scratch/records.tsv" "$here/records.tsv"
