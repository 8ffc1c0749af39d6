# Every target sets up its own virtual environment in .venv when there is none.
PYTHON ?= $(shell .ci/find-python 3.11 || .ci/find-python 3.12 || .ci/find-python 3.13 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
INSTALL := PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check

.PHONY: help setup demo flag-demo test test-slow test-pythons check docs dist bench record pictures clean

help:
	@echo "make demo       set up, then run the main job on a synthetic market"
	@echo "make flag-demo  set up, then train a tiny language model to trade a sinusoidal market"
	@echo "make test       set up, then run the tests"
	@echo "make test-slow  the ones marked slow: kills, clusters, browsers, benchmarks; CI runs these too"
	@echo "make test-pythons  a part of the fast tests on the other Pythons (3.11 to 3.13) of this machine; ALL=1 for all"
	@echo "make check      what CI checks beside the tests: ruff, mypy, import-linter"
	@echo "make docs       build the documentation into build/docs, without the network"
	@echo "make dist       build sdist and wheel in dist/, check them, try the wheel in a fresh environment"
	@echo "make bench      measure the claims about speed"
	@echo "make record     ask the tests' small language model anew for the recorded study"
	@echo "make pictures   make the pictures of README and documentation anew (needs Chromium)"
	@echo "make clean      remove the virtual environment and all caches"

setup: $(READY)

# The pinned versions hold for the build's own environment too. What is imported is compiled then; the rest of 3 GB is not.
# Backtrader is compiled here: Python warns of its escapes when it does, and the examples are run with warnings as errors.
$(READY): setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) -e ".[dev,docs,data,cluster,flag]"
	$(BIN)/python -W ignore -m compileall -q "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/backtrader"
	touch $(READY)

demo: $(READY)
	$(BIN)/llmguide demo

flag-demo: $(READY)
	$(BIN)/llmguide flag demo

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 -m "not slow" $(FEW)

test-slow: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal --durations 10 -m slow

# Whether it runs on another interpreter, not whether it holds everywhere: CONTRIBUTING.md says what is left out.
test-pythons: $(READY)
	ALL=$(ALL) .ci/test-pythons $$($(BIN)/python -c 'import sys; print(*sys.version_info[:2], sep=".")')

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Warnings are errors; the notebook is executed anew only where the library has changed.
docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going --nitpicky --quiet -d build/doctrees docs build/docs
	@echo "build/docs/index.html"

# The wheel is built from the sdist, as an index builds it.
dist: $(READY)
	rm -rf dist build/lib build/bdist.*
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m build
	$(BIN)/twine check --strict dist/*
	$(BIN)/python .ci/try_dist.py dist

bench: $(READY)
	$(BIN)/python benchmarks/all.py

record: $(READY)
	$(BIN)/python tests/recorded/record.py

pictures: $(READY)
	$(BIN)/python docs/pictures/make.py

clean:
	rm -rf $(VENV) $(VENV)-* build dist docs/commands *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
