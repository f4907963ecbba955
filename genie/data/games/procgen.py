"""The sixteen procgen games (Cobbe et al. 2020; MIT): easy or hard mode with backgrounds, 64×64, vectorised in C++.

`num_levels=0` would draw from all levels and mix the splits, so it is never used.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping
from typing import Any

import numpy as np

from genie.data.games.game import LEVELS, Game, Moment, Mood, Style, fit
from genie.data.store import Split
from genie.errors import MissingDependencyError

RATE = 30.0  # game steps a second; the games are shown at 15 with frame skip 2
EPISODE_LIMIT = 1000  # game steps: procgen's own time-out
NATIVE = (64, 64)
SOURCE = "procgen {} (procgen-mirror 0.10.7)"
LICENCE = "MIT (procgen, Copyright OpenAI); recorded by genie"

Actions = Mapping[str, tuple[int, tuple[str, ...]]]  # name -> procgen's action number, keys held

STAY: Actions = {"noop": (4, ())}
SIDES: Actions = {"left": (1, ("left",)), "right": (7, ("right",))}
UP_DOWN: Actions = {"up": (5, ("up",)), "down": (3, ("down",))}
DIAGONALS: Actions = {
    "left+up": (2, ("left", "up")),
    "right+up": (8, ("right", "up")),
    "left+down": (0, ("left", "down")),
    "right+down": (6, ("right", "down")),
}
JUMPS: Actions = {"jump": (5, ("jump",)), "left+jump": (2, ("left", "jump")), "right+jump": (8, ("right", "jump"))}
FIRE: Actions = {"fire": (9, ("jump",))}
THRUST: Actions = {"thrust": (5, ("up",)), "left+thrust": (2, ("left", "up")), "right+thrust": (8, ("right", "up"))}
FOUR = {**STAY, **SIDES, **UP_DOWN}
PLATFORMER = {**STAY, **SIDES, **JUMPS}

GAMES: dict[str, Actions] = {
    "bigfish": {**FOUR, **DIAGONALS},
    "bossfight": {**FOUR, **DIAGONALS, **FIRE},
    "caveflyer": {**STAY, **SIDES, **THRUST, **FIRE},
    "chaser": FOUR,
    "climber": PLATFORMER,
    "dodgeball": {**FOUR, **DIAGONALS, **FIRE},
    "fruitbot": {**STAY, **SIDES, **FIRE},
    "heist": FOUR,
    "jumper": PLATFORMER,
    "leaper": FOUR,
    "maze": FOUR,
    "miner": FOUR,
    "ninja": {**PLATFORMER, "throw": (9, ("up",))},
    "plunder": {**STAY, **SIDES, **FIRE},
    "starpilot": {**FOUR, **DIAGONALS, **FIRE},
}


class ProcgenGames:
    """B procgen games as a `VectorGame`."""

    def __init__(self, name: str, actions: Actions, resolution: tuple[int, int], count: int, split: Split, seed: int, mode: str) -> None:
        self._native = resolution == NATIVE
        self._resolution = resolution
        self._games = make_environment(name, count, split, seed, large=not self._native, mode=mode)
        self._numbers = np.array([number for number, _ in actions.values()], np.int32)
        self._seeds = np.array([int(info["level_seed"]) for info in self._games.get_info()], np.int64)

    def observe(self) -> Moment:
        rewards, observation, first = self._games.observe()
        if first.any() or not self._native:
            info = self._games.get_info()
            for row in np.flatnonzero(first):
                self._seeds[row] = int(info[row]["level_seed"])
        frames = observation["rgb"] if self._native else np.stack([fit(each["rgb"], self._resolution) for each in info])
        return Moment(frames, rewards, first, self._seeds)

    def act(self, actions: np.ndarray) -> None:
        self._games.act(self._numbers[actions])

    def close(self) -> None:
        self._games.close()


def make_environment(
    name: str, count: int, split: Split, seed: int, threads: int = 2, large: bool = False, mode: str = "easy", flat: bool = False
) -> Any:
    """`count` games on the split's own levels (a gym3 environment); `large` also renders 512×512 pictures.

    `flat` games are the same ones, step by step, painted in one colour a kind of thing and without backgrounds.
    """
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            from procgen import ProcgenGym3Env  # gym, which it imports, prints a deprecation text
    except ImportError as error:
        raise MissingDependencyError(
            f"Recording {name} needs the game itself: pip install --no-deps -r requirements-procgen.txt"
        ) from error
    start_level, num_levels = LEVELS[split]
    return ProcgenGym3Env(
        num=count,
        env_name=name,
        num_levels=num_levels,
        start_level=start_level,
        distribution_mode=mode,
        use_backgrounds=not flat,
        use_monochrome_assets=flat,
        restrict_themes=flat,
        num_threads=threads,
        rand_seed=seed,
        render_mode="rgb_array" if large else None,
    )


def procgen_game(name: str, actions: Actions, style: Style, resolution: tuple[int, int] | None = None, mode: str = "easy") -> Game:
    """A procgen game, at 64×64 or painted large and made smaller; `mode` "easy", or "hard" with all its themes and harder levels."""
    size = resolution or NATIVE
    return Game(
        name=name if mode == "easy" else f"{name}-{mode}",
        resolution=size,
        rate=RATE,
        skip=2,
        actions={action: keys for action, (_, keys) in actions.items()},
        levels=LEVELS,
        style=style,
        source=SOURCE.format(name),
        licence=LICENCE,
        make=lambda count, split, seed: ProcgenGames(name, actions, size, count, split, seed, mode),
        about={"mode": mode, "backgrounds": True},
        episode_limit=EPISODE_LIMIT,
        environments=32,
    )


def any_action(count: int) -> Style:
    """Moods for a game that nobody has tuned: a little of everything, and one direction for longer."""
    return Style(moods={"anything": Mood(1.0, (1.0,) * count)})
