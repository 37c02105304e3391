#!/usr/bin/env bash
# kcat, in its everyday uses, against a running broker whose address is the first argument.
set -euo pipefail
broker=$1
topic="kcat-$RANDOM$RANDOM"
failed=0

check() { # name, expected, actual
  if [ "$2" == "$3" ]; then echo "  ok      kcat: $1"; else echo "  FAILED  kcat: $1"; diff <(echo "$2") <(echo "$3") || true; failed=1; fi
}

printf 'a:1\nb:2\nc:3\n' | kcat -q -b "$broker" -P -t "$topic" -K: -p 0 -H source=kcat
check "keys, values, headers and offsets come back" $'0 a 1 source=kcat\n1 b 2 source=kcat\n2 c 3 source=kcat' \
  "$(kcat -q -b "$broker" -C -t "$topic" -p 0 -o beginning -e -f '%o %k %s %h\n')"
check "the last records alone" $'3' "$(kcat -q -b "$broker" -C -t "$topic" -p 0 -o -1 -e)"
check "a group reads" $'1\n2\n3' "$(timeout 180 kcat -q -b "$broker" -G "g-$topic" -X auto.offset.reset=earliest -c 3 "$topic" 2>/dev/null)"
check "the topic is listed" "1" "$(kcat -b "$broker" -L -t "$topic" | grep -c "with 1 partitions")"
check "an offset is found by time" "$topic [0] offset 3" "$(kcat -q -b "$broker" -Q -t "$topic:0:-1")"
exit $failed
