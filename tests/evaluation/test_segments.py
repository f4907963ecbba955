"""The judge of things: learned from the game painted twice, asked about levels that it has not seen."""

from __future__ import annotations

import numpy as np
import pytest

from genie.data.coinrun import FLAT
from genie.data.games.registry import find_game
from genie.data.policies import StickyMixed
from genie.data.recorder import dataset_info
from genie.data.store import DatasetInfo
from genie.errors import GenieError
from genie.evaluation import games, permanence
from genie.evaluation.segments import segments, train_segments

AGENT, CRATE, COIN = range(1, 4)
COLOURS = np.array([[230, 90, 60], [70, 200, 90], [80, 110, 240]], np.uint8)


@pytest.fixture(scope="module")
def hard() -> DatasetInfo:
    game = find_game("coinrun-hard")
    return dataset_info(game, 100, 100, 0, 8, StickyMixed().recipe(game))


def test_both_pictures_are_of_the_same_moment(hard: DatasetInfo) -> None:
    done: list[int] = []
    frames, kinds = games.painted_twice(hard, 200, "held_out", 2, 0, done.append)
    assert frames.shape == (224, 64, 64, 3) and kinds.shape == (224, 64, 64) and done[-1] == 224
    agents = kinds == AGENT
    assert (agents.sum(axis=(1, 2)) == 24).all()  # one in every frame, in the middle
    assert permanence.agent_there(agents).all() and not permanence.second_agent(agents).any()
    assert set(np.unique(kinds)) == set(range(len(FLAT) + 1))
    red, green, blue = frames[kinds == CRATE].mean(0)
    assert red > green + 20 > blue + 40  # crates are brown, whatever the theme
    red, green, blue = frames[kinds == COIN].mean(0)
    assert min(red, green) > blue + 40  # coins are yellow


def scenes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth backgrounds, and on each a block of every kind, of its colour and size, somewhere."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(np.repeat(rng.integers(100, 160, (count, 4, 4, 3)), 8, 1), 8, 2).astype(np.uint8)
    kinds = np.zeros((count, 32, 32), np.uint8)
    for frame, shown in zip(frames, kinds, strict=True):
        for kind, colour in enumerate(COLOURS, 1):
            y, x = rng.integers(0, 26, 2)
            here = slice(y, y + 3 + kind), slice(x, x + 3 + kind)
            frame[here], shown[here] = colour, kind
    return frames, kinds


def test_the_judge_says_what_each_pixel_of_new_frames_shows() -> None:
    done: list[int] = []
    weights = train_segments(*scenes(400, 0), 4, 120, 0, done.append)
    assert done == list(range(1, 121))
    frames, kinds = scenes(60, 1)
    found = segments(weights, frames, 4)
    assert found.dtype == np.uint8
    assert segments(weights, frames[:0], 4).shape == (0, 32, 32)  # of no rollouts
    for kind in range(1, 4):
        there, said = kinds == kind, found == kind
        assert (there & said).sum() > 0.8 * (there | said).sum()
    assert np.array_equal(segments(weights, frames[:6].reshape(2, 3, 32, 32, 3), 4), found[:6].reshape(2, 3, 32, 32))


def test_the_probe_asks_the_judge(hard: DatasetInfo) -> None:
    said: list[tuple[str, int, int]] = []
    weights = permanence.train_looks(hard, 64, 4, 2, 0, lambda *told: said.append(told))
    assert said[-1] == ("training the judge of things", 4, 4) and ("the game painted twice", 64, 64) in said
    probe = permanence.learned(weights, (64, 64))
    assert probe.things == ("crate", "coin")
    frames, _ = games.painted_twice(hard, 32, "train", 2, 0)
    found = probe.pixels(frames[None], ("agent", "crate", "coin"))
    assert set(found) == {"agent", "crate", "coin"} and all(pixels.shape == (1, 32, 64, 64) for pixels in found.values())
    assert set(probe.pixels(frames, ("agent",))) == {"agent"}
    again = permanence.train_looks(hard, 64, 4, 2, 0)
    assert all(np.array_equal(weights[name], again[name]) for name in weights)  # seeded


def test_another_game_is_not_painted_twice(hard: DatasetInfo) -> None:
    jumper = hard.model_copy(update={"name": "jumper", "recipe": {"game": "procgen jumper"}})
    with pytest.raises(GenieError, match=r"jumper: its real game cannot be painted twice here"):
        games.painted_twice(jumper, 32, "train", 2, 0)
