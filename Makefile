# Every target is one line calling one tool; the tools' options live in pyproject.toml.

PYTHON ?= python3
VENV ?= .venv
export PATH := $(abspath $(VENV))/bin:$(PATH)

.DEFAULT_GOAL := help
.PHONY: help run test real bench lint types imports check fmt clean

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

run: $(VENV)/.run ## serve the demo on 127.0.0.1:8080
	exec swapd serve --config configs/demo.yaml

test: $(VENV)/.dev ## the tests that need no process and no socket: seconds
	python -m pytest -q -m "not real"

real: $(VENV)/.dev ## the tests with real processes, sockets and llama.cpp
	python -m pytest -q -m real

bench: $(VENV)/.dev ## measure beside nginx; writes tests/bench/RESULTS.md
	python -m tests.bench

lint: $(VENV)/.dev ## style
	ruff check . && ruff format --check .

types: $(VENV)/.dev ## types
	mypy

imports: $(VENV)/.dev ## who may import whom
	lint-imports

check: lint types imports test real ## all of it; what CI runs

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
