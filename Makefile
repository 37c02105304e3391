# Everything is built once: one target folder, the release profile, and one set of features for tests, demo, benchmarks and the
# shipped binary. Cargo chooses features by what is asked of it, so that building and testing must ask for the same: all packages
# with their development features, which `--workspace --examples` means even where there is no example to build. Asking for less
# would compile wasmtime a second time.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
COMPONENTS := $(addprefix towpath-,$(filter-out sdk,$(notdir $(patsubst %/,%,$(wildcard connectors/*/)))))
GUESTS := towpath-test-guests towpath-test-dividing
WASM := $(TARGET)/wasm32-wasip2/component
NATIVE := cargo build --release --workspace --examples
ROUNDS ?= 200
SOAK_SECONDS ?= 600
SEEDS ?= 20000

.PHONY: help prepare components build peers differential exchanges originals test compat crash cuts soak bench demo examples check

help: ## What can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

prepare: ## Install what is missing: the WASM target, Postgres
	@tests/prepare.sh

components: prepare
	@cargo build --profile component --target wasm32-wasip2 $(addprefix -p ,$(COMPONENTS))
	@cargo build --release --target wasm32-wasip2 $(addprefix -p ,$(GUESTS))
	@cargo build --release --target wasm32-wasip2 $(addprefix -p ,$(GUESTS)) --examples
	@$(NATIVE) --bin towpath-precompile
	@$(MAKE) --no-print-directory $(TARGET)/components/.made

# Made anew only when a component or the compiler changed: the binary embeds these files and is built again when they are touched.
$(TARGET)/components/.made: $(foreach name,$(subst -,_,$(COMPONENTS)),$(WASM)/$(name).wasm) $(TARGET)/release/towpath-precompile
	@mkdir -p $(@D)
	@$(TARGET)/release/towpath-precompile $(filter %.wasm,$^) --out $(@D)
	@touch $@

build: components ## Build the binary with its connectors inside
	@$(NATIVE) --bin towpath --bin towpath-lab --bin towpath-bench --bin towpath-differential

peers: ## Fetch Apache Kafka, Connect and Debezium, to compare with (needs Java and Maven)
	@tests/peers/install.sh

test: build ## Run all tests, and clients of Kafka against the log
	@cargo test --release --workspace --no-fail-fast
	@tests/compat/run.sh $(TARGET) clients

differential: peers build ## Run random workloads before Debezium and before Towpath, and compare every record (SEED, MINUTES, PG=16|17|18)
	@$(if $(PG),TOWPATH_PG_BIN=$$(tests/peers/postgres.sh $(PG))) $(TARGET)/release/towpath-differential run $(if $(SEED),--seed $(SEED)) --rounds 1000000 --minutes $(or $(MINUTES),30)

exchanges: peers build ## Ask Kafka Connect anew what tests/exchanges asks, keep its answers, and compare ours
	@TOWPATH_RECORD=1 cargo test --release --workspace --test behaviour -- exchanges

originals: peers ## Run random records through Connect's and Debezium's transforms and converters, and random schemas through Avro's rules, and compare with ours (SEED, CASES)
	@for kind in transforms converters schemas; do \
	  cargo run --release -p towpath-test-transforms -- --of $$kind run $(if $(SEED),--seed $(SEED)) --cases $(or $(CASES),20000); done

compat: build ## Let real clients use the log and the REST interface (installs what is missing, but for Go)
	@tests/compat/run.sh $(TARGET)

crash: build ## Kill the worker ROUNDS times, 200 unless told otherwise
	@TOWPATH_CRASH_ROUNDS=$(ROUNDS) cargo test --release --workspace --test behaviour -- crash

cuts: build ## Cut the power of a simulated disk under transactions, groups, compaction and topic changes (SEEDS lives of each kind)
	@TOWPATH_SEEDS=$(SEEDS) cargo test --release --workspace --lib -- --nocapture simulation

soak: build ## What takes long: troubles at random for SOAK_SECONDS, 600 unless told otherwise, and more; seeds are printed
	@TOWPATH_SOAK_SECONDS=$(SOAK_SECONDS) cargo test --release --workspace --test behaviour -- --nocapture --test-threads 1 soak
	@ulimit -n $$(ulimit -Hn) && TOWPATH_FUZZ_SECONDS=$(SOAK_SECONDS) TOWPATH_IDLE_CONNECTIONS=10000 \
	  cargo test --release --workspace --lib -- --nocapture --test-threads 1 fuzz idle_connections

bench: build ## Measure, as ratios to Postgres's own tools in the same run
	@$(TARGET)/release/towpath-bench

demo: build ## A small shop, captured, until Ctrl-C
	@TOWPATH_PROGRAMS=$(TARGET)/release examples/quickstart/run.sh

examples: build ## Run every example to its end
	@for story in examples/*/run.sh; do echo "== $$story"; TOWPATH_PROGRAMS=$(TARGET)/release $$story --ci; done

check: components ## Formatting, lints, licences
	@cargo fmt --check
	@cargo clippy --release --workspace --all-targets -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; else echo "cargo-deny is not installed: licences and advisories are not checked"; fi
