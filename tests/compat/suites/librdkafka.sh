#!/usr/bin/env bash
# The tests that librdkafka, the C client, has for itself, against a broker: librdkafka.sh BROKER JARS TOOLS. They come with a package of npm
# that brings librdkafka's sources along. Tests that ask no broker, or one that librdkafka imitates, are left out; some call Kafka's own
# command-line tools.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
broker=$1
jars=$2
tools=$3
PACKAGE=@confluentinc/kafka-javascript@1.10.1

sources=$tools/librdkafka
if [ "$(cat "$sources/.made" 2>/dev/null || true)" != "$PACKAGE" ]; then
  echo "building the tests of librdkafka, from $PACKAGE"
  rm -rf "$sources"
  mkdir -p "$sources"
  (cd "$sources" && tar xzf "$(npm pack --silent "$PACKAGE")" --strip-components 3 package/deps/librdkafka)
  (
    cd "$sources"
    ./configure --disable-gssapi --disable-curl
    make -C src -j "$(nproc)"
    make -C src-cpp -j "$(nproc)"
    make -C tests -j "$(nproc)" build
  ) >"$sources/build.log" 2>&1 || { tail "$sources/build.log"; exit 1; }
  mkdir "$sources/bin"
  printf '#!/bin/sh\nexec java -Xmx128m -cp "$JARS/*" org.apache.kafka.tools.TopicCommand "$@"\n' >"$sources/bin/kafka-topics.sh"
  chmod +x "$sources/bin/kafka-topics.sh"
  echo "$PACKAGE" >"$sources/.made"
fi

said=$tools/librdkafka.out
rm -rf "$said"
mkdir -p "$said"
cd "$sources/tests"
# Its waits are meant for machines that do nothing else.
printf '%s\n' "bootstrap.servers=$broker" test.timeout.multiplier=2 >test.conf
export JARS=$jars KAFKA_PATH=$sources BROKERS=$broker LD_LIBRARY_PATH=../src:../src-cpp
# Each file of tests in a process of its own: one that hangs ends its process. What counts is the report: with most of its tests left out
# the runner crashes on its way out.
one() { # number, folder
  TESTS=$1 TEST_REPORT=$2/$1.json timeout --kill-after 10 900 ./test-runner -L -Q -V 4.0.0 >"$2/$1.out" 2>&1 || true
}
export -f one
find . -maxdepth 1 -name '0*.c*' | sed 's,^\./\([0-9]*\)-.*,\1,' | sort -u |
  xargs -P "${PARALLEL:-3}" -I {} bash -c 'one {} "$1" 2>/dev/null' one "$said" 2>/dev/null
rm -f ./*.offset ./stats_*.json
python3 "$here/librdkafka.py" "$said" | python3 "$here/score.py" librdkafka "$here/librdkafka.excused" || { echo "  what it said is in $said"; exit 1; }
