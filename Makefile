# Two commands do everything on a fresh machine: `make run` and `make test`. They need Go and make.

SHELL := /bin/bash
export CGO_ENABLED := 0
GO ?= go
BIN := bin/penstock
MODEL ?=
ARGS ?=

.PHONY: vulncheck memory release release-check site first-answer terminal-pictures agents embeddings bfcl clients parity parity-archs run build test test-arm64 test-avxvnni fidelity measure check bench bench-layers bench-crosscheck bench-mixtures bench-peers schemathesis vet-systems figures shapes fuzz grammar-generate grammar-peers grammar-serve grammar-set vet staticcheck fmt generate generated race clean schema-suite

run: build ## fetch the default model where it is missing, verify it, and serve it
	@$(BIN) serve $(MODEL) $(ARGS)

# Without tables for debuggers, which are a quarter of the file; stack traces and profiles do not need them. LDFLAGS= keeps them.
# -trimpath is for releases (tools/release): vet and the tests could not use what it has compiled.
LDFLAGS ?= -s -w
build:
	@mkdir -p bin
	$(GO) build -ldflags="$(LDFLAGS)" -o $(BIN) ./cmd/penstock

# One minute: format, vet, staticcheck, the generated files, the project's own rules, short unit tests.
check: fmt vet-systems staticcheck generated vulncheck
	$(GO) test -short ./...

fmt:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt'd: $$out"; exit 1; fi

vet:
	$(GO) vet ./...
	cd internal/kernel/_asm && $(GO) vet ./...

# The tests, too, must compile for every system that the server runs on. Each system's first time takes minutes.
vet-systems: vet
	GOOS=windows GOARCH=amd64 $(GO) vet ./...
	GOOS=linux GOARCH=arm64 $(GO) vet ./...
	GOOS=darwin GOARCH=arm64 $(GO) vet ./...

staticcheck: bin/staticcheck
	bin/staticcheck ./...

# VULNDB=file:///FOLDER names a copy of the vulnerability database for machines without a network. Nothing else but a
# database that cannot be reached is let pass, and it is said.
VULNDB ?=
VULNPKG ?= ./...
vulncheck: bin/govulncheck ## known holes in what the program calls, of the standard library and of its dependencies
	@out=$$(bin/govulncheck $(VULNDB:%=-db %) $(VULNPKG) 2>&1); status=$$?; \
	if [ $$status -ne 0 ] && [ -z "$(VULNDB)" ] && grep -q 'fetching vulnerabilities' <<<"$$out"; then \
	  echo "vulncheck: SKIPPED, the vulnerability database cannot be reached (VULNDB=file:///FOLDER names a copy of vuln.go.dev)"; \
	else echo "$$out"; exit $$status; fi

.PHONY: vulncheck-test clock
vulncheck-test: bin/govulncheck ## that vulncheck finds what it should in a copy of the database, with one that is made up
	tools/vulncheck_test.sh

bin/govulncheck: tools/go.mod tools/go.sum
	@mkdir -p bin
	cd tools && $(GO) build -o ../bin/govulncheck golang.org/x/vuln/cmd/govulncheck

bin/staticcheck: tools/go.mod tools/go.sum
	@mkdir -p bin
	cd tools && $(GO) build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck

# The official clients are a quarter of a million lines, which compile in half the time if nothing is optimised.
CLIENTS_QUICKLY := -gcflags='github.com/openai/...=-N -l' -gcflags='github.com/anthropics/...=-N -l'

# Everything that must hold. Fetches the real models where they are missing; test/clients fetches the default one, whose answers the official Go clients judge.
# "go test" would vet each package once more, and once more for the race detector: "vet" has done so.
test: build fmt vet staticcheck generated
	$(BIN) pull smollm2
	$(BIN) pull gemma3:270m
	$(BIN) pull all-minilm
	$(GO) test -vet=off ./...
	cd test/clients && $(GO) test $(CLIENTS_QUICKLY) ./...
	$(MAKE) race

