# For scripts that need a worker of their own: they source this, make $folder/pipelines, and call start_worker with further arguments.
# The worker and what it has written end with the script. After start_worker, $folder/worker.log begins with the addresses.
# shellcheck shell=bash
folder=$(mktemp -d)
pid=
stop_worker() {
  [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
  [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
  rm -rf "$folder"
}
trap stop_worker EXIT
mkdir "$folder/pipelines"

start_worker() { # program, arguments
  "$1" run "$folder/pipelines" --data-dir "$folder/data" --rest 127.0.0.1:0 "${@:2}" >"$folder/worker.log" 2>&1 &
  pid=$!
  for _ in $(seq 300); do
    [ ! -f "$folder/data/addresses.json" ] || return 0
    kill -0 "$pid" || { cat "$folder/worker.log"; exit 3; }
    sleep 0.1
  done
}
