# `make demo` and `make test` do all the set-up on a fresh machine with Python 3.11+; the other targets are parts of them.

PYTHON ?= python3
VENV   ?= .venv
BIN     = $(VENV)/bin
PIP     = $(BIN)/python -m pip --disable-pip-version-check --quiet
DEMO    = demo

.DEFAULT_GOAL := help
.PHONY: help install dev demo test check docs speed peers clean

help:  ## What there is to make
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 10

install: $(VENV)/.installed  ## A virtual environment with bert4rec in it
dev: $(VENV)/.installed-dev  ## The same, with what tests and checks need

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt requirements.txt | $(VENV)/bin/python
	$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt requirements.txt | $(VENV)/bin/python
	$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

demo: install  ## MovieLens 100K from the raw files to recommendations, in about five minutes; after a changed preset 'make clean' first
	$(BIN)/bert4rec prepare --dataset ml-100k --output $(DEMO)/prepared
	$(BIN)/bert4rec train --data $(DEMO)/prepared --preset small --output $(DEMO)/model --resume
	$(BIN)/bert4rec evaluate --model $(DEMO)/model --data $(DEMO)/prepared --baselines --output $(DEMO)/report
	$(BIN)/bert4rec recommend --model $(DEMO)/model --user_id 1 --k 10
	$(BIN)/bert4rec explain --model $(DEMO)/model --user_id 1
	$(BIN)/bert4rec profile --model $(DEMO)/model --user_id 1
	@echo
	@echo "model folder: $(DEMO)/model    pictures: $(DEMO)/model/losses.png, $(DEMO)/report/comparison.png"

test: dev  ## All tests
	$(BIN)/python -m pytest -n auto

check: dev  ## Style, types, and who may import whom
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: dev  ## What pages take from elsewhere, written again: the command reference, the README's results
	$(BIN)/python docs/generate.py

peers: $(VENV)-peers/.installed  ## An environment of their own for the systems that benchmarks compare with
$(VENV)-peers/.installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(VENV)-peers
	$(VENV)-peers/bin/python -m pip --disable-pip-version-check --quiet install -r benchmarks/peers/requirements.txt
	@touch $@

speed: dev peers  ## Training speed beside RecTools, in one run
	$(BIN)/python benchmarks/training_speed.py

clean:  ## Away with what the commands wrote, the environments stay
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
