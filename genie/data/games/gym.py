"""Games out of Gymnasium: any environment with `render_mode="rgb_array"`, by its id.

Continuous actions are recorded as a few named ones: nothing, and each axis at its ends. What an environment does not say of itself
(names of its actions, keys, licence) is taken from `genie.data.games.known`, or is a plain guess.
"""

from __future__ import annotations

import importlib
import itertools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from genie.data.games.game import LEVELS, NO_ADVICE, Game, Mood, OneByOne, Style, fit
from genie.errors import GenieError, MissingDependencyError

SHOWN_RATE = 15.0  # frames a second that a world should come near
MAX_ACTIONS = 64
MOVES = ("left", "right", "up", "down")
BUTTONS = {"NOOP": (), "FIRE": ("jump",), "UP": ("up",), "DOWN": ("down",), "LEFT": ("left",), "RIGHT": ("right",)}

Actions = Mapping[str, tuple[Any, tuple[str, ...]]]  # name -> what the environment is told, keys held


@dataclass(frozen=True)
class GymSource:
    """How an environment is made and shown, beyond its id."""

    id: str
    options: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments of gymnasium.make
    actions: Actions | None = None  # None: read from the action space
    rate: float | None = None  # None: the environment's render_fps
    crop: tuple[int, int, int, int] | None = None  # top, left, bottom, right of the rendered picture
    observed: bool = False  # the frame is the observation, not a rendering
    settle: tuple[int, int] = (0, 0)  # steps played before recording begins, at least and at most
    settle_action: int | None = None  # the action meanwhile; None: any
    advise: Callable[[Any], int] | None = None  # environment -> action that a simple player would take


class GymGame:
    """One Gymnasium environment as a `SingleGame`."""

    def __init__(self, source: GymSource, resolution: tuple[int, int], actions: Actions) -> None:
        self._source, self._resolution = source, resolution
        self._told = [told for told, _ in actions.values()]
        self._env = make_env(source)
        self._observation: Any = None

    def reset(self, seed: int) -> np.ndarray:
        self._observation, _ = self._env.reset(seed=seed % 2**31)
        least, most = self._source.settle
        if most:
            rng = np.random.default_rng([seed, 17])
            fixed = self._source.settle_action
            for _ in range(int(rng.integers(least, most + 1))):
                told = self._told[int(rng.integers(len(self._told))) if fixed is None else fixed]
                self._observation, _, terminated, truncated, _ = self._env.step(told)
                if terminated or truncated:
                    self._observation, _ = self._env.reset()
        return self._frame()

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        self._observation, reward, terminated, truncated, _ = self._env.step(self._told[action])
        return self._frame(), float(reward), bool(terminated or truncated)

    def advice(self) -> int:
        return NO_ADVICE if self._source.advise is None else self._source.advise(self._env.unwrapped)

    def observation(self) -> Any:
        return self._observation

    def close(self) -> None:
        self._env.close()

    def _frame(self) -> np.ndarray:
        picture = cropped(self._observation if self._source.observed else self._env.render(), self._source)
        return fit(picture, self._resolution, "stretch")


def cropped(picture: Any, source: GymSource) -> np.ndarray:
    """The part of an environment's picture that is recorded, uint8 [h, w, 3]."""
    if not isinstance(picture, np.ndarray) or picture.ndim != 3 or picture.shape[2] != 3:
        raise GenieError(f"{source.id} does not render colour pictures, so there is nothing to record.")
    top, left, bottom, right = source.crop or (0, 0, *picture.shape[:2])
    return picture[top:bottom, left:right].astype(np.uint8, copy=False)


def like(picture: np.ndarray) -> tuple[int, int]:
    """The size in multiples of 16 that comes nearest to a picture's shape, its shorter side 64."""
    tall, wide = picture.shape[:2]
    short = min(tall, wide)
    return max(64, min(512, 16 * round(4 * tall / short))), max(64, min(512, 16 * round(4 * wide / short)))


