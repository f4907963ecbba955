# make play: install into .venv and play the shipped world.  make test: install with the test extras and run the whole suite.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

FRAMES ?= 500000
BOUND ?=

.PHONY: play test lint world clean

play: .venv/.play
	$(BIN)/genie play coinrun

test: .venv/.test
	$(BIN)/python -m pytest

lint: .venv/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A world like the shipped one from an empty disk: record, train, train the dynamics further on its own rollouts, judge. Run it again after
# an interruption to go on. `make world FRAMES=20000 BOUND="--steps 20"` tries the way in a few minutes; the world it makes is a blur.
world: .venv/.test
	[ -f data/coinrun/zarr.json ] && [ ! -f data/coinrun/recording.json ] || $(BIN)/genie record coinrun --frames $(FRAMES) --out data/coinrun
	$(BIN)/genie train data/coinrun --out runs/coinrun $(BOUND)
	$(BIN)/genie train data/coinrun --out runs/coinrun-further --base runs/coinrun/world --fine-tune dynamics $(or $(BOUND),--minutes 90)
	$(BIN)/genie eval runs/coinrun-further/world --data data/coinrun --gate --out runs/coinrun-further/report

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
