# make play: install into .venv and play the shipped world.  make test: install with the test extras and run the whole suite.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: play test lint clean

play: .venv/.play
	$(BIN)/genie play coinrun

test: .venv/.test
	$(BIN)/python -m pytest

lint: .venv/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.play: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	touch $@

.venv/.test: .venv/bin/python pyproject.toml constraints.txt requirements-procgen.txt
	$(PIP) -e '.[test]'
	$(PIP) --no-deps -r requirements-procgen.txt
	touch $@

.venv/.lint: .venv/.test
	$(PIP) -e '.[test,dev]'
	touch $@

clean:
	rm -rf .venv build dist
