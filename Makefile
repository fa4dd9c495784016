# Every command of the repository. Bare "make" lists them.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
MAKEFLAGS += --no-print-directory

FUZZTIME ?= 30s
BENCH ?= .
SOAKTIME ?= 5m
LOGTIME ?= 60s
SEED ?= 1
N ?= 20000
# How long the tests of one package may take: many times what they do, for machines that are slow.
TESTTIME ?= 40m

.PHONY: help
help: ## list the targets
	@echo 'make TARGET'
	@sed -nE 's/^([a-z-]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

.PHONY: build
build: ## build bin/millrace, one static binary
	@CGO_ENABLED=0 go build -trimpath -o bin/millrace ./cmd/millrace

.PHONY: build-bench
build-bench: build ## build bin/bench, which measures what is claimed of bin/millrace
	@CGO_ENABLED=0 go build -trimpath -o bin/bench ./test/bench

.PHONY: run
run: ## build the server, run it on its built-in defaults and show it working
	@scripts/run.sh

.PHONY: check
check: ## what a change must pass before it is proposed: format, generated files, lint, Go tests
	@scripts/format.sh
	@$(MAKE) lint test-go

.PHONY: test
test: test-go e2e ## all tests: Go, then the real clients against the real binary

.PHONY: test-go
test-go: ## the Go tests only
	@scripts/postgres.sh
	go test -shuffle=on -timeout=$(TESTTIME) ./...

.PHONY: race
race: ## the Go tests under the race detector
	@scripts/need.sh gcc "the race detector needs a C compiler" gcc libc6-dev
	@scripts/postgres.sh
	CGO_ENABLED=1 go test -race -shuffle=on -timeout=$(TESTTIME) ./...

.PHONY: slowbus
slowbus: ## the tests of what calls the bus, on one that answers after 2 ms and finds locks that are held over it
	go test -tags slowbus -shuffle=on -timeout=$(TESTTIME) ./internal/channel ./internal/httpapi/... ./internal/session/...

.PHONY: e2e
e2e: build ## the client package; pusher-js, laravel-echo and the Node and Go server libraries, in Node and in Chromium, against bin/millrace
	@scripts/clients.sh

.PHONY: client-package
client-package: ## the client package in clients/js: types, build, tests
	@scripts/client-package.sh

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each (30s)
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: soak
soak: ## random clients against one server for SOAKTIME (5m), and what must be true of it
	go test -count=1 -timeout=0 -v ./internal/soak -soak.for=$(SOAKTIME)

.PHONY: endings
endings: build-bench ## end twenty servers by SIGTERM under full load: nothing acknowledged may be lost
	bin/bench ending

.PHONY: storm
storm: build-bench ## cut 15,000 connections at once, five times: each effect must come, once (quiet machine)
	bin/bench storm

.PHONY: hostile
hostile: build-bench ## measure what hostile connections make the server hold
	bin/bench hostile

.PHONY: restarts
restarts: build ## measure how long pusher-js is away when its server restarts, by close code and socket
	@scripts/need.sh perl "holds the socket of a server that is restarted" perl-base
	cd test/clients && node measure/reconnect.js && node measure/restart.js

.PHONY: bench
bench: build-bench ## measure every claim beside the floor and write docs/performance.md (quiet machine)
	bin/bench report --commit "$$(git describe --always --dirty)"

.PHONY: sim
sim: ## simulated clusters under faults, N operations from SEED on: are their promises kept
	@go run ./test/sim -seed=$(SEED) -n=$(N)

.PHONY: bench-pairs
bench-pairs: build-bench ## compare the server with that of the commit BEFORE, in pairs of runs (30 minutes, quiet machine)
	@scripts/bench-pairs.sh $(BEFORE)

.PHONY: bench-smoke
bench-smoke: build-bench ## every part of the benchmark once, little of it: it must work and lose nothing
	@scripts/bench-smoke.sh

.PHONY: bench-go
bench-go: ## the Go benchmarks whose names match BENCH (all)
	go test -run='^$$' -bench='$(BENCH)' -benchmem ./...

.PHONY: bench-log
bench-log: ## measure what is promised of the log of publications, for LOGTIME (60s): rate, lag, CPU of its parts
	go test -run='^$$' -bench=BenchmarkBars -benchtime=1x -timeout=$(TESTTIME) ./internal/log/embedded -log.for=$(LOGTIME)

.PHONY: generate
generate: ## write the documents that are made from the code
	go generate ./...
	go test ./internal/archtest -run 'Document' -update

.PHONY: fmt
fmt: ## format the Go files
	@scripts/lint.sh fmt

.PHONY: lint
lint: ## golangci-lint, and the house rules of internal/archtest
	@scripts/lint.sh run
	go test ./internal/archtest