# The race detector needs a C compiler, on the machine that runs the tests only. Left out are packages without goroutines of their own, and
# those that are mostly assembly, which it does not see: internal/nn and internal/engine share the same workers. Of the tests, those that
# run long in one goroutine are left out. Tables for debuggers are a seventh of the time that compiling takes.
RACE_WITHOUT := kernel|model|quant|eval|tinymodel|lint|chat/jinja|chat/answer|sample|grammar/regex|grammar/schema|grammar/gbnf|cpu|kvcache|metrics|sched|bench/(draw|figure|kernels|report|stats|steps)|server/(anthropic|llamaserver|openai)
RACE_PACKAGES = $(shell $(GO) list ./... | grep -vE '/internal/($(RACE_WITHOUT))$$')
RACE_SKIP := ^(TestEncodeIsLinear|TestSplitIsLinear|TestRoles|TestMany.*|TestHugePromptsCostNothing|TestStreamedTokenAllocs|TestStepAllocs|TestSameAnswerAcrossChunks|TestGreetingWorks|TestErrorsDoNotEcho|TestCodeIsWhole|TestClientsWriteNoControlToken|TestPlanAgainstReality)$$|^TestScripts$$/^(bench|cli|completion|config|environment|inspect|key|models|perplexity|quantize|recommend|run|show|template|tokenize)$$
race:
	CGO_ENABLED=1 $(GO) test -race -gcflags=all=-dwarf=false -vet=off -short -skip '$(RACE_SKIP)' $(RACE_PACKAGES)

# Under emulation a test takes some 30 times as long: those of every character and of long texts are left to native machines.
ARM64_PACKAGES := quant gguf kernel nn sched sample tokenizer
ARM64_SKIP := WithoutAccent|Linear|Partition
ARM64_TIERS := Flagship|Tiers|Mul|Quantize|Elementwise|Norms|Silu|Gelu|Swiglu|Rope|Exp|Dot|Attend|Store
QEMU ?= qemu-aarch64-static

test-arm64: ## the packages that compute, as arm64 processors with SMMLA and with SDOT only run them (about 5 minutes)
	@command -v $(QEMU) >/dev/null || { echo "$(QEMU) is missing: apt-get install qemu-user-static, or QEMU=qemu-aarch64"; exit 1; }
	@for p in $(ARM64_PACKAGES); do \
	  GOARCH=arm64 $(GO) test -short -exec "$(QEMU) -cpu max" -skip '$(ARM64_SKIP)' ./internal/$$p || exit 1; done
	PENSTOCK_FLAGSHIP=i8mm GOARCH=arm64 $(GO) test -short -exec "$(QEMU) -cpu max" -run '$(ARM64_TIERS)' ./internal/kernel
	PENSTOCK_FLAGSHIP=dotprod GOARCH=arm64 $(GO) test -short -exec "$(QEMU) -cpu neoverse-n1" -run '$(ARM64_TIERS)' ./internal/kernel
	@for system in linux/arm64 darwin/arm64 darwin/amd64 windows/amd64; do \
	  GOOS=$${system%/*} GOARCH=$${system#*/} $(GO) build -o /dev/null ./cmd/penstock && echo "$$system builds" || exit 1; done

test-avxvnni: ## products with AVX-VNNI on an x86-64 processor without it, whose instruction a tracer does (2 minutes; Linux)
	cd tools && $(GO) build -o ../bin/avxvnni ./avxvnni
	PENSTOCK_EMULATED=avxvnni PENSTOCK_FLAGSHIP=avxvnni $(GO) test -exec "$(CURDIR)/bin/avxvnni" -count=1 -run '^(TestMul.*|TestFlagship|TestTiers)$$/^avxvnni$$' ./internal/kernel

embeddings: build ## cosines to sentence-transformers, and texts per second beside it, ONNX Runtime and llama-server (10 minutes)
	bench/peers.sh $(PEERS) embed
	$(PEERS)/embed/bin/python bench/embeddings.py $(BIN) $(PEERS) $(ARGS)

parity: ## chat templates against Python Jinja2, on those that llama.cpp ships (needs python3 and a package index)
	internal/chat/jinja/testdata/parity.sh

# PENSTOCK_CPU=avx2 or generic takes another tier, ONLY='^tiny-qwen' some of the files; DOCS=docs/fidelity.md writes the table there.
parity-archs: ## logits of every decoder and states of every encoder against llama.cpp's, on tiny models (needs cmake, ninja, a C++ compiler, a package index)
	bench/peers.sh $(PEERS) archs
	PARITY_DIR=$(PEERS)/archs PARITY_ONLY=$(ONLY) PARITY_DOCS=$(if $(DOCS),$(abspath $(DOCS))) \
	  $(GO) test -tags parity -count=1 -v -run ParityWithLlamaCpp ./internal/model

