#!/usr/bin/env bash
# Real Kafka clients against `towpath log`: each does what tutorials teach. What they need is installed under the target folder, but for
# kcat, which comes from the system's packages.
#
#   run.sh TARGET        where the binary is, as TARGET/release/towpath
#   BROKER=host:port     tests a broker that runs already instead, Kafka's own for example
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1
tools=$target/compat
jars=${TOWPATH_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/towpath-peers}/kafka
CLIENTS="confluent-kafka==2.16.1 kafka-python==3.0.12"

if [ "$(cat "$tools/clients" 2>/dev/null || true)" != "$CLIENTS" ]; then
  echo "installing $CLIENTS"
  python3 -m venv "$tools/venv"
  # shellcheck disable=SC2086
  "$tools/venv/bin/pip" install -q $CLIENTS
  echo "$CLIENTS" >"$tools/clients"
fi

data=$(mktemp -d)
pid=
stop() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
  rm -rf "$data"
}
trap stop EXIT

if [ -z "${BROKER:-}" ]; then
  "$target/release/towpath" log "$data" --kafka 127.0.0.1:0 >"$data.log" 2>&1 &
  pid=$!
  for _ in $(seq 300); do
    [ ! -f "$data/addresses.json" ] || break
    kill -0 "$pid" || { cat "$data.log"; exit 3; }
    sleep 0.1
  done
  BROKER=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["kafka"])' "$data/addresses.json")
fi
echo "clients against $BROKER"

failed=0
"$tools/venv/bin/python" "$here/confluent.py" "$BROKER" || failed=1
"$tools/venv/bin/python" "$here/kafka_python.py" "$BROKER" || failed=1
if command -v kcat >/dev/null; then
  "$here/kcat.sh" "$BROKER" || failed=1
else
  echo "  kcat is not installed (apt-get install kcat): not tested"
  failed=1
fi
if command -v java >/dev/null && command -v mvn >/dev/null; then
  "$here/../peers/install.sh"
  "$here/java.sh" "$BROKER" "$jars" "${pid:+$data/log}" || failed=1
else
  echo "  Java and Maven are not installed: its tools are not tested"
  failed=1
fi
if [ -d "$jars" ]; then
  "$tools/venv/bin/python" "$here/connect_worker.py" "$BROKER" "$jars" || failed=1
fi
if [ -n "$pid" ]; then
  "$here/secure.sh" "$target" "$tools/venv" "$jars" || failed=1
  "$tools/venv/bin/python" "$here/crash.py" "${ROUNDS:-20}" "$target/release/towpath" log "$data/crash-{folder}" --kafka '{address}' || failed=1
fi
rm -f "$data.log"
exit $failed
