#!/usr/bin/env bash
# Lines of a file to a topic, and from there to another file.
STAGE=""
source "$(dirname "$0")/../stage.sh" || exit

WORK=$(cd "$WORK" && pwd -P)
export WORK
printf 'foo\nbar\n' >"$WORK/test.txt"
start_worker
if $CI_MODE; then
  await "the first lines in the other file" at_least 2 cat "$WORK/test.sink.txt"
  await "the lines as records" contains '"value":"bar"' records connect-test
  kill -KILL "$WORKER"
  wait "$WORKER" || true
  printf 'after the crash\n' >>"$WORK/test.txt"
  start_worker
  await "the next line after a crash" contains "after the crash" cat "$WORK/test.sink.txt"
  await "each line once in the log" test "$(records connect-test | wc -l)" = 3
  seq -f "%020g and a line of some length, so that the file is larger than what is read of it at once" 150000 >>"$WORK/test.txt"
  await "a large file to its end" contains "00000000000000150000" tail -1 "$WORK/test.sink.txt"
  await "each of its lines once in the log" test "$(records connect-test | wc -l)" = 150003
  stop_worker
else
  cat <<TEXT

    another line   echo "another line" >> $WORK/test.txt
    what arrives   tail -f $WORK/test.sink.txt
    the log        $PROGRAMS/towpath tail connect-test --data-dir $DATA

  Ctrl-C ends everything.

TEXT
  stay
fi