def make_env(source: GymSource) -> Any:
    """The environment itself.

    Raises:
        MissingDependencyError: Gymnasium, or what this environment needs, is not installed.
        GenieError: no such environment, or it cannot render pictures.
    """
    try:
        import gymnasium
    except ImportError as error:
        raise MissingDependencyError(f"{source.id} needs gymnasium: pip install 'genie-worlds[games]'.") from error
    options = dict(source.options) if source.observed else {"render_mode": "rgb_array", **source.options}
    if source.id.startswith("ALE/"):
        try:
            ale = importlib.import_module("ale_py")
        except ImportError as error:
            raise MissingDependencyError(f"{source.id} needs ale-py: pip install 'genie-worlds[games]'.") from error
        ale.ALEInterface.setLoggerMode(ale.LoggerMode.Error)
        gymnasium.register_envs(ale)
    try:
        spec = gymnasium.spec(source.id)
    except (gymnasium.error.Error, ImportError) as error:
        raise GenieError(f"Gymnasium has no environment {source.id!r} ({error}).") from error
    try:
        env = gymnasium.make(spec, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise MissingDependencyError(
            f"{source.id} needs more than is installed ({error}); try pip install 'genie-worlds[games]'."
        ) from error
    except (gymnasium.error.Error, TypeError, ValueError, ImportError) as error:
        raise GenieError(f"{source.id} cannot be opened with render_mode='rgb_array' ({error}).") from error
    if not source.observed and env.render_mode != "rgb_array":
        env.close()
        raise GenieError(f"{source.id} does not render rgb_array pictures, so there is nothing to record.")
    return env


def gym_game(
    source: GymSource,
    resolution: tuple[int, int] | None = None,
    name: str | None = None,
    licence: str | None = None,
    style: Style | None = None,
    **changes: Any,
) -> Game:
    """A Gymnasium environment as a game to record. Opens it once, to ask for its rate, actions and shape."""
    env = make_env(source)
    try:
        size = resolution or like(_picture(env, source))
        rate = source.rate or float(env.metadata.get("render_fps") or 30.0)
        actions = source.actions or actions_of(env)
        entry = env.spec.entry_point  # "package.module:Class", or the class itself
        known = (entry if isinstance(entry, str) else entry.__module__).split(":")[0].split(".")[0]
    finally:
        env.close()
    skip = max(1, round(rate / SHOWN_RATE))
    version = getattr(importlib.import_module("gymnasium"), "__version__", "")
    return Game(
        name=name or re.sub(r"[^A-Za-z0-9._-]+", "-", source.id).strip("-"),
        resolution=size,
        rate=rate,
        skip=skip,
        actions={action: keys for action, (_, keys) in actions.items()},
        levels=LEVELS,
        style=style or sticky_random(len(actions), skip),
        source=f"{source.id} (Gymnasium {version}, {known})",
        licence=licence or ("MIT (Gymnasium, Farama Foundation); recorded by genie" if known == "gymnasium" else "unknown"),
        make=lambda count, split, seed: OneByOne([GymGame(source, size, actions) for _ in range(count)], LEVELS[split], seed),
        about={
            "environment": source.id,
            "options": {key: str(value) for key, value in source.options.items()},
            "told": {action: np.asarray(told).tolist() for action, (told, _) in actions.items()},
        },
        **changes,
    )


def _picture(env: Any, source: GymSource) -> np.ndarray:
    observation, _ = env.reset(seed=0)
    return cropped(observation if source.observed else env.render(), source)


def sticky_random(actions: int, skip: int) -> Style:
    """Every action alike, each held for about four frames."""
    return Style(moods={"anything": Mood(1.0, (1.0,) * actions)}, hold_steps=4 * skip, repeat=skip)


def actions_of(env: Any) -> Actions:
    """Named actions out of an action space; keys where a name tells one, or where there are few enough to guess.

    Raises:
        GenieError: the space has no few actions to choose from.
    """
    from gymnasium import spaces

    space, meanings = env.action_space, getattr(env.unwrapped, "get_action_meanings", None)
    if isinstance(space, spaces.Discrete) and space.n <= MAX_ACTIONS:
        told = [int(space.start) + number for number in range(int(space.n))]
        if meanings is not None and len(meanings()) == len(told):
            return {_named(meaning): (number, _keys(meaning)) for meaning, number in zip(meanings(), told, strict=True)}
        keys = [(), *((move,) for move in (*MOVES, "jump"))] if len(told) > 2 else [("left",), ("right",)]
        return {f"move {i}": (number, keys[i] if i < len(keys) else ()) for i, number in enumerate(told)}
    if isinstance(space, spaces.MultiBinary) and isinstance(space.n, int) and space.n < MAX_ACTIONS:
        buttons = np.eye(space.n, dtype=space.dtype)
        return {"noop": (buttons[0] * 0, ()), **{f"button {i}": (row, _guess(i)) for i, row in enumerate(buttons)}}
    if isinstance(space, spaces.MultiDiscrete) and space.nvec.prod() <= MAX_ACTIONS:
        combos = itertools.product(*(range(int(n)) for n in space.nvec.ravel()))
        return {"move " + " ".join(map(str, combo)): (np.array(combo, space.dtype), _guess(i - 1)) for i, combo in enumerate(combos)}
    if isinstance(space, spaces.Box) and space.is_bounded() and space.shape and 2 * space.low.size < MAX_ACTIONS:
        middle = np.clip(np.zeros(space.shape, space.dtype), space.low, space.high)
        found: dict[str, tuple[Any, tuple[str, ...]]] = {"noop": (middle, ())}
        for axis, (end, bound) in itertools.product(range(middle.size), (("-", space.low), ("+", space.high))):
            moved = middle.copy()
            moved.flat[axis] = bound.flat[axis]
            if not np.array_equal(moved, middle):
                found[f"axis {axis}{end}"] = (moved, _guess(len(found) - 1))
        return found
    raise GenieError(f"{env.spec.id} has the action space {space}, of which no few named actions can be made.")


def index_of(told: Any, game: Game) -> int:
    """Which of the game's actions a policy's own action is; the nearest one for a continuous action."""
    known = np.array([np.ravel(np.asarray(value, float)) for value in game.about["told"].values()])
    return int(np.argmin(np.abs(known - np.ravel(np.asarray(told, float))).sum(1)))


def _guess(number: int) -> tuple[str, ...]:
    keys = (*MOVES, "jump")
    return (keys[number],) if 0 <= number < len(keys) else ()


def _named(meaning: str) -> str:
    parts = _parts(meaning)
    return "+".join(part.lower() for part in parts) if parts else meaning.lower()


def _keys(meaning: str) -> tuple[str, ...]:
    return tuple(key for part in _parts(meaning) for key in BUTTONS[part])


def _parts(meaning: str) -> list[str]:
    """`UPRIGHTFIRE` -> UP, RIGHT, FIRE; empty where the meaning is made of other words."""
    parts = re.findall("|".join(BUTTONS), meaning.upper())
    return parts if "".join(parts) == meaning.upper() else []
