#!/usr/bin/env bash
# Installs what building and testing need and is missing, or says in one line what is.
set -euo pipefail

missing() { echo "missing: $1" >&2; exit 3; }

command -v cargo >/dev/null || missing "Rust 1.95 or newer (https://rustup.rs)"
command -v cc >/dev/null || missing "a C compiler (apt-get install gcc)"

# The library itself, not its folder: an interrupted installation leaves an empty one.
has_wasm_target() { compgen -G "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip2/lib/libcore-*.rlib" >/dev/null; }
if ! has_wasm_target; then
  command -v rustup >/dev/null || missing "the Rust target wasm32-wasip2"
  # What rustup believes to be installed it does not install again.
  rustup target remove wasm32-wasip2 2>/dev/null || true
  rustup target add wasm32-wasip2 || missing "the Rust target wasm32-wasip2 (rustup target add wasm32-wasip2)"
fi

has_postgres() {
  [ -n "${TOWPATH_PG_BIN:-}" ] || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null
}
if ! has_postgres; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    missing "a Postgres server, 13 or newer (apt-get install postgresql, or set TOWPATH_PG_BIN)"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # Debian starts a cluster of its own on installing; nobody here wants it.
  apt-get install -y -qq --no-install-recommends postgresql-common
  echo 'create_main_cluster = false' >>/etc/postgresql-common/createcluster.conf
  apt-get install -y -qq --no-install-recommends postgresql
  has_postgres || missing "a Postgres server: apt-get installed none"
fi
