# Every target sets up what it needs on a fresh machine with Python 3.11+ and make.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO    = demo
COVERAGE ?= --cov --cov-report=term:skip-covered

.DEFAULT_GOAL := help
.PHONY: help install dev demo test check dist docs site speed peers clean

help:  ## The targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

install: $(VENV)/.installed  ## A virtual environment with bert4rec
dev: $(VENV)/.installed-dev  ## The same environment, with the tools of tests and checks

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt requirements.txt | $(VENV)/bin/python
	$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt requirements.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

demo: install  ## MovieLens 100K from raw files to recommendations, about five minutes; 'make clean' after a changed preset
	$(BIN)/bert4rec prepare --dataset ml-100k --output $(DEMO)/prepared
	$(BIN)/bert4rec train --data $(DEMO)/prepared --preset small --output $(DEMO)/model --resume
	$(BIN)/bert4rec evaluate --model $(DEMO)/model --data $(DEMO)/prepared --baselines --output $(DEMO)/report
	$(BIN)/bert4rec recommend --model $(DEMO)/model --user_id 1 --k 10
	$(BIN)/bert4rec explain --model $(DEMO)/model --user_id 1
	$(BIN)/bert4rec profile --model $(DEMO)/model --user_id 1
	@echo
	@echo "model folder: $(DEMO)/model    pictures: $(DEMO)/model/losses.png, $(DEMO)/report/comparison.png"

test: dev  ## All tests, with the coverage of src/bert4rec ('make test COVERAGE=' is a quarter faster)
	$(BIN)/python -m pytest -n auto $(COVERAGE)

check: dev  ## Style, types, and the import contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/check_source.py

docs: dev  ## Pages that are generated: the command reference, the tables of results
	$(BIN)/python docs/generate.py

site: dev  ## The documentation site, in site/
	$(BIN)/python -m mkdocs build --strict

dist: dev  ## A wheel and a source distribution, in dist/
	rm -rf build dist
	$(BIN)/python -m build --no-isolation

peers: $(VENV)-peers/.installed  ## A separate environment for the systems that benchmarks compare with
$(VENV)-peers/.installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check --quiet install -r benchmarks/peers/requirements.txt
	@touch $@

speed: dev peers  ## Training speed beside RecTools, in one run
	$(BIN)/python benchmarks/training_speed.py

clean:  ## Remove what the targets wrote; the environments stay
	rm -rf $(DEMO) build dist site .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
