#!/usr/bin/env bash
# Clients of Kafka Connect's REST interface against a worker with an empty folder, which asks them who they are: connect_rest.sh TARGET TOOLS.
# What the Java one consists of is installed under TOOLS; those of Python are in its venv.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
towpath=$1/release/towpath
tools=$2
jars=$tools/connect-client
failed=0

if ! cmp -s "$here/connect_client.xml" "$jars/pom.xml"; then
  rm -rf "$jars"
  mvn -q -B -f "$here/connect_client.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars"
  cp "$here/connect_client.xml" "$jars/pom.xml"
fi

work=$(mktemp -d)
pid=
stop() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT

# What must be escaped somewhere; a colon none of the clients can take.
export OPERATOR='olga:wonder land,=1/@' READER='rita:only looks'
echo "${OPERATOR#*:}" | "$towpath" users add "${OPERATOR%%:*}" --rest write --data-dir "$work/data" >/dev/null
echo "${READER#*:}" | "$towpath" users add "${READER%%:*}" --rest read --data-dir "$work/data" >/dev/null
mkdir "$work/pipelines" "$work/files"
"$towpath" run "$work/pipelines" --data-dir "$work/data" --rest 127.0.0.1:0 --rest-basic-auth --kafka none --registry none \
  --api-files "$work/files" >"$work/worker.log" 2>&1 &
pid=$!
for _ in $(seq 300); do
  [ ! -f "$work/data/addresses.json" ] || break
  kill -0 "$pid" || { cat "$work/worker.log"; exit 3; }
  sleep 0.1
done
url=$(sed -n 's/^REST //p' "$work/worker.log")

"$tools/venv/bin/python" "$here/connect_rest.py" "$url" "$work/files" || failed=1
timeout 180 java -Xmx256m -cp "$jars/*" "$here/ConnectRest.java" "$url" "$work/files" || failed=1
[ $failed = 0 ] || tail -n 40 "$work/worker.log"
exit $failed