# What Penstock is compared with, and the models for it, go to PEERS (5 GB with the shapes); bench/peers.sh says what it needs.
PEERS ?= $(HOME)/.cache/penstock-peers
SHAPES := qwen3-0.6b-q8_0 qwen3-0.6b-q4_0 qwen3-0.6b-q4_k_m
# Fewer than five rounds are no ground for a claim, and floors refuse them.
ROUNDS ?= 5

# vLLM is compared where it is installed (bench/peers.sh $(PEERS) vllm) or VLLM=1 has it installed.
VLLM ?=
bench-peers: build ## the table of peers: seven models, alternated rounds, floors; VLLM=1 with vLLM, too
	bench/peers.sh $(PEERS) llama openvino shapes clients $(if $(VLLM),vllm)
	$(MAKE) shapes
	$(BIN) bench peers smollm2 gemma3:270m qwen2.5-coder:0.5b qwen2.5-coder:1.5b $(SHAPES:%=$(PEERS)/models/%.gguf) \
	  --llama $(PEERS)/llama/bin --openvino $(PEERS)/openvino/bin/python \
	  $$(test -x $(PEERS)/vllm/bin/python && echo --vllm $(PEERS)/vllm/bin/python) --floors bench/floors.json --rounds $(ROUNDS) $(ARGS)

# Of each of these shapes there are as few layers as make 3 to 4 GB: a step's time is then that of fewer layers, for all programs.
MIXTURES := qwen3-30b-a3b-q4_k_m-8l gpt-oss-20b-mxfp4-6l lfm2-8b-a1b-q4_k_m-14l
bench-mixtures: build ## mixtures of experts beside llama.cpp, alternated rounds, floors (8 minutes a shape, 11 GB of disk)
	bench/peers.sh $(PEERS) llama shapes
	mkdir -p $(PEERS)/models
	for s in "qwen3-30b-a3b --layers 8" "gpt-oss-20b --layers 6" "lfm2-8b-a1b --layers 14"; do $(PEERS)/venv/bin/python bench/shapes.py \
	  --out $(PEERS)/models --vocabulary $(PEERS)/llama_cpp_python-*/vendor/llama.cpp/models/ggml-vocab-qwen2.gguf --shape $$s || exit 1; done
	$(BIN) bench peers $(MIXTURES:%=$(PEERS)/models/%.gguf) --works "http 8" --works "one stream" --works "prefill 512" \
	  --llama $(PEERS)/llama/bin --floors bench/floors.json --rounds $(ROUNDS) --share 0.5 $(ARGS)

clients: build ## the official clients of every protocol (Python, Go, Node, curl) and the snippets of docs/clients.md; ARGS=--update writes the table
	bench/peers.sh $(PEERS) sdk node
	test/clients/run.py $(BIN) $(PEERS) $(ARGS)

# axe-core is fetched for the tests alone. PICTURES=1 also makes the pictures of docs/images, with the default model.
AXE := axe-core@4.14.1
browser: ## the page at /ui/ in Chromium: every feature, hostile texts, axe-core (3 minutes; installs Debian's chromium where none is)
	@command -v $${CHROMIUM:-chromium} >/dev/null || { apt-get update -qq && apt-get install -y -qq chromium; }
	@mkdir -p bin/browser
	@test -e bin/browser/package/axe.min.js || { cd bin/browser && npm pack --silent $(AXE) >/dev/null && tar -xzf axe-core-*.tgz package/axe.min.js; }
	$(if $(PICTURES),$(MAKE) build)
	@# The module links the server, whose requirements change: -mod=mod follows them.
	cd test/browser && $(GO) vet -mod=mod ./... && $(if $(PICTURES),PICTURES=$(abspath docs/images) PENSTOCK=$(abspath $(BIN))) $(GO) test -mod=mod -count=1 -timeout 20m ./... $(ARGS)

agents: build ## sessions of two agents with a real model: what the prefix cache has of each turn, and the time to the first token (5 minutes)
	test/clients/agents.py $(BIN) $(ARGS)

schemathesis: build ## requests made from /openapi.json against a real server: no 5xx, nothing that the document does not say (about 5 minutes)
	bench/peers.sh $(PEERS) schemathesis
	bench/schemathesis.sh $(BIN) $(PEERS) $(ARGS)

fidelity: build ## every weight format and cache type against float32, beside llama.cpp where it is built (about 20 minutes)
	mkdir -p $(PEERS)
	bench/fidelity.sh $(BIN) $(PEERS)/fidelity $(PEERS)/llama/bin

