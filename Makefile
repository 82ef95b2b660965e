# Everything happens inside this folder: the environment in .venv, caches and temporary files in .cache, data in var.
# Needs GNU make and Python 3.11 or later. `make help` lists the targets.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help run test coverage lint format bench reliability simulate fuzz docs lock clean

CACHE := $(CURDIR)/.cache
VENV := .venv/bin

# Tests keep even their home and temporary files in this folder. CI, where PostgreSQL runs as a user of its own, names
# another place that all users can reach.
TEST_TMPDIR ?= $(CACHE)/tmp
# As many tests at a time as there are processors. PARALLEL= runs one after the other, in order.
PARALLEL ?= -n auto --dist worksteal
TESTS := HOME="$(CACHE)/home" TMPDIR="$(TEST_TMPDIR)" HYPOTHESIS_STORAGE_DIRECTORY="$(CACHE)/hypothesis"

# pip's cache and Python's .pyc files would be written elsewhere; user-wide settings of pip must not redirect an install.
export PIP_NO_CACHE_DIR := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_USER := 0
# The way of all newer pips to build a package that has no wheel; Debian 12's pip takes another one otherwise. A variable,
# because newer pips know no such option any more.
export PIP_USE_PEP517 := 1
export PYTHONDONTWRITEBYTECODE := 1
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

# The first Python that is new enough, known versions before newer ones. `make run PYTHON=/path/to/python3` overrides.
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14 python3.15 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$name && break; done)

# pip asks rustc for its version, and rustup's rustc writes into its home when asked anything.
HERE = TMPDIR="$(CACHE)/tmp" RUSTUP_HOME="$(CACHE)/rustup"
PIP = $(HERE) $(VENV)/python -m pip install --quiet

# A lock is whole, so pip looks for nothing beside it: resolving again, old pips refuse a lock in which a package stands
# without its extra (coverage[toml]) as soon as a newer release appears.
FROM_LOCK := --require-hashes --no-deps

# The pip that installs; empty: the one that this Python brings. CI names the oldest that is supported.
PIP_VERSION ?=

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' Makefile

run: .venv/.runtime ## start doors, worker and dashboard on loopback; Ctrl-C stops them
	@exec $(VENV)/starttally serve

test: .venv/.development ## run all tests; pytest's options go into ARGS="..."
	@mkdir -p "$(CACHE)/home" "$(TEST_TMPDIR)"
	@$(TESTS) $(VENV)/python -m pytest $(PARALLEL) $(ARGS)

