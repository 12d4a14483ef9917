# The front door. Every goal does its own set-up (scripts/setup): on a machine
# with git, make and apt, root or sudo, nothing has to be installed first.
#
# `make demo` and `make test` are the two to know; `make` lists the rest.

PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   := build
SANITIZE := build-sanitize

.DEFAULT_GOAL := help
.PHONY: help configured build demo test test-agents install bench fuzz lint sanitize clean
MAKEFLAGS += --no-print-directory

help:
	@echo 'make demo         build, then watch an agent work on a mailbox and a calendar (no account, no network)'
	@echo 'make test         every test: units, integration, end to end, real agents'
	@echo 'make test-agents  only the tests with real agents (Claude Code and Codex against a scripted model)'
	@echo 'make build        only build, into build/'
	@echo 'make install      into PREFIX (default /usr/local); DESTDIR is honoured'
	@echo 'make bench        measure every budget of the design beside its reference'
	@echo 'make fuzz         every fuzzer for 60 s (FUZZ_SECONDS=)'
	@echo 'make lint         format, clang-tidy, cppcheck, shellcheck, ruff, manual pages, layers'
	@echo 'make sanitize     units and integration under ASan and UBSan'
	@echo 'make clean        remove the build folders; caches outside the tree stay'

configured:
	@scripts/setup build
	@scripts/configure $(BUILD) --buildtype=debugoptimized -Db_lto=false

build: configured
	@ninja -C $(BUILD) $(NINJAFLAGS)

# Only what the demo runs: the tests are not built for it.
GOOGLE := connectors/google
DEMO := src/cli/aileron src/relay/aileron-mcp src/broker/aileron-broker src/keeper/aileron-keeper src/worker/aileron-worker \
	demo/aileron-demo-workspace $(addprefix $(GOOGLE)/,connector.wasm manifest.toml suite.toml VERSION) $(wildcard $(GOOGLE)/actions/*.md)
demo: configured
	@ninja -C $(BUILD) $(if $(wildcard $(BUILD)/src/cli/aileron),--quiet) $(DEMO)
	@$(BUILD)/src/cli/aileron demo

test:
	@scripts/setup test
	@$(MAKE) build
	@tests/run --build $(BUILD) unit integration e2e agents

test-agents:
	@scripts/setup test
	@$(MAKE) build
	@tests/run --build $(BUILD) agents

install: build
	@scripts/configure $(BUILD) --prefix=$(abspath $(PREFIX))
	@ninja -C $(BUILD) --quiet
	@DESTDIR=$(if $(DESTDIR),$(abspath $(DESTDIR))) meson install -C $(BUILD) --no-rebuild

bench:
	@scripts/setup test
	@tests/bench/run

fuzz:
	@scripts/setup fuzz
	@tests/fuzz/run

lint:
	@scripts/setup lint
	@$(MAKE) build NINJAFLAGS=--quiet
	@tests/rig/lint $(BUILD)

sanitize:
	@scripts/setup test fuzz
	@CC=clang CXX=clang++ scripts/configure $(SANITIZE) --buildtype=debug -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C $(SANITIZE)
	@tests/run --build $(SANITIZE) unit integration

clean:
	@rm -rf $(BUILD) $(SANITIZE) build-*
