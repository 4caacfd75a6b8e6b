# Every target does its own set-up in .venv, from the hash-pinned requirements.lock.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Much of a test is waiting: one more at a time than there are cores, and no more than four.
WORKERS := $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); n=$$((n + 1)); [ $$n -lt 4 ] || n=4; echo $$n)

.DEFAULT_GOAL := help
.PHONY: help programs demo test prove bench bench-flowlogs lint docs lock clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): requirements.lock pyproject.toml hatch_build.py $(wildcard exporter/flowlogs/native/*.[ch])
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; this is `$(PYTHON) --version`. Name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || \
	  { echo "python3 -m venv failed; on Debian: apt-get install python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(READY) ## Run the daemon on a simulated AWS organisation (DEMO_FLAGS="--speed 60 ...")
	@exec $(BIN)/privatelink-exporter demo $(DEMO_FLAGS)

# Before the installation, which compiles where there is a compiler.
programs:
	@sh tests/programs.sh

test: programs $(READY) ## Run every test but the slow proofs
	$(BIN)/python -m pytest -m "not prove" --numprocesses $(WORKERS) --dist loadscope $(PYTEST_FLAGS)

prove: programs $(READY) ## Run the slow proofs
	$(BIN)/python -m pytest -m prove --timeout 1800 $(PYTEST_FLAGS)

bench: $(READY) ## Measure speed
	$(BIN)/python -m tests.bench

bench-flowlogs: $(READY) ## Measure the reading of flow logs against other programs (BENCH_FLAGS="--runs 9 ...")
	$(BIN)/python -m tests.bench.flowlogs $(BENCH_FLAGS)

lint: $(READY) ## Check style, types and that what is generated is current
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python docs/build.py --check

docs: $(READY) ## Write the tables of the README and docs/ anew from the metric definitions
	$(BIN)/python docs/build.py

# Hashes, no host names. The locks of the image are parts of the one that everything is tested with.
COMPILE = uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --quiet

lock: $(READY) ## Pin newer dependencies (needs uv on the PATH)
	printf 'hatchling\neditables\n' | $(COMPILE) --upgrade --all-extras pyproject.toml - --output-file requirements.lock
	$(COMPILE) --constraint requirements.lock pyproject.toml --output-file deploy/locks/runtime.lock
	$(COMPILE) --constraint requirements.lock --extra demo pyproject.toml --output-file deploy/locks/demo.lock
	echo hatchling | $(COMPILE) --constraint requirements.lock - --output-file deploy/locks/build.lock

clean: ## Remove what was built
	rm -rf $(VENV) build dist state .mypy_cache .ruff_cache .pytest_cache .hypothesis
