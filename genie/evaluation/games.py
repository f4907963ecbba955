"""The real game, branched: one state, several action sequences, and what the game makes of each (procgen's get_state / set_state).

Here is what the counterfactuals, the revisits, the protocols `genieredux` and `play` and the judge of things stand on. Games without such
states are judged by their recorded clips alone.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from genie.data.coinrun import ACTIONS, FLAT, StickyMixedPolicy, make_environment
from genie.data.games.procgen import NATIVE
from genie.data.store import DatasetInfo, Split
from genie.errors import GenieError
from genie.metrics import changed_pixels

SPARE = 4  # games started for each clip that is wanted: in some of them the level ends too soon
TWINS = 32  # games that are painted twice at once
APART = 8  # frames between two that are kept
WARM_UP = 40  # frames of play before the prompt, so that not every clip shows a level's start


def branchable(info: DatasetInfo) -> bool:
    """Whether the dataset's game can be branched here, at the size that the dataset has."""
    coinrun = str(info.recipe.get("game", "")).startswith("procgen coinrun") and info.resolution == NATIVE
    return coinrun and find_spec("procgen") is not None


@dataclass(frozen=True)
class Moments:
    """B moments of the real game on held-out levels: what led to them, and the games themselves."""

    prompts: np.ndarray  # uint8 [B, P, H, W, 3]; the last is the frame of the moment
    actions: np.ndarray  # int [B, P-1], indices of the dataset's action names
    states: list[bytes]


class BranchingGame:
    """B games of CoinRun on held-out levels, stepped together; an action is held for `skip` game steps."""

    def __init__(self, info: DatasetInfo, count: int, skip: int, seed: int) -> None:
        if not branchable(info):
            raise GenieError(f"{info.name}: its real game cannot be branched here; `--protocol default` needs recorded clips only.")
        self.count, self.skip = count, skip
        self._numbers = np.array([ACTIONS[name][0] for name in info.action_names], np.int32)
        self._game = make_environment(count, "held_out", seed, mode=str(info.recipe.get("mode", "easy")))
        self.ended = np.zeros(count, bool)  # a level ended since `restore`, so the picture is of another one

    @property
    def frames(self) -> np.ndarray:
        """What the games show, uint8 [B, H, W, 3]."""
        return self._game.observe()[1]["rgb"].copy()

    def step(self, actions: np.ndarray) -> np.ndarray:
        """int [B] -> the next frames."""
        for _ in range(self.skip):
            self._game.act(self._numbers[actions])
            self.ended |= self._game.observe()[2].astype(bool)
        return self.frames

    def play(self, actions: np.ndarray) -> np.ndarray:
        """int [B, S] -> uint8 [B, S, H, W, 3]."""
        return np.stack([self.step(column) for column in actions.T], axis=1)

    def states(self) -> list[bytes]:
        """The games as they are; `restore` goes on from here exactly."""
        return self._game.get_state()

    def restore(self, states: list[bytes]) -> None:
        """Put the games into these states."""
        self._game.set_state(states)
        self.ended[:] = False

    def close(self) -> None:
        """Let go of the games."""
        self._game.close()


