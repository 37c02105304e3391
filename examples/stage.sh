# Sourced by every story: puts it on a stage of private servers and gives it the words to tell itself.
#
# A story says what it needs in STAGE, sources this file, and runs from its top again inside towpath-lab, which has then set
# PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, HOOKS_URL, HOOKS_LOG, S3_URL and WORK as asked for. With --ci the story checks
# itself and ends; without, it goes on until Ctrl-C.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[1]}")"
PROGRAMS=${TOWPATH_PROGRAMS:-$(cd ../.. && pwd)/target/release}
[ -x "$PROGRAMS/towpath" ] || { echo "build first: make build" >&2; exit 3; }

if [ -z "${TOWPATH_LAB:-}" ]; then
  # shellcheck disable=SC2086 # STAGE is a list of options
  exec "$PROGRAMS/towpath-lab" $STAGE -- "./$(basename "${BASH_SOURCE[1]}")" "$@"
fi

PATH=$PROGRAMS:$PATH
CI_MODE=false
[ "${1:-}" = --ci ] && CI_MODE=true
DATA=$WORK/data
export LAKE=$WORK/lake
mkdir -p "$LAKE"

# Starts the worker on ./pipelines, or on the folder given.
start_worker() {
  FOLDER=${1:-pipelines}
  if $CI_MODE; then
    towpath run "$FOLDER" --data-dir "$DATA" --rest 127.0.0.1:0 --kafka 127.0.0.1:0 --registry 127.0.0.1:0 >>"$WORK/worker.log" 2>&1 &
  else
    towpath run "$FOLDER" --data-dir "$DATA" --rest 127.0.0.1:0 --kafka 127.0.0.1:0 --registry 127.0.0.1:0 &
  fi
  WORKER=$!
  # A terminal sends Ctrl-C to the worker, too; a second signal would end it before all is drained.
  trap 'STOPPING=true' INT
  trap 'STOPPING=true; kill -TERM $WORKER 2>/dev/null || true' TERM EXIT
}

# Ends the worker in good order.
stop_worker() {
  kill -TERM "$WORKER"
  wait "$WORKER"
  trap - EXIT
}

# Stays until Ctrl-C. A worker that was killed is started again.
stay() {
  STOPPING=false
  while ! $STOPPING; do
    wait "$WORKER" || true
    if ! $STOPPING; then
      echo "The worker is gone; here it is again."
      start_worker "$FOLDER"
    fi
  done
  wait "$WORKER" 2>/dev/null || true
  trap - EXIT
}

# Waits until a command succeeds, half a minute at most.
await() {
  local what=$1 until=$((SECONDS + 30))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $until ] || ! kill -0 "$WORKER" 2>/dev/null; then
      echo "waited in vain for $what: $*" >&2
      [ ! -f "$WORK/worker.log" ] || tail -40 "$WORK/worker.log" >&2
      exit 1
    fi
    sleep 0.1
  done
  echo "  seen: $what"
}

# The records of a topic, one line of JSON each.
records() { towpath tail "$1" --data-dir "$DATA" --json --exit --from earliest; }

# Succeeds if the command prints at least that many lines.
at_least() {
  local lines=$1
  shift
  [ "$("$@" | wc -l)" -ge "$lines" ]
}

# Succeeds if the command prints the text.
contains() {
  local text=$1
  shift
  [[ "$("$@")" == *"$text"* ]]
}
