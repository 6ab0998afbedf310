# Every target is one line calling one tool; the tools' options live in pyproject.toml.

PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test real simulate chaos soak bench lint types imports audit check fmt clean

SEEDS ?= 10000
RUNS ?= 10

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

run: $(VENV)/.run ## serve the demo on 127.0.0.1:8080
	exec swapd serve --config configs/demo.yaml

test: $(VENV)/.dev ## the tests that need no process and no socket: seconds
	python -m pytest -q -m "not real"

real: $(VENV)/.dev ## the tests with real processes, sockets and llama.cpp
	python -m pytest -q -m real

simulate: $(VENV)/.dev ## SEEDS=10000 pretend days of the whole daemon; minutes
	python -m tests.simulation --seeds $(SEEDS)

chaos: $(VENV)/.dev ## RUNS=10 times real models under load while all sorts of things break; minutes
	python -m tests.chaos --runs $(RUNS)

soak: $(VENV)/.dev ## 200,000 requests and 2,000 swaps; writes into tests/bench/RESULTS.md
	python -m tests.soak

bench: $(VENV)/.dev ## measure beside nginx; writes tests/bench/RESULTS.md
	python -m tests.bench

lint: $(VENV)/.dev ## style
	ruff check . && ruff format --check .

types: $(VENV)/.dev ## types
	mypy

imports: $(VENV)/.dev ## who may import whom
	lint-imports

audit: $(VENV)/.dev ## known vulnerabilities of what is installed, where anybody can be asked
	python -m tests.audit

check: lint types imports audit test real ## all of it; what CI runs

fmt: $(VENV)/.dev ## bring the code into shape
	ruff check --fix . ; ruff format .

clean: ## forget the environment and every cache
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# The environments: made once, and again when what they need has changed.

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "swapd needs Python 3.11 or later; try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml | $(VENV)/bin/python
	python -m pip install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	python -m pip install --quiet --editable '.[demo,dev]'
	@touch $@ $(VENV)/.run
