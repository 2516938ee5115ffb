# Hawser's tasks. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

MODULES := proto dataplane services tests tools
PROGRAMS := hawser-proxy hawser hawser-configapi hawser-distributor
GO ?= go
ENVOY_VERSION := 1.40.0
export ENVOY_VERSION
export HAWSER_ENVOY ?= $(CURDIR)/.cache/envoy/bin/envoy

.PHONY: help
help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / {printf "  \033[1m%-18s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build every program into bin/
	@mkdir -p bin
	$(GO) build -o bin/ ./dataplane/cmd/... ./services/cmd/...

.PHONY: run
run: build ## Build and start the whole mesh in this terminal (Ctrl-C stops it)
	bin/hawser up

.PHONY: test
test: setup lint generate-check test-unit test-e2e ## Everything CI checks but the conformance kit (sets up what it needs)

.PHONY: setup
setup: ## Install what the tests need and say what was done
	tools/setup.sh

.PHONY: lint
lint: vet layers ## vet and the import rules

.PHONY: vet
vet: ## go vet over the five modules
	@for m in $(MODULES); do echo "vet $$m"; (cd $$m && $(GO) vet ./...); done

.PHONY: golangci
golangci: ## golangci-lint over the five modules
	@mkdir -p .cache && (cd tools && $(GO) build -o ../.cache/golangci-lint github.com/golangci/golangci-lint/v2/cmd/golangci-lint)
	@for m in $(MODULES); do echo "golangci-lint $$m"; (cd $$m && ../.cache/golangci-lint run --config ../.golangci.yml ./...); done

.PHONY: layers
layers: ## The import rules, each with its reason (tools/layercheck)
	cd tools && $(GO) test ./layercheck

.PHONY: generate
generate: ## Write generated code anew
	tools/generate.sh

.PHONY: generate-check
generate-check: generate ## Fail when generated code is not up to date
	@git diff --exit-code --stat -- proto || { echo "generated code is out of date: run 'make generate' and commit"; exit 1; }

.PHONY: test-unit
test-unit: ## Unit tests of all modules with the race detector
	@for m in proto dataplane services tools; do echo "test $$m"; (cd $$m && $(GO) test -race ./...); done

.PHONY: test-gowork-off
test-gowork-off: ## Every module builds by itself
	@for m in $(MODULES); do echo "build $$m with GOWORK=off"; (cd $$m && GOWORK=off $(GO) build ./...); done

.PHONY: test-e2e
test-e2e: build ## End-to-end tests: real processes, Postgres, NATS, Envoy
	cd tests && $(GO) test ./...

.PHONY: conformance
conformance: build ## Run the conformance kit when it is at hand and compare with the list of known failures
	tools/conformance.sh

.PHONY: clean
clean: ## Remove what was built and what the mesh stored here
	rm -rf bin .hawser
