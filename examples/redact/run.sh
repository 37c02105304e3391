#!/usr/bin/env bash
# A WASM component hides what must not be kept, before anything is kept.
STAGE="--postgres --load shop.sql"
source "$(dirname "$0")/../stage.sh" || exit

lake() { find "$LAKE" -name '*.jsonl' -exec cat {} +; }

start_worker
if $CI_MODE; then
  await "the customers in the log" at_least 3 records shop.public.customers
  await "the customers in the lake" at_least 3 lake
  stop_worker
  if grep -rqE 'Ada|grace@|NL02ABNA' "$DATA" "$LAKE"; then
    echo "something was kept that should have been hidden" >&2
    exit 1
  fi
  echo "  seen: nothing of what is hidden in the log or in the lake"
else
  cat <<TEXT

    the log        $PROGRAMS/towpath tail shop.public.customers --data-dir $DATA
    the objects    find $LAKE -name '*.jsonl'
    the search     grep -rE 'Ada|grace@|NL02ABNA' $DATA $LAKE

  Ctrl-C ends everything.

TEXT
  stay
fi
