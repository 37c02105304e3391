#!/usr/bin/env bash
# Installs what the clients of run.sh come with and is missing, or says in one line what is: prepare.sh clients|everything
set -euo pipefail

missing() { echo "missing: $1" >&2; exit 3; }

packages=()
has() { command -v "$1" >/dev/null || packages+=("$2"); }
has kcat kcat
[ "$1" = clients ] || has npm npm
has mvn maven
has c++ g++
has make make
# A class is run from its source, which takes a compiler.
has javac openjdk-17-jdk-headless
python3 -c 'import ensurepip, venv' 2>/dev/null || packages+=(python3-venv)
if [ ${#packages[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    missing "clients of Kafka, or what builds them (apt-get install ${packages[*]})"
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}"
fi
[ "$1" != clients ] || exit 0
# Older ones do not fetch the one that a module asks for.
version=$({ go env GOVERSION || true; } 2>/dev/null | sed -n 's/^go1\.\([0-9]*\).*/\1/p')
[ "${version:-0}" -ge 21 ] || missing "Go 1.21 or newer (https://go.dev/dl)"
