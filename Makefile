# make play: install into .venv and play the shipped world.  make test: install with the test extras and run the whole suite.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

PERCENT ?= 100
BOUND ?=

.PHONY: play test lint world hard-world clean

play: .venv/.play
	$(BIN)/genie play coinrun

test: .venv/.test
	$(BIN)/python -m pytest

lint: .venv/.lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# A world like coinrun-easy from an empty disk: record, train, train the dynamics further on its own rollouts, judge. Run it again after
# an interruption to go on. `make world NAME=trial FRAMES=20000 BOUND="--steps 20"` tries the way in a few minutes; the world it makes is a
# blur. What has another size needs another NAME: what is there under a name is gone on with.
world: NAME ?= coinrun
world: FRAMES ?= 500000
world: .venv/.test
	$(call recorded,$(NAME)) || $(BIN)/genie record coinrun --frames $(FRAMES) --out data/$(NAME)
	$(BIN)/genie train data/$(NAME) --out runs/$(NAME) $(BOUND)
	$(BIN)/genie train data/$(NAME) --out runs/$(NAME)-further --base runs/$(NAME)/world --fine-tune dynamics $(or $(BOUND),--minutes 90)
	$(BIN)/genie eval runs/$(NAME)-further/world --data data/$(NAME) --gate --out runs/$(NAME)-further/report

# A world like coinrun, of hard mode, likewise: practise, record, train, twice train tokenizer and dynamics further (the latter on its own
# rollouts), judge. `make hard-world NAME=quarter PERCENT=25` gives every step but the recording a quarter of its time;
# `make hard-world NAME=trial FRAMES=20000 PERCENT=2 BOUND="--steps 20"` tries the way.
recorded = [ -f data/$(1)/zarr.json ] && [ ! -f data/$(1)/recording.json ]
of = $(shell LC_ALL=C awk 'BEGIN { print $(1) * $(PERCENT) / 100 }')
count = $(shell LC_ALL=C awk 'BEGIN { printf "%d", $(1) * $(PERCENT) / 100 }')
minutes = --set stages.$(1).minutes=$(call of,$(2))
HARD_1 = $(or $(BOUND),$(call minutes,tokenizer,46) $(call minutes,latent_actions,6) $(call minutes,dynamics,44))
HARD_2 = $(or $(BOUND),$(call minutes,tokenizer,44) $(call minutes,dynamics,22))
HARD_3 = $(or $(BOUND),$(call minutes,tokenizer,59) $(call minutes,dynamics,79))
LESSON = --set token_frames=$(call count,160000) --set code_cost
FURTHER = --fine-tune tokenizer --fine-tune dynamics

hard-world: NAME ?= coinrun-hard
hard-world: FRAMES ?= 600000
hard-world: HELD_OUT ?= 100000
hard-world: POLICY_STEPS ?= $(call count,1200000)
hard-world: .venv/.rl
	[ -f runs/$(NAME).zip ] || $(BIN)/genie practise coinrun-hard --steps $(POLICY_STEPS) --trust-policy --out runs/$(NAME).zip
	$(call recorded,$(NAME)) || $(BIN)/genie record coinrun-hard --frames $(FRAMES) --held-out $(HELD_OUT) \
		--policy runs/$(NAME).zip --trust-policy --policy-share 0.4 --out data/$(NAME)
	$(BIN)/genie train data/$(NAME) --base coinrun-easy --fine-tune all --set tokenizer.codes=8 --set tokenizer.mosaic=64 --set own_frames=0 \
		--set latent_actions.reach_rows=4 --set latent_actions.reach_columns=2 $(LESSON)=0.01 $(HARD_1) --out runs/$(NAME)-1
	$(BIN)/genie train data/$(NAME) --base runs/$(NAME)-1/world $(FURTHER) --set own_frames=$(call count,20000) $(LESSON)=0.01 $(HARD_2) \
		--out runs/$(NAME)-2
	$(BIN)/genie train data/$(NAME) --base runs/$(NAME)-2/world $(FURTHER) --set own_frames=$(call count,25000) --set own_length=130 \
		--set tokenizer.blocks=4 --set tokenizer.guess=24 $(LESSON)=0.004 $(HARD_3) --out runs/$(NAME)-3
	$(BIN)/genie eval runs/$(NAME)-3/world --data data/$(NAME) --gate --out runs/$(NAME)-3/report

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/.play: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) -e .
	touch $@

.venv/.test: .venv/bin/python pyproject.toml constraints.txt requirements-procgen.txt
	$(PIP) -e '.[test]'
	$(PIP) --no-deps -r requirements-procgen.txt
	touch $@

.venv/.rl: .venv/.test
	$(PIP) -e '.[test,rl]'
	touch $@

.venv/.lint: .venv/.test
	$(PIP) -e '.[test,dev]'
	touch $@

clean:
	rm -rf .venv build dist
