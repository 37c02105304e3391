#!/usr/bin/env bash
# Rows committed in Postgres land in the log, in objects, and at an HTTP endpoint.
STAGE="--postgres --load shop.sql --repeat trade.sql --hooks"
source "$(dirname "$0")/../stage.sh" || exit

start_worker
if $CI_MODE; then
  await "the snapshot in the log" at_least 500 records shop.public.orders
  await "changes after the snapshot" contains '\"op\":\"u\"' records shop.public.orders
  await "objects in the lake" at_least 1 find "$LAKE/shop/changes/shop.public.orders" -name '*.jsonl'
  await "requests at the endpoint" at_least 500 cat "$HOOKS_LOG"
  stop_worker
else
  cat <<TEXT

  The shop is in business at postgres://$PGUSER:$PGPASSWORD@$PGHOST:$PGPORT/$PGDATABASE. Look, from another terminal:

    the log        $PROGRAMS/towpath tail shop.public.orders --data-dir $DATA
    the objects    find $LAKE -name '*.jsonl'
    the endpoint   tail -f $HOOKS_LOG
    the state      $PROGRAMS/towpath status --data-dir $DATA

  Kill the worker if you like, with kill -9 $WORKER: it is started again and goes on where it was. Ctrl-C ends everything.

TEXT
  stay
fi
