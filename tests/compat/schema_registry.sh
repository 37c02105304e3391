#!/usr/bin/env bash
# Confluent's serializers against a worker with its schema registry, beside a PostgreSQL that the environment names.
#
#   schema_registry.sh TARGET VENV
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1 venv=$2

folder=$(mktemp -d)
pid=
stop() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop EXIT

mkdir "$folder/pipelines"
"$target/release/towpath" run "$folder/pipelines" --data-dir "$folder/data" --rest 127.0.0.1:0 --kafka 127.0.0.1:0 \
  --registry 127.0.0.1:0 >"$folder/worker.log" 2>&1 &
pid=$!
for _ in $(seq 300); do
  [ ! -f "$folder/data/addresses.json" ] || break
  kill -0 "$pid" || { cat "$folder/worker.log"; exit 3; }
  sleep 0.1
done
"$venv/bin/python" "$here/schema_registry.py" "$folder/data" "$folder/pipelines" || { tail -n 40 "$folder/worker.log"; exit 1; }
