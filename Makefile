# Each target sets up .venv by itself; only Python 3.11 or newer and make are needed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
REAL   := .venv-real

.PHONY: help demo test test-long lint check bench bench-full bench-gateway test-real test-services test-browser lock audit format clean

help:  ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 14

$(STAMP): pyproject.toml
	@echo "setting up $(VENV) (once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[all]" --group dev
	@touch $(STAMP)

demo: $(STAMP)  ## a conversation that the second provider answers because the first is down, then the gateway; no key, no network
	@$(BIN)/python examples/demo.py $(DEMO)

test: $(STAMP)  ## the test suite
	@$(BIN)/python -m pytest

test-long: $(STAMP)  ## the tests of the 50 invariants alone, 10,000 new examples each (HYPOTHESIS_EXAMPLES for another number)
	@HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest $$($(BIN)/python tests/test_invariants.py)

lint: $(STAMP)  ## the half of the gate that runs nothing: format, lint, types, type completeness of the public API
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/pyright --pythonpath $(CURDIR)/$(BIN)/python --ignoreexternal --verifytypes llmcore

check: lint test  ## the gate: lint, then the test suite (architecture among it) with warnings as errors

bench: $(STAMP)  ## what a call costs beside other clients, the cases that matter most (under 5 minutes)
	@$(BIN)/python -m benchmarks.run --quick --seconds 0.6 $(BENCH)

bench-full: $(STAMP)  ## every case and every client, the targets, plots in benchmarks/out (about half an hour)
	@$(BIN)/python -m benchmarks.run $(BENCH)

bench-gateway: $(STAMP)  ## the gateway beside other gateways and bare servers, with its targets (about 10 minutes)
	@$(BIN)/python -m benchmarks.gateway.run $(BENCH)

test-real: $(STAMP)  ## against a real model engine with tiny random weights, installed on the spot
	@$(BIN)/python tests/real/setup.py $(REAL)
	@LLMCORE_REAL_PYTHON=$(REAL)/bin/python $(BIN)/python -m pytest tests/real -m real

test-services: $(STAMP)  ## against real servers (PostgreSQL, Redis) of this machine's own packages; what is missing is skipped and said
	@LLMCORE_SERVICES=1 $(BIN)/python -m pytest tests/services -m services

test-browser: $(STAMP)  ## the gateway's pages in a real Chromium of this machine's own packages; what is missing is skipped and said
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group browser
	@LLMCORE_BROWSER=1 $(BIN)/python -m pytest tests/browser -m browser

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command "make lock"
EXTRAS := $(addprefix --extra ,cli fast gateway otel postgres prices redis)

lock: $(STAMP)  ## the newest versions, with hashes, that the image in deploy/ is made of
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group lock
	$(LOCK) --upgrade $(EXTRAS) pyproject.toml --output-file deploy/requirements.lock
	echo hatchling | $(LOCK) --upgrade - --output-file deploy/build.lock

audit: $(STAMP)  ## known faults of the locked versions, asked of the registry
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group lock
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement deploy/requirements.lock --requirement deploy/build.lock

format: $(STAMP)  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove everything that the other targets made
	rm -rf $(VENV) $(REAL) .benchvenvs .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist benchmarks/out
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
