# Each target sets up what it needs. Only Python 3.10 or newer, make and a package index are assumed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.set-up
# Tests wait more than they compute; each worker has an embedded stack of its own. In the order of
# their names the end-to-end tests, which are the longest, come first.
JOBS ?= 3

.PHONY: help setup demo test test-fast lint format bench lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "%-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Make .venv with the command at .venv/bin/fal-serverless

$(STAMP): pyproject.toml requirements-dev.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -m1 '^uv==' requirements-dev.txt | cut -d' ' -f1)"
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements-dev.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

demo: $(STAMP) ## Serve a function on the embedded stack and call it over HTTP
	$(BIN)/python examples/demo.py

test: $(STAMP) ## Run every test
	@# Its operations share one name, and of one name workers run one test.
	$(BIN)/python -m pytest tests/functional/manage/test_schemathesis.py
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --ignore tests/functional/manage/test_schemathesis.py

test-fast: $(STAMP) ## Run the tests that need neither the embedded stack nor a package index
	$(BIN)/python -m pytest -m "not e2e and not network and not slow"

lint: $(STAMP) ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP) ## Rewrite the code in the project's style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Measure us beside the peers, in one run, for docs/benchmarks.md
	$(BIN)/python -m tests.benchmarks --write

lock: ## Pin the development environment again (no addresses of indexes are written)
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-header --no-emit-index-url --no-annotate --group dev pyproject.toml -o requirements-dev.txt

clean: ## Remove what the targets made
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis dist .aws-sam