.PHONY: quantize-table
quantize-table: build ## types and errors of quantised weights beside llama-quantize's, with or without IMATRIX (about 20 minutes)
	QUANTIZE_MODEL=$$($(BIN) pull all-mpnet-base-v2) QUANTIZE_IMATRIX=$(if $(filter made-up,$(IMATRIX)),made-up,$(abspath $(IMATRIX))) LLAMA_QUANTIZE=$(PEERS)/llama/bin/llama-quantize \
		$(GO) test -tags parity -count=1 -timeout 60m -v -run TestAgainstLlamaQuantize ./internal/quantize

memory: build ## the peak of a server's memory with two models under the worst load, against its plan, which it must not exceed (2 minutes)
	bench/memory.py $(BIN) $(ARGS)

measure: build ## load time, first request, idle CPU, one thread of two, a core taken by another process, long contexts (8 minutes)
	bench/measure.py $(BIN) $${MODEL:-$$($(BIN) pull smollm2 2>/dev/null | tail -n 1)}

# A run that was cut goes on where it was, as long as the programs and the model are the same: ARGS="--minutes 30" again and again.
bfcl: build ## tool calls scored on the function calling leaderboard, beside llama-server where it is built (hours; ARGS="--limit 50" is less)
	bench/peers.sh $(PEERS) bfcl
	$(PEERS)/bfcl/bin/python bench/bfcl.py --penstock $(BIN) --model $$($(BIN) pull qwen2.5-coder:1.5b 2>/dev/null | tail -n 1) \
	  --answers $(PEERS)/bfcl/answers.jsonl $(if $(wildcard $(LLAMA)),--llama $(LLAMA)) $(ARGS)

shapes: # random weights in a real model's shape: for speed only
	mkdir -p $(PEERS)/models
	$(PEERS)/venv/bin/python bench/shapes.py --out $(PEERS)/models --quantize $(PEERS)/llama/bin/llama-quantize \
	  --vocabulary $(PEERS)/llama_cpp_python-*/vendor/llama.cpp/models/ggml-vocab-qwen2.gguf

LLAMA := $(PEERS)/llama/bin/llama-server
bench-layers: build ## where the throughput goes, with every axis, beside llama-server where it is built (about 15 minutes)
	bench/peers.sh $(PEERS) clients
	$(BIN) bench layers --model smollm2 --python $(PEERS)/clients/bin/python --floors bench/floors.json \
	  $(if $(wildcard $(LLAMA)),--peer llama-server=$(LLAMA)) $(ARGS)

site: ## the documents as a static site in bin/site, without a warning or a dead link (needs python3 and a package index)
	bench/peers.sh $(PEERS) site
	docs/site/build.sh $(PEERS)/site/bin/python

first-answer: ## from an empty home to the first answer, by the README's commands alone: how long that takes
	bench/firstanswer.sh

terminal-pictures: build ## docs/images/terminal.svg and top.svg, from real runs in tmux (2 minutes; needs tmux, python3 and a package index)
	bench/peers.sh $(PEERS) site
	$(PEERS)/site/bin/python docs/site/terminal.py $(BIN) docs/images

soak: build ## a server under everything at once: protocols, models, clients that leave, bursts, reloads (10 minutes; ARGS="--minutes 2" is less)
	test/soak/soak.py $(BIN) $(ARGS)

hold: build ## 1,000 connections, 64 of which stream, and /livez all the while; then few and many clients in turns (15 minutes)
	test/soak/soak.py $(BIN) --hold $(ARGS)

scale: build ## two and four servers behind vllm-router and smg: prefix hits, throughput, a server killed under load (5 minutes)
	bench/peers.sh $(PEERS) routers
	test/scale/run.py $(BIN) $(PEERS) $(ARGS)

clock: ## tests under a wall clock that is set forwards and back all the time (10 minutes; ARGS=1 also runs a server so, for a minute)
	test/clock/run.sh $(ARGS)

deploy-check: build ## what in deploy/ can be checked here (needs nginx, haproxy, systemd-analyze, python3 and a package index)
	bench/peers.sh $(PEERS) deploy
	test/deploy/check.sh $(BIN) $(PEERS)

release: ## archives, packages, formula, checksums and bill of materials in dist/ (needs tar, gzip, zip)
	tools/release/release.sh dist

# SYSTEMS= is shorter: SYSTEMS="linux/amd64". Needs root for neither, and dpkg and rpm for the packages.
release-check: ## two releases of the same commit, from two clones, are the same bytes; the packages install and the program runs (10 minutes)
	tools/release/check.sh

