"""CoinRun, the game of the shipped world: its actions, and the moods of the policy that records it.

Training levels are 0 … 999,999, held-out ones 1,000,000 … 1,099,999.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from genie.data import policies, recorder
from genie.data.games import procgen
from genie.data.games.game import Game, Mood, Style
from genie.data.store import DatasetInfo, Split

ACTIONS: dict[str, tuple[int, tuple[str, ...]]] = {  # name: procgen's action number, keys held
    "noop": (4, ()),
    "left": (1, ("left",)),
    "right": (7, ("right",)),
    "jump": (5, ("jump",)),
    "left+jump": (2, ("left", "jump")),
    "right+jump": (8, ("right", "jump")),
}
STYLE = Style(
    moods={
        "explore right": Mood(0.38, (0.05, 0.04, 0.37, 0.05, 0.04, 0.45)),
        "explore left": Mood(0.28, (0.05, 0.37, 0.04, 0.05, 0.45, 0.04)),
        "anything": Mood(0.26, (0.15, 0.17, 0.17, 0.17, 0.17, 0.17)),
        "linger": Mood(0.08, (0.55, 0.10, 0.10, 0.15, 0.05, 0.05)),
    },
    setting_out=0.6,  # exploring right: the level lies there, and the start looks much the same everywhere
)
FLAT = {  # what is where in a flat picture: the figure standing or in the air, walking, climbing
    "agent": ((255, 191, 127), (127, 127, 191), (127, 255, 127)),
    "crate": ((191, 63, 127),),
    "coin": ((255, 191, 191),),
}
ENVIRONMENTS = 32


class StickyMixedPolicy(policies.StickyMixedPolicy):
    """The policy that recorded the shipped world's data."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        super().__init__(count, rng, STYLE)


def make_environment(count: int, split: Split, seed: int, threads: int = 2, mode: str = "easy", flat: bool = False) -> Any:
    """`count` CoinRun games on the split's own levels (a gym3 environment)."""
    return procgen.make_environment("coinrun", count, split, seed, threads, mode=mode, flat=flat)


def game(resolution: tuple[int, int] | None = None, mode: str = "easy") -> Game:
    """CoinRun as a game to record."""
    return procgen.procgen_game("coinrun", ACTIONS, STYLE, resolution, mode)


def dataset_info(train_frames: int, held_out_frames: int, seed: int, environments: int = ENVIRONMENTS) -> DatasetInfo:
    """The attributes of a CoinRun dataset of this size."""
    return recorder.dataset_info(game(), train_frames, held_out_frames, seed, environments, policies.StickyMixed().recipe(game()))


def record(
    path: str | Path,
    train_frames: int,
    held_out_frames: int,
    seed: int = 0,
    environments: int = ENVIRONMENTS,
    progress: Callable[[str, int], None] = lambda split, frames: None,
) -> None:
    """Record CoinRun as the shipped world's data was recorded."""
    recorder.record(path, game(), train_frames, held_out_frames, seed, environments, progress=progress)
