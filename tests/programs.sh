#!/bin/sh
# Make sure that the programs which the tests drive are there: Debian's prometheus and promtool, a C
# compiler, awk, the AWS CLI. Installs them as root or with sudo; otherwise says what to install. With
# CI=true missing is a failure.
set -eu
missing=""
packages=""
need() { # program, packages
    command -v "$1" >/dev/null 2>&1 && return
    missing="$missing $1"
    packages="$packages $2"
}
need prometheus prometheus
need promtool prometheus
need cc "gcc libc6-dev"
need awk mawk
need aws awscli
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null 2>&1; then
    as_root=""
    [ "$(id -u)" -eq 0 ] || as_root="sudo -n"
    if [ -z "$as_root" ] || sudo -n true 2>/dev/null; then
        echo "Installing Debian's packages$packages (missing:$missing)"
        export DEBIAN_FRONTEND=noninteractive
        $as_root apt-get update -qq || true
        # Unquoted: several words.
        $as_root apt-get install -y -qq --no-install-recommends $packages >/dev/null && exit 0
    fi
fi
echo "Missing:$missing. Install them (Debian: apt-get install --no-install-recommends$packages)." >&2
[ "${CI:-}" = "true" ] && exit 1
echo "The tests that need them will be skipped." >&2
