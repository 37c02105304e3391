#!/usr/bin/env bash
# The tests that franz-go, the Go client, has for itself, against a broker: franz-go.sh BROKER SCRAM_BROKER USER:PASSWORD TOOLS. They come with
# the module, from Go's proxy. Those that ask no broker are left out.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
broker=$1
scram_broker=$2
login=$3
tools=$4
MODULE=github.com/twmb/franz-go@v1.22.3
# Records of each chain of transforming groups, half a million unless told otherwise.
RECORDS=${RECORDS:-50000}

tests=$tools/franz-go.test
sources=$tools/franz-go
if [ "$(cat "$sources/.made" 2>/dev/null || true)" != "$MODULE" ]; then
  echo "building the tests of $MODULE"
  rm -rf "$sources"
  mkdir -p "$sources"
  module=$(cd "$sources" && GOFLAGS=-mod=mod go mod download -json "$MODULE" | sed -n 's/.*"Dir": "\(.*\)",/\1/p')
  # The module's own place is for reading only.
  cp -r --no-preserve=mode "$module/." "$sources"
  (cd "$sources/pkg/kgo" && go test -c -o "$tests" .)
  echo "$MODULE" >"$sources/.made"
fi

asks_broker='newTestClient|tmpTopic|tmpGroup|testClientOpts|adm\(|scramSeeds|oauthSeeds|allowShare'
names=$(cd "$sources/pkg/kgo" && awk -v asks="$asks_broker" '
  /^func Test/ { name = $2; sub(/\(.*/, "", name) }
  /^}/ { name = "" }
  name != "" && $0 ~ asks { print name }' ./*_test.go | sort -u)
said=$tools/franz-go.out
cd "$sources/pkg/kgo"
KGO_SEEDS=$broker KGO_TEST_RF=1 KGO_TEST_UNSAFE=1 KGO_TEST_RECORDS=$RECORDS KGO_LOG_LEVEL=none KGO_TEST_SCRAM_SEEDS=$scram_broker \
  KGO_TEST_SCRAM=$login "$tests" -test.v -test.timeout 30m -test.run "^($(tr '\n' '|' <<<"$names" | sed 's/|$//'))\$" >"$said" 2>&1 || true
for name in $names; do
  outcome=$(sed -n "s/^--- \(PASS\|FAIL\|SKIP\): $name .*/\L\1/p" "$said" | head -1)
  echo "$name ${outcome:-fail}"
done | python3 "$here/score.py" franz-go "$here/franz-go.excused" || { echo "  what it said is in $said"; exit 1; }
