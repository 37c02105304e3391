#!/usr/bin/env bash
# Fetches Apache Kafka, Kafka Connect, Debezium and Apicurio's rules from Maven Central into one folder outside the tree, once, or says
# in one line what is missing. Where: TOWPATH_PEERS, or towpath-peers in the user's cache.
set -euo pipefail

missing() { echo "missing: $1" >&2; exit 3; }

here=$(cd "$(dirname "$0")" && pwd)
peers=${TOWPATH_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/towpath-peers}
# A changed list of jars is another installation.
made=$(cat "$here"/*.xml "$0" | sha256sum | cut -d' ' -f1)
[ "$(cat "$peers/.made" 2>/dev/null)" != "$made" ] || exit 0

java -version >/dev/null 2>&1 || missing "Java 17 or newer (apt-get install openjdk-17-jre-headless)"
command -v mvn >/dev/null || missing "Maven (apt-get install maven)"

rm -rf "$peers/.new"
mkdir -p "$peers/.new/plugins"
copy() {
  mvn -q -B -f "$here/$1.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$2" || missing "$1: Maven could not fetch it"
}
copy kafka "$peers/.new/kafka"
copy debezium "$peers/.new/plugins/debezium"
copy registry "$peers/.new/registry"
rm -rf "$peers/kafka" "$peers/plugins" "$peers/registry"
mv "$peers/.new/kafka" "$peers/.new/plugins" "$peers/.new/registry" "$peers/"
rmdir "$peers/.new"
echo "$made" >"$peers/.made"
echo "Kafka, Connect, Debezium and Apicurio are in $peers ($(du -sh "$peers" | cut -f1))"
