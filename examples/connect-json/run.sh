#!/usr/bin/env bash
# The files that register connectors with Kafka Connect, dropped into a folder as they are.
STAGE="--postgres --load shop.sql --s3"
source "$(dirname "$0")/../stage.sh" || exit

start_worker
if $CI_MODE; then
  await "Debezium's events in the log" at_least 5 records dbserver1.public.orders
  await "objects on S3" at_least 2 find "$S3_ROOT/$S3_BUCKET/topics/dbserver1.public.orders" -type f
  stop_worker
else
  cat <<TEXT

    the log        $PROGRAMS/towpath tail dbserver1.public.orders --data-dir $DATA
    the objects    find $S3_ROOT/$S3_BUCKET -type f
    the state      $PROGRAMS/towpath status --data-dir $DATA

  Ctrl-C ends everything.

TEXT
  stay
fi