# What decides about numbers is tested branch by branch.
EMPTY :=
COMMA := ,
FULLY_COVERED := $(subst $(EMPTY) $(EMPTY),$(COMMA),$(strip ingest/rfc/* ingest/testimony/* dashboard/decision/* \
	dashboard/words/next_step.py dashboard/words/commands_to_run.py dashboard/words/override_words.py))

coverage: .venv/.development ## run all tests and ask for full branch coverage where numbers are decided
	@mkdir -p "$(CACHE)/home" "$(TEST_TMPDIR)"
	@$(TESTS) $(VENV)/python -m pytest $(PARALLEL) --cov --cov-report= $(ARGS)
	@$(VENV)/python -m coverage report --include='$(FULLY_COVERED)' --show-missing --skip-covered --fail-under=100

lint: .venv/.development ## check format, style, types and floors
	$(VENV)/ruff format --check .
	$(VENV)/ruff check .
	$(VENV)/mypy
	$(VENV)/lint-imports

format: .venv/.development ## put the code into the house format
	$(VENV)/ruff format .
	$(VENV)/ruff check --fix .

bench: .venv/.development ## run all benchmarks and write docs/benchmarks.md (half an hour); OPTIONS="decoding door" for some
	@mkdir -p "$(CACHE)/home" "$(CACHE)/bench"
	@$(TESTS) $(VENV)/python -m benchmarks $(OPTIONS)

reliability: .venv/.development ## put the promises of docs/reliability.md to the test; LONG=1 for the counts it shows (hours)
	@mkdir -p "$(CACHE)/home" "$(TEST_TMPDIR)"
	@$(TESTS) $(VENV)/python -m benchmarks.reliability $(if $(LONG),--long)

simulate: .venv/.development ## put the verdict beside the truth in 4,000 invented worlds; OPTIONS="--worlds 100 --jobs 2 ..."
	@mkdir -p "$(CACHE)/home" "$(TEST_TMPDIR)"
	@$(TESTS) $(VENV)/python -m benchmarks.verdict $(OPTIONS)

# For hours, or for FOR=seconds, or RUNS=executions in all; OPTIONS are those of tests/fuzz/run.py.
fuzz: .venv/.development ## fuzz all parsers for hours; FOR=seconds or RUNS=executions bound it
	@mkdir -p "$(CACHE)/home" "$(TEST_TMPDIR)"
	@$(TESTS) $(VENV)/python -m tests.fuzz.run $(if $(RUNS),--runs $(RUNS)) $(if $(FOR),--seconds $(FOR)) $(OPTIONS)

docs: .venv/.development ## write docs/settings.md and docs/commands.md anew from the code
	@$(VENV)/python docs/reference.py

# uv finds one set of versions for all platforms at once, which pip cannot. Pins stay as they are unless pyproject.toml
# forbids them; `make lock UPGRADE=--upgrade` takes the newest.
COMPILE = $(CACHE)/lock/bin/uv pip compile --no-config --quiet --cache-dir "$(CACHE)/uv" --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate --no-header $(UPGRADE)

lock: .venv/.python ## resolve the pinned versions anew from pyproject.toml
	@test -x "$(CACHE)/lock/bin/uv" || { mkdir -p "$(CACHE)/tmp" && \
		$(HERE) $(VENV)/python -m venv "$(CACHE)/lock" && $(HERE) "$(CACHE)/lock/bin/python" -m pip install --quiet uv; }
	$(COMPILE) --group build -o requirements-build.lock
	$(COMPILE) -c requirements-build.lock -o requirements.lock pyproject.toml
	$(COMPILE) -c requirements-build.lock -c requirements.lock --group dev -o requirements-dev.lock pyproject.toml

clean: ## remove the environment and all caches; reports in var/ stay
	rm -rf .venv .cache

# A stamp says where the environment was made: one that was moved here, or whose Python is gone, is made again.
ifneq ($(shell $(VENV)/python -c '' 2>/dev/null && cat .venv/.python 2>/dev/null),$(CURDIR))
.PHONY: .venv/.python
endif

.venv/.python:
	@test -n "$(PYTHON)" || { echo "StartTally needs Python 3.11 or later, and no python3 here is. Install one, or name it:" \
		"make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is not Python 3.11 or later." >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { echo "$(PYTHON) has no venv module." \
		"On Debian and Ubuntu: sudo apt install python3-venv" >&2; exit 1; }
	@echo "Making the environment in .venv with $(PYTHON)"
	@mkdir -p "$(CACHE)/tmp"
	@$(HERE) "$(PYTHON)" -m venv --clear .venv
	@$(if $(PIP_VERSION),$(PIP) pip==$(PIP_VERSION))
	@echo "$(CURDIR)" > $@

.venv/.runtime: .venv/.python requirements-build.lock requirements.lock pyproject.toml
	@echo "Installing the pinned packages (once; about a minute, longer on a slow line)"
	@mkdir -p "$(CACHE)/tmp"
	@$(PIP) $(FROM_LOCK) -r requirements-build.lock
	@$(PIP) $(FROM_LOCK) --no-build-isolation -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.development: .venv/.runtime requirements-dev.lock
	@echo "Installing the pinned packages for development"
	@$(PIP) $(FROM_LOCK) --no-build-isolation -r requirements-dev.lock
	@$(VENV)/python -m pip check --quiet
	@touch $@
