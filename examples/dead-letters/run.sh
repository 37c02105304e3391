#!/usr/bin/env bash
# An endpoint that is down at first and then refuses some records: nothing is lost, nothing waits in vain.
STAGE="--postgres --load shop.sql --hooks --hooks-fail-first 3 --hooks-refuse gunpowder"
source "$(dirname "$0")/../stage.sh" || exit

start_worker
if $CI_MODE; then
  await "three orders at the endpoint, after retries" at_least 3 cat "$HOOKS_LOG"
  await "two refused ones in the dead letter queue" at_least 2 records orders-refused
  await "the reason in a header" contains 422 records orders-refused
  stop_worker
else
  cat <<TEXT

  The endpoint answers 503 three times, and 422 to whoever orders gunpowder.

    accepted       cat $HOOKS_LOG
    refused        $PROGRAMS/towpath tail orders-refused --data-dir $DATA
    the state      $PROGRAMS/towpath status --data-dir $DATA

  Ctrl-C ends everything.

TEXT
  stay
fi
