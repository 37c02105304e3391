#!/usr/bin/env bash
# Clients of Kafka Connect's REST interface against a worker with an empty folder, which asks them who they are.
#
#   connect_rest.sh TARGET VENV [JARS]    those of Python are in VENV, the Java one and what it needs in JARS
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
towpath=$1/release/towpath
venv=$2 jars=${3:-}
failed=0

# shellcheck source=worker.sh
. "$here/worker.sh"

# What must be escaped somewhere; a colon none of the clients can take.
export OPERATOR='olga:wonder land,=1/@' READER='rita:only looks'
echo "${OPERATOR#*:}" | "$towpath" users add "${OPERATOR%%:*}" --rest write --data-dir "$folder/data" >/dev/null
echo "${READER#*:}" | "$towpath" users add "${READER%%:*}" --rest read --data-dir "$folder/data" >/dev/null
mkdir "$folder/files"
start_worker "$towpath" --rest-basic-auth --kafka none --registry none --api-files "$folder/files"
url=$(sed -n 's/^REST //p' "$folder/worker.log")

"$venv/bin/python" "$here/connect_rest.py" "$url" "$folder/files" || failed=1
[ -z "$jars" ] || timeout 180 java -Xmx256m -cp "$jars/*" "$here/ConnectRest.java" "$url" "$folder/files" || failed=1
[ $failed = 0 ] || tail -n 40 "$folder/worker.log"
exit $failed
