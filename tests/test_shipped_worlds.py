"""Every world that ships, as users get it: whole, small, named keys that do something, a card that says where it comes from."""

from __future__ import annotations

import numpy as np
import pytest

import genie
from genie.bundle import CARD
from genie.world import installed_worlds

SHIPPED = installed_worlds()
MEGABYTES = {"coinrun": 60, "coinrun-easy": 60}  # of a world, at most; 30 where nothing is said


def test_coinrun_comes_first() -> None:
    assert next(iter(SHIPPED)) == "coinrun"


@pytest.mark.parametrize("name", SHIPPED)
class TestShippedWorld:
    def test_it_is_small_and_says_what_it_learned_from(self, name: str) -> None:
        files = [path for path in SHIPPED[name].rglob("*") if path.is_file()]
        assert sum(path.stat().st_size for path in files) < MEGABYTES.get(name, 30) * 2**20
        world = genie.load_world(name, device="cpu")
        assert world.name == name and world.data_card is not None
        card = (SHIPPED[name] / CARD).read_text()
        assert world.data_card.licence in card and "## Marks" in card and "## Limits" in card
        of_weights = "research only" if world.data_card.licence.startswith("research only") else "Apache-2.0"
        assert f"weights: {of_weights}; trained on: {world.data_card.licence}" in card

    def test_it_starts_from_each_prompt_and_answers_every_key(self, name: str) -> None:
        world = genie.load_world(name, device="cpu")
        assert len(world.prompts) >= 8
        keys = [action for action in world.actions if action.kind == "recorded"]
        assert len(keys) >= 3 and sum(not action.keys for action in keys) == 1  # one of them is doing nothing
        made = {}
        for action in keys:
            rollout = world.start(world.prompts[0].name, seed=3)
            made[action.name] = np.stack([rollout.step(action) for _ in range(12)])
            assert made[action.name].shape == (12, *world.resolution, 3)
        others = list(made.values())
        assert all((others[0] != frames).any() for frames in others[1:])
        for prompt in world.prompts[1:]:
            frame = world.start(prompt.name, seed=1).step(keys[0])
            assert np.abs(frame.astype(int) - prompt.frames[-1]).mean() < 50  # it goes on from there
