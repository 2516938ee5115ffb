#!/bin/sh
# Generates everything that is committed under proto/gen and proto/openapi,
# without network beyond the Go module cache. Usage: tools/generate.sh [check]
# "check" fails when what is committed differs from what would be generated.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
bin=${HAWSER_TOOLS_BIN:-$root/.cache/tools}
mkdir -p "$bin" "$root/proto/.deps"
# Outside of the workspace: buf's own dependencies must not move the
# versions that the programs are built with, nor the other way round.
export GOWORK=off
(cd "$root/tools" &&
	go build -o "$bin/" \
		github.com/bufbuild/buf/cmd/buf \
		google.golang.org/protobuf/cmd/protoc-gen-go \
		google.golang.org/grpc/cmd/protoc-gen-go-grpc \
		github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway \
		github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2 &&
	go run ./protodeps "$root/proto/.deps")
cd "$root"
PATH="$bin:$PATH"
export PATH
buf lint
buf generate
gofmt -l proto/gen
if [ "${1:-}" = check ]; then
	changes=$(git status --porcelain -- proto/gen proto/openapi)
	if [ -n "$changes" ]; then
		echo "generated files differ from the committed ones; run tools/generate.sh:" >&2
		echo "$changes" >&2
		exit 1
	fi
fi
