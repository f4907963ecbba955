"""What a recorder needs of a game: a description (`Game`) and B copies of it that are played together (`VectorGame`).

A game that comes one at a time is a `SingleGame`; `OneByOne` plays B of them, each episode on a level seed of its split.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from PIL import Image

from genie.data.store import Split

NO_ADVICE = -1
LEVELS: dict[Split, tuple[int, int]] = {"train": (0, 1_000_000), "held_out": (1_000_000, 100_000)}  # first seed, how many


@dataclass(frozen=True)
class Mood:
    """One way of playing: how often it is taken, and the weight of each action (in their order); None plays as the game advises."""

    share: float
    weights: tuple[float, ...] | None


@dataclass(frozen=True)
class Style:
    """How the sticky mixed policy plays a game. Times in game steps."""

    moods: Mapping[str, Mood]
    setting_out: float = 0.0  # of the episodes begin in the first mood
    mood_steps: int = 120  # mean time a mood lasts
    hold_steps: int = 8  # mean time an action is held
    repeat: int = 2  # an action is held for a multiple of this


@dataclass(frozen=True)
class Moment:
    """What B games show now. `rewards` belong to the action before; where `first` is set a new episode has just begun."""

    frames: np.ndarray  # uint8 [B, H, W, 3]
    rewards: np.ndarray  # float32 [B]
    first: np.ndarray  # bool [B]
    seeds: np.ndarray  # int64 [B], level seed of the episode
    advice: np.ndarray | None = None  # int [B], the action that a simple player would take, or NO_ADVICE
    observations: Sequence[Any] | None = None  # what a trained policy of the game reads, where that is not the frame

    def part(self, rows: np.ndarray) -> Moment:
        """The same of some of the games, int [R]."""
        advice = None if self.advice is None else self.advice[rows]
        observations = None if self.observations is None else [self.observations[row] for row in rows]
        return Moment(self.frames[rows], self.rewards[rows], self.first[rows], self.seeds[rows], advice, observations)


class VectorGame(Protocol):
    """B games played together; an episode that ends is followed by the next one at once."""

    def observe(self) -> Moment:
        """What is to be seen; the same until `act` is called."""
        ...

    def act(self, actions: np.ndarray) -> None:
        """One game step: int [B], indices into the game's actions."""
        ...

    def close(self) -> None:
        """Let go of the games."""
        ...


@dataclass(frozen=True)
class Game:
    """A game that can be recorded. Levels of the two splits never overlap."""

    name: str
    resolution: tuple[int, int]  # height, width
    rate: float  # game steps a second
    skip: int  # game steps to a frame of the world
    actions: Mapping[str, tuple[str, ...]]  # name -> keys held
    levels: Mapping[Split, tuple[int, int]]  # first seed, how many
    style: Style
    source: str  # what was recorded, with its version
    licence: str
    make: Callable[[int, Split, int], VectorGame]  # how many, split, seed
    about: Mapping[str, Any] = field(default_factory=dict)  # what else the recipe should say
    episode_limit: int = 1000  # game steps
    environments: int = 8  # played at once unless told otherwise
    research_only: bool = False


class SingleGame(Protocol):
    """One game. Frames are uint8 [H, W, 3] of the game's resolution."""

    def reset(self, seed: int) -> np.ndarray:
        """Begin an episode on this level seed; its first frame."""
        ...

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        """One game step: the frame it leads to, the reward, whether the episode is over."""
        ...

    def advice(self) -> int:
        """The action that a simple player would take now, or NO_ADVICE."""
        ...

    def observation(self) -> Any:
        """What a trained policy reads; None where the game offers nothing beside its frames."""
        ...

    def close(self) -> None:
        """Let go of the game."""
        ...


class OneByOne:
    """A `VectorGame` out of single ones, in `threads` threads (more than one helps only games that leave Python while they run)."""

    def __init__(self, games: Sequence[SingleGame], levels: tuple[int, int], seed: int, threads: int = 1) -> None:
        self._games = list(games)
        self._first_level, self._level_count = levels
        self._rng = np.random.default_rng(seed)
        self._pool = ThreadPoolExecutor(max_workers=threads, thread_name_prefix="game") if threads > 1 else None
        count = len(self._games)
        self._seeds = np.array([self._next_level() for _ in range(count)], np.int64)
        frames = self._each(lambda row: self._games[row].reset(int(self._seeds[row])))
        self._moment = self._seen(np.stack(frames), np.zeros(count, np.float32), np.ones(count, bool))

    def observe(self) -> Moment:
        return self._moment

    def act(self, actions: np.ndarray) -> None:
        results = self._each(lambda row: self._games[row].step(int(actions[row])))
        ended = np.array([over for _, _, over in results])
        seeds = self._seeds.copy()
        for row in np.flatnonzero(ended):
            seeds[row] = self._next_level()
        self._seeds = seeds
        frames = self._each(lambda row: self._games[row].reset(int(seeds[row])) if ended[row] else results[row][0])
        self._moment = self._seen(np.stack(frames), np.array([reward for _, reward, _ in results], np.float32), ended)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
        for game in self._games:
            game.close()

    def _seen(self, frames: np.ndarray, rewards: np.ndarray, first: np.ndarray) -> Moment:
        advice = np.array([game.advice() for game in self._games])
        return Moment(frames, rewards, first, self._seeds, advice, [game.observation() for game in self._games])

    def _each(self, work: Callable[[int], Any]) -> list[Any]:
        rows = range(len(self._games))
        return list(self._pool.map(work, rows)) if self._pool is not None else [work(row) for row in rows]

    def _next_level(self) -> int:
        return self._first_level + int(self._rng.integers(self._level_count))


def fit(frame: np.ndarray, resolution: tuple[int, int], how: str = "crop") -> np.ndarray:
    """A frame uint8 [h, w, 3] at another size: each new pixel is the mean of those it covers.

    Args:
        how: what happens to another aspect: "crop" the middle, "letterbox" in black, or "stretch".
    """
    height, width = resolution
    tall, wide = frame.shape[:2]
    if (tall, wide) == (height, width):
        return frame
    top, left, bottom, right = 0, 0, tall, wide
    inner = (height, width)
    if how == "crop":
        keep_h, keep_w = min(tall, round(wide * height / width)), min(wide, round(tall * width / height))
        top, left = (tall - keep_h) // 2, (wide - keep_w) // 2
        bottom, right = top + keep_h, left + keep_w
    elif how == "letterbox":
        scale = min(height / tall, width / wide)
        inner = (max(1, round(tall * scale)), max(1, round(wide * scale)))
    part = Image.fromarray(np.ascontiguousarray(frame[top:bottom, left:right]))
    small = np.asarray(part.resize((inner[1], inner[0]), Image.Resampling.BOX))
    if inner == (height, width):
        return small
    out = np.zeros((height, width, 3), np.uint8)
    y, x = (height - inner[0]) // 2, (width - inner[1]) // 2
    out[y : y + inner[0], x : x + inner[1]] = small
    return out
