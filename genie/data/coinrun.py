"""Recording CoinRun: the real game (procgen), a sticky mixed policy, whole episodes into a dataset.

Easy mode with backgrounds. Training levels are 0 … 999,999, held-out ones 1,000,000 … 1,099,999; `num_levels=0`
would draw from all levels and mix the two, so it is never used.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from genie.data.store import SPLITS, DatasetInfo, DatasetWriter, Split
from genie.errors import MissingDependencyError

LEVELS: dict[Split, tuple[int, int]] = {"train": (0, 1_000_000), "held_out": (1_000_000, 100_000)}  # first level, how many
ACTIONS: dict[str, tuple[int, tuple[str, ...]]] = {  # name: procgen's action number, keys held
    "noop": (4, ()),
    "left": (1, ("left",)),
    "right": (7, ("right",)),
    "jump": (5, ("jump",)),
    "left+jump": (2, ("left", "jump")),
    "right+jump": (8, ("right", "jump")),
}
ACTION_REPEAT = 2  # an action is held for a multiple of this many game steps
GAME_RATE = 30.0  # game steps a second; CoinRun is a 30 Hz platformer shown at 15 with frame skip 2
EPISODE_LIMIT = 1000  # game steps: procgen's own time-out

# Moods of the policy: how often an environment takes one, and its weights over ACTIONS (in their order).
MOODS: dict[str, tuple[float, tuple[float, ...]]] = {
    "explore right": (0.38, (0.05, 0.04, 0.37, 0.05, 0.04, 0.45)),
    "explore left": (0.28, (0.05, 0.37, 0.04, 0.05, 0.45, 0.04)),
    "anything": (0.26, (0.15, 0.17, 0.17, 0.17, 0.17, 0.17)),
    "linger": (0.08, (0.55, 0.10, 0.10, 0.15, 0.05, 0.05)),
}
SETTING_OUT = 0.6  # of the episodes begin exploring right: the level lies there, and the start looks much the same everywhere
MOOD_STEPS = 120  # mean game steps a mood lasts
HOLD_STEPS = 8  # mean game steps an action is held


class StickyMixedPolicy:
    """Keeps a mood for seconds and an action for a fraction of one, as people do; B environments at once."""

    def __init__(self, count: int, rng: np.random.Generator) -> None:
        self._rng = rng
        self._mood_share = np.array([share for share, _ in MOODS.values()])
        self._mood_share /= self._mood_share.sum()
        weights = np.array([w for _, w in MOODS.values()])
        self._cumulative = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
        self._mood = rng.choice(len(MOODS), count, p=self._mood_share)
        self._action = np.zeros(count, np.int64)
        self._age = np.zeros(count, np.int64)

    def act(self, first: np.ndarray) -> np.ndarray:
        """bool [B] (episode begins) -> int [B], indices into ACTIONS."""
        count = len(first)
        self._age = np.where(first, 0, self._age + 1)
        may_change = self._age % ACTION_REPEAT == 0
        draw = self._rng.random((3, count))
        new_mood = first | (may_change & (draw[0] < ACTION_REPEAT / MOOD_STEPS))
        self._mood = np.where(new_mood, self._rng.choice(len(MOODS), count, p=self._mood_share), self._mood)
        self._mood = np.where(first & (self._rng.random(count) < SETTING_OUT), 0, self._mood)
        new_action = first | new_mood | (may_change & (draw[1] < ACTION_REPEAT / HOLD_STEPS))
        choice = (draw[2][:, None] >= self._cumulative[self._mood]).sum(1).clip(max=len(ACTIONS) - 1)
        self._action = np.where(new_action, choice, self._action)
        return self._action


def make_environment(count: int, split: Split, seed: int, threads: int = 2, mode: str = "easy") -> Any:
    """`count` CoinRun games on the split's own levels (a gym3 environment)."""
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            from procgen import ProcgenGym3Env  # gym, which it imports, prints a deprecation text
    except ImportError as error:
        raise MissingDependencyError(
            "Recording CoinRun needs the game itself: pip install --no-deps -r requirements-procgen.txt"
        ) from error
    start_level, num_levels = LEVELS[split]
    return ProcgenGym3Env(
        num=count,
        env_name="coinrun",
        num_levels=num_levels,
        start_level=start_level,
        distribution_mode=mode,
        use_backgrounds=True,
        num_threads=threads,
        rand_seed=seed,
    )


