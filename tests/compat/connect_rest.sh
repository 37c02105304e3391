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

# shellcheck source=worker.sh
. "$here/worker.sh"

# What must be escaped somewhere; a colon none of the clients can take.
export OPERATOR='olga:wonder land,=1/@' READER='rita:only looks'
echo "${OPERATOR#*:}" | "$towpath" users add "${OPERATOR%%:*}" --rest write --data-dir "$folder/data" >/dev/null
echo "${READER#*:}" | "$towpath" users add "${READER%%:*}" --rest read --data-dir "$folder/data" >/dev/null
mkdir "$folder/files"
start_worker "$towpath" --rest-basic-auth --kafka none --registry none --api-files "$folder/files"
url=$(sed -n 's/^REST //p' "$folder/worker.log")

"$tools/venv/bin/python" "$here/connect_rest.py" "$url" "$folder/files" || failed=1
timeout 180 java -Xmx256m -cp "$jars/*" "$here/ConnectRest.java" "$url" "$folder/files" || failed=1
[ $failed = 0 ] || tail -n 40 "$folder/worker.log"
exit $failed
