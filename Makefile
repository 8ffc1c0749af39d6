# Every target sets up its own virtual environment in .venv when there is none.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help setup demo flag-demo test test-slow check docs bench record clean

help:
	@echo "make demo       set up, then run the main job on a synthetic market"
	@echo "make flag-demo  set up, then train a tiny language model to trade a sinusoidal market"
	@echo "make test       set up, then run the tests"
	@echo "make test-slow  the ones marked slow: kills, clusters, browsers, benchmarks; CI runs these too"
	@echo "make check      what CI checks beside the tests: ruff, mypy, import-linter"
	@echo "make docs       build the documentation into build/docs, without the network"
	@echo "make bench      measure the claims about speed"
	@echo "make record     ask the tests' small language model anew for the recorded study"
	@echo "make clean      remove the virtual environment and all caches"

setup: $(READY)

# The pinned versions hold for the build's own environment too.
$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check -e ".[dev,docs,data,cluster,flag]"
	touch $(READY)

demo: $(READY)
	$(BIN)/llmguide demo

flag-demo: $(READY)
	$(BIN)/llmguide flag demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 -m "not slow"

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 -m slow

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Warnings are errors; the notebook is executed anew only where the library has changed.
docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going --nitpicky --quiet -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

bench: $(READY)
	$(BIN)/python benchmarks/all.py

record: $(READY)
	$(BIN)/python tests/recorded/record.py

clean:
	rm -rf $(VENV) build docs/commands *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
