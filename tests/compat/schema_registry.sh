#!/usr/bin/env bash
# Confluent's serializers against a worker with its schema registry, beside a PostgreSQL that the environment names.
#
#   schema_registry.sh TARGET VENV
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$1 venv=$2

# shellcheck source=worker.sh
. "$here/worker.sh"
start_worker "$target/release/towpath" --kafka 127.0.0.1:0 --registry 127.0.0.1:0
"$venv/bin/python" "$here/schema_registry.py" "$folder/data" "$folder/pipelines" || { tail -n 40 "$folder/worker.log"; exit 1; }