def painted_twice(
    info: DatasetInfo, frames: int, split: Split, skip: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> tuple[np.ndarray, np.ndarray]:
    """Frames of the game played with sticky keys, uint8 [N, H, W, 3], and which kind of thing each pixel shows, uint8 [N, H, W].

    The game is played beside itself in flat colours (`FLAT`; its kinds count from 1, 0 is all else). N is `frames`, or a few more; they are
    `APART` frames apart.

    Raises:
        GenieError: it is not CoinRun, or the game is not installed.
    """
    if not branchable(info):
        raise GenieError(
            f"{info.name}: its real game cannot be painted twice here; that asks for CoinRun at 64×64 (requirements-procgen.txt)."
        )
    mode = str(info.recipe.get("mode", "easy"))
    numbers = np.array([ACTIONS[name][0] for name in info.action_names], np.int32)
    policy = StickyMixedPolicy(TWINS, np.random.default_rng([seed, 31]))
    shown, kinds = [], []
    with ExitStack() as open_games:
        twins = []
        for flat in (False, True):
            twins.append(make_environment(TWINS, split, seed, mode=mode, flat=flat))
            open_games.callback(twins[-1].close)
        for moment in range(-(-frames // TWINS)):
            for _ in range(APART * skip):
                begun = [twin.observe()[2].astype(bool) for twin in twins]
                if (begun[0] != begun[1]).any():
                    raise GenieError(
                        f"{info.name}: the game and its flat twin have come apart; this procgen paints another game in flat colours."
                    )
                actions = numbers[policy.act(begun[0])]
                for twin in twins:
                    twin.act(actions)
            plain, painted = (twin.observe()[1]["rgb"] for twin in twins)
            shown.append(plain.copy())
            here = np.zeros(painted.shape[:-1], np.uint8)
            for kind, colours in enumerate(FLAT.values(), 1):
                here[np.any([(painted == colour).all(-1) for colour in colours], axis=0)] = kind
            kinds.append(here)
            progress(TWINS * (moment + 1))
    return np.concatenate(shown), np.concatenate(kinds)


def human_keys(info: DatasetInfo, count: int, frames: int, skip: int, seed: int) -> np.ndarray:
    """int [count, frames]: keys held for a fraction of a second, in moods of seconds, as people do."""
    policy = StickyMixedPolicy(count, np.random.default_rng([seed, 23]))
    first = np.ones(count, bool)
    made = np.empty((count, frames), np.int64)
    for frame in range(frames):
        made[:, frame] = policy.act(first)
        first = np.zeros(count, bool)
        for _ in range(skip - 1):
            policy.act(first)
    return made


def random_keys(info: DatasetInfo, count: int, frames: int, seed: int) -> np.ndarray:
    """int [count, frames]: each frame any action, with equal chance."""
    return np.random.default_rng([seed, 29]).integers(len(info.action_names), size=(count, frames))


def find_moments(game: BranchingGame, keys: np.ndarray, prompt_frames: int) -> Moments:
    """Play `keys` int [B, WARM_UP + prompt_frames - 1]; the moment is after the last of them.

    `game.ended` says afterwards whose prompt spans two levels.
    """
    for column in keys[:, :WARM_UP].T:
        game.step(column)
    game.ended[:] = False
    led = keys[:, WARM_UP : WARM_UP + prompt_frames - 1]
    shown = [game.frames, *(game.step(column) for column in led.T)]
    return Moments(np.stack(shown, axis=1), led, game.states())


@dataclass(frozen=True)
class Branches:
    """Moments of the real game and K futures of each; only moments whose level goes on in all of them."""

    prompts: np.ndarray  # uint8 [B, P, H, W, 3]
    prompt_actions: np.ndarray  # int [B, P-1], indices of the dataset's action names
    actions: list[np.ndarray]  # K times int [B, S]; S may differ
    frames: list[np.ndarray]  # K times uint8 [B, S, H, W, 3]


def branch(
    info: DatasetInfo, count: int, skip: int, seed: int, keys: np.ndarray, futures: list[np.ndarray], prompt_frames: int, motion: float = 0
) -> Branches:
    """Up to `count` moments and their futures.

    Args:
        keys: int [N, WARM_UP + prompt_frames - 1] that lead to N moments; N = SPARE · count leaves enough.
        futures: K times int [N, S].
        motion: share of the pixels that the prompt's last step must have changed.

    Raises:
        GenieError: no level goes on long enough.
    """
    game = BranchingGame(info, len(keys), skip, seed)
    try:
        moments = find_moments(game, keys, prompt_frames)
        usable = ~game.ended
        if motion > 0:
            usable &= changed_pixels(moments.prompts[:, -1], moments.prompts[:, -2]).mean(axis=(-1, -2)) >= motion
        made = []
        for actions in futures:
            game.restore(moments.states)
            made.append(game.play(actions))
            usable &= ~game.ended
    finally:
        game.close()
    chosen = np.flatnonzero(usable)[:count]
    if not len(chosen):
        raise GenieError(f"none of {len(keys)} levels goes on for {max(f.shape[1] for f in futures)} frames; ask for fewer.")
    kept_actions, kept_frames = [actions[chosen] for actions in futures], [frames[chosen] for frames in made]
    return Branches(moments.prompts[chosen], moments.actions[chosen], kept_actions, kept_frames)