figures: ## draw the newest results of bench/results into docs/figures
	$(GO) run ./cmd/penstock-figures --figures docs/figures $(ARGS)

bench-crosscheck: build ## our load generator against GuideLLM's figures
	bench/peers.sh $(PEERS) guidellm
	bench/crosscheck.py --penstock $(BIN) --guidellm $(PEERS)/guidellm/bin/guidellm $(ARGS)

bench: build ## SmolLM2's steps by kind of work, then the load of cLLM's report (40 requests, 8 clients) on its core, its handler and through HTTP (3 minutes)
	$(BIN) bench steps --model smollm2
	$(BIN) bench layers --model smollm2 --layers core,handler,http --axes none --repeats 5 --settle 1s $(ARGS)

GRAMMAR_SET ?= maskbench-dev.tar.xz
grammar-set: build ## a set of schemas with instances through the masks: GRAMMAR_SET=file, folder or archive (5 minutes)
	@test -e "$(GRAMMAR_SET)" || { echo "$(GRAMMAR_SET) is missing: GRAMMAR_SET=file, folder, .tar or .tar.xz of {\"schema\": ..., \"tests\": [...]}"; exit 1; }
	$(BIN) bench grammar "$(GRAMMAR_SET)" --model qwen2.5-coder:0.5b $(ARGS)

# EVERY=30 takes each thirtieth schema: XGrammar compiles for a second on average.
grammar-peers: EVERY = 30
grammar-peers: build ## llguidance and XGrammar over the same set, the same vocabulary and one thread, beside ours (5 minutes)
	@test -e "$(GRAMMAR_SET)" || { echo "$(GRAMMAR_SET) is missing: GRAMMAR_SET=file, folder, .tar or .tar.xz"; exit 1; }
	bench/peers.sh $(PEERS) grammar
	$(BIN) bench grammar "$(GRAMMAR_SET)" --model qwen2.5-coder:0.5b --every $(EVERY) --export $(PEERS)/grammar/walk.jsonl
	$(BIN) bench grammar "$(GRAMMAR_SET)" --model qwen2.5-coder:0.5b --every $(EVERY) --cpu-time
	$(PEERS)/grammar/bin/python bench/grammar_peers.py $(PEERS)/grammar/walk.jsonl $(ARGS)

# The suite is not a module. This one carries a copy of the cases that every validator has to pass.
SUITE := github.com/google/jsonschema-go@v0.4.3
schema-suite: ## the JSON-Schema-Test-Suite, drafts 2020-12 and 7: right about every instance of a schema that is served, and what is refused
	$(GO) test ./internal/grammar/schema -count=1 -run TestSuite -v -suite "$$($(GO) mod download -json $(SUITE) | sed -n 's/^\t"Dir": "\(.*\)",$$/\1/p')/jsonschema/testdata"

grammar-serve: build ## tokens per second under schemas beside free text, on two models (10 minutes)
	$(BIN) bench structured --model smollm2 $(ARGS)
	$(BIN) bench structured --model qwen2.5-coder:0.5b --requests 8 $(ARGS)

# EVERY=10 takes each tenth schema.
EVERY ?= 1
grammar-generate: build ## an answer for every schema of GRAMMAR_SET, at a temperature of 1.5, held against a validator (20 minutes)
	@test -e "$(GRAMMAR_SET)" || { echo "$(GRAMMAR_SET) is missing: GRAMMAR_SET=file.tar.xz"; exit 1; }
	$(GO) test ./internal/bench/structured -count=1 -timeout 2h -run TestGenerated -v -set "$(abspath $(GRAMMAR_SET))" -every $(EVERY) \
	  -model "$$($(BIN) pull smollm2 2>/dev/null | tail -n 1)"

FUZZTIME ?= 30s
fuzz: ## every fuzz target for FUZZTIME each
	@grep -rl '^func Fuzz' --include='*_test.go' cmd internal | while read -r file; do \
	  for target in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\).*/\1/p' "$$file"); do \
	    echo "$$file $$target"; $(GO) test -vet=off -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) ./$$(dirname "$$file") || exit 1; \
	  done; \
	done

generate: ## regenerate the assembly
	$(GO) generate ./...

# -count=1: Go's cache of test results does not notice changes outside the generators' own module, where the generated files are.
generated: ## the committed assembly is what its generators write
	cd internal/kernel/_asm && $(GO) test -count=1 ./...

clean:
	rm -rf bin
