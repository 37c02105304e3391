#!/usr/bin/env bash
# Real Kafka clients against `towpath log`: each does what tutorials teach, and two bring the tests along that they have for themselves
# (suites/). Clients of Kafka Connect's REST interface do so against `towpath run`. Their libraries are installed under the target folder;
# what comes from the system's packages is installed or named (prepare.sh). Serializers of Confluent's registry write and read what a
# pipeline carries.
#
#   run.sh TARGET            where the binary is, as TARGET/release/towpath
#   run.sh TARGET clients    the clients alone, without the tests that they bring along and all that takes long; those that cannot be
#                            installed are left out and named
#   BROKER=host:port         tests a broker that runs already instead, Kafka's own for example
#   SCRAM_BROKER, LOGIN      where that one asks for a login, and NAME:PASSWORD for it
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
part=${2:-everything}
tools=$target/compat
jars=${TOWPATH_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/towpath-peers}/kafka
CLIENTS="confluent-kafka[avro,json,protobuf,schemaregistry]==2.16.1 kafka-python==3.0.12 kafka-connect-py==1.0.0 kafka-connect-api==0.5.10"

# Whether something could be installed; the long run ends where it could not.
installed() { # what, command
  local said
  if said=$("${@:2}" 2>&1); then return 0; fi
  if [ "$part" = everything ]; then echo "$said" >&2; exit 3; fi
  echo "left out: $1 ($(tail -n 1 <<<"$said"))"
  return 1
}
install_python() {
  [ "$(cat "$tools/clients" 2>/dev/null || true)" != "$CLIENTS" ] || return 0
  # shellcheck disable=SC2086
  python3 -m venv "$tools/venv" && "$tools/venv/bin/pip" install -q $CLIENTS && echo "$CLIENTS" >"$tools/clients"
}
install_rdkafka() {
  CARGO_TARGET_DIR=$tools/rdkafka cargo build --quiet --release --manifest-path "$here/rdkafka/Cargo.toml"
}
install_connect_client() {
  local wanted=$here/connect_client.xml has=$tools/connect-client
  ! cmp -s "$wanted" "$has/pom.xml" || return 0
  rm -rf "$has"
  mvn -q -B -f "$wanted" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$has" && cp "$wanted" "$has/pom.xml"
}

installed "clients of Kafka" "$here/prepare.sh" "$part" || exit 0
work=$(mktemp -d)
pids=()
stop() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; wait "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap stop EXIT

serve() { # name, flags
  "$target/release/towpath" log "$work/$1" "${@:2}" >"$work/$1.out" 2>&1 &
  pids+=($!)
  for _ in $(seq 300); do
    [ ! -f "$work/$1/addresses.json" ] || return 0
    kill -0 $! || { cat "$work/$1.out"; exit 3; }
    sleep 0.1
  done
}
address() { # name, protocol
  tr ', ' '\n\n' <"$work/$1.out" | sed -n "s,^$2://,,p"
}

own=
if [ -z "${BROKER:-}" ]; then
  own=yes
  serve clients --kafka 127.0.0.1:0
  BROKER=$(sed -n 's/^Kafka //p' "$work/clients.out")
fi
echo "clients against $BROKER"

failed=0
connect_client=
! installed "the Java client of Connect" install_connect_client || connect_client=$tools/connect-client
if installed "the Python clients" install_python; then
  "$tools/venv/bin/python" "$here/confluent.py" "$BROKER" || failed=1
  "$tools/venv/bin/python" "$here/kafka_python.py" "$BROKER" || failed=1
  if [ -n "$own" ]; then
    "$here/connect_rest.sh" "$target" "$tools/venv" $connect_client || failed=1
    "$target/release/towpath-lab" --postgres -- "$here/schema_registry.sh" "$target" "$tools/venv" || failed=1
  fi
fi
"$here/kcat.sh" "$BROKER" || failed=1
if installed "rdkafka" install_rdkafka; then
  "$tools/rdkafka/release/towpath-compat-rdkafka" "$BROKER" || failed=1
fi
if installed "the Java client" "$here/../peers/install.sh"; then
  "$here/java.sh" "$BROKER" "$jars" "${own:+$work/clients/log}" || failed=1
fi
[ "$part" = everything ] || exit $failed

if [ -n "$own" ]; then
  # The suites expect a broker as their authors set it up.
  LOGIN=tester:secret
  echo "${LOGIN#*:}" | "$target/release/towpath" users add "${LOGIN%:*}" --data-dir "$work/suites" >/dev/null
  serve suites --kafka 'OPEN://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0' --kafka-protocols OPEN:PLAINTEXT --kafka-num-partitions 4
  SUITES_BROKER=$(address suites OPEN)
  SCRAM_BROKER=$(address suites SASL_PLAINTEXT)
fi
"$here/suites/franz-go.sh" "${SUITES_BROKER:-$BROKER}" "${SCRAM_BROKER:-}" "${LOGIN:-}" "$tools" || failed=1
"$tools/venv/bin/python" "$here/connect_worker.py" "$BROKER" "$jars" || failed=1
"$here/suites/librdkafka.sh" "${SUITES_BROKER:-$BROKER}" "$jars" "$tools" || failed=1
if [ -n "$own" ]; then
  serve idle --kafka 127.0.0.1:0
  "$tools/venv/bin/python" "$here/idle.py" "$(sed -n 's/^Kafka //p' "$work/idle.out")" "${pids[-1]}" || failed=1
  "$target/release/towpath-lab" --postgres --peers -- "$tools/venv/bin/python" "$here/migration.py" "$target/release/towpath" "$jars" || failed=1
  "$here/secure.sh" "$target" "$tools/venv" "$jars" || failed=1
  "$tools/venv/bin/python" "$here/crash.py" "${ROUNDS:-20}" "$target/release/towpath" log "$work/crash-{folder}" --kafka '{address}' \
    --kafka-group-consumer-heartbeat-interval-ms 500 --kafka-group-consumer-session-timeout-ms 3000 || failed=1
fi
exit $failed