def dataset_info(train_frames: int, held_out_frames: int, seed: int, environments: int = 32) -> DatasetInfo:
    """The attributes of a CoinRun dataset of this size."""
    return DatasetInfo(
        name="coinrun",
        resolution=(64, 64),
        game_rate=GAME_RATE,
        action_names=tuple(ACTIONS),
        action_keys=tuple(keys for _, keys in ACTIONS.values()),
        frames={"train": train_frames, "held_out": held_out_frames},
        recipe={
            "game": "procgen coinrun (procgen-mirror 0.10.7)",
            "mode": "easy",
            "backgrounds": True,
            "levels": {name: list(levels) for name, levels in LEVELS.items()},
            "policy": "sticky mixed",
            "moods": {name: [share, list(weights)] for name, (share, weights) in MOODS.items()},
            "setting_out": SETTING_OUT,
            "mood_steps": MOOD_STEPS,
            "hold_steps": HOLD_STEPS,
            "action_repeat": ACTION_REPEAT,
            "environments": environments,
            "seed": seed,
        },
        licence="MIT (procgen, Copyright OpenAI); recorded by genie",
    )


def record(
    path: str | Path,
    train_frames: int,
    held_out_frames: int,
    seed: int = 0,
    environments: int = 32,
    progress: Callable[[str, int], None] = lambda split, frames: None,
) -> None:
    """Record both splits into `path`; goes on where an interrupted recording stopped.

    Args:
        progress: called with the split's name and the frames it has so far.
    """
    writer = DatasetWriter(path, dataset_info(train_frames, held_out_frames, seed, environments))
    for order, split in enumerate(SPLITS):
        if writer.wanted(split) > 0:
            entropy = [seed, order, writer.committed[split]]  # a resumed recording goes on to new levels, not the same
            _record_split(writer, split, np.random.default_rng(entropy), environments, progress)
    writer.close()


def _record_split(
    writer: DatasetWriter,
    split: Split,
    rng: np.random.Generator,
    environments: int,
    progress: Callable[[str, int], None],
) -> None:
    count = max(1, min(environments, writer.wanted(split) // 200))
    game = make_environment(count, split, seed=int(rng.integers(2**31)))
    policy = StickyMixedPolicy(count, rng)
    numbers = np.array([number for number, _ in ACTIONS.values()], np.int32)
    height, width = writer.info.resolution
    frames = np.zeros((count, EPISODE_LIMIT, height, width, 3), np.uint8)
    actions = np.zeros((count, EPISODE_LIMIT), np.uint8)
    rewards = np.zeros((count, EPISODE_LIMIT), np.float32)
    length = np.zeros(count, np.int64)
    seeds = np.zeros(count, np.int64)
    rows = np.arange(count)

    def hand_over(row: int) -> None:
        n = int(length[row])
        writer.add(split, frames[row, :n].copy(), actions[row, :n].copy(), rewards[row, :n].copy(), seeds[row])
        length[row] = 0
        progress(split, writer.info.frames[split] - writer.wanted(split))

    while True:
        reward, observation, first = game.observe()
        # A reward belongs to the action before it, so to the episode that may just have ended.
        last = length - 1
        rewards[rows[last >= 0], last[last >= 0]] = reward[last >= 0]
        for row in np.flatnonzero(first | (length >= EPISODE_LIMIT)):
            hand_over(int(row))
        # When the episodes in flight would fill what is left, stop and hand those over.
        if length.sum() >= writer.wanted(split):
            for row in rows:
                hand_over(int(row))
            return
        if first.any():
            info = game.get_info()
            for row in np.flatnonzero(first):
                seeds[row] = int(info[row]["level_seed"])
        choice = policy.act(first)
        frames[rows, length] = observation["rgb"]
        actions[rows, length] = choice
        rewards[rows, length] = 0.0
        length += 1
        game.act(numbers[choice])
