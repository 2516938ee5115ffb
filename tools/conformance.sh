#!/usr/bin/env bash
# Runs the black-box cases recorded from Envoy against bin/hawser-proxy and
# compares the outcome with tests/conformance/known-failures.txt. The kit is a
# program of its own, beside the repository; without it there is nothing to do.
# ONLY="routing/*" limits the cases (the list is then not compared).
set -euo pipefail
cd "$(dirname "$0")/.."
kit=${HAWSER_CONFORMANCE:-../shared/conformance}
if [ ! -d "$kit" ]; then
	echo "conformance: no kit at $kit (HAWSER_CONFORMANCE): not run"
	exit 0
fi
mkdir -p bin
go build -C "$kit" -o "$PWD/bin/conformance" .
results=.cache/conformance.json
mkdir -p .cache
args=(-proxy "$PWD/bin/hawser-proxy" -cases "$kit/cases" -golden "$kit/golden" -j "${JOBS:-3}" -retries 1 -json "$results")
if [ -n "${ONLY:-}" ]; then
	exec bin/conformance run "${args[@]}" -only "$ONLY"
fi
rm -f "$results"
bin/conformance run "${args[@]}" >.cache/conformance.log || true
tail -n 1 .cache/conformance.log
(cd tools && go run ./ratchet -results "../$results" -known ../tests/conformance/known-failures.txt ${WRITE:+-write})
