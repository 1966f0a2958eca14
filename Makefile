# Two commands do everything on a fresh machine with Python 3.11 or newer: `make run` and `make test`.

SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)

.PHONY: run test check unit kill-test snapshots benchmark clean

run: $(VENV)/.run
	@$(BIN)/syncterm demo

test: check unit

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The long form of the crash test: a thousand kills.
kill-test: $(VENV)/.test
	SYNCTERM_KILLS=1000 $(BIN)/python -m pytest tests/process/test_kill.py -n 2 --timeout 0

snapshots: $(VENV)/.test
	$(BIN)/python -m pytest tests/screens tests/widgets --snapshot-update

benchmark: $(VENV)/.test
	$(BIN)/python -m benchmarks

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv is needed: install it (Debian: apt-get install python3-venv), or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Creating $(VENV) with $(PYTHON) …"
	@"$(PYTHON)" -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing syncterm (the first time takes a minute) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo]'
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing syncterm and what its tests need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo,test]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache
