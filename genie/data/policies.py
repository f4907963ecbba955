"""Who plays while a game is recorded: a sticky mixed policy, or a trained one. B games at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from genie.data.games.game import NO_ADVICE, Game, Moment, Style
from genie.errors import GenieError, MissingDependencyError


class Policy(Protocol):
    """Chooses the actions of B games."""

    def act(self, moment: Moment) -> np.ndarray:
        """int [B], indices into the game's actions."""
        ...


class PolicyMaker(Protocol):
    """Makes the policy of one split, and says for the recipe what it is."""

    def make(self, game: Game, count: int, rng: np.random.Generator) -> Policy:
        """A fresh policy for `count` games."""
        ...

    def recipe(self, game: Game) -> dict[str, Any]:
        """What is needed to play like this again."""
        ...


class StickyMixedPolicy:
    """Keeps a mood for seconds and an action for a fraction of one, as people do."""

    def __init__(self, count: int, rng: np.random.Generator, style: Style) -> None:
        self._rng, self._style = rng, style
        moods = list(style.moods.values())
        self._mood_share = np.array([mood.share for mood in moods])
        self._mood_share /= self._mood_share.sum()
        self._advised = np.array([mood.weights is None for mood in moods])
        actions = next((len(mood.weights) for mood in moods if mood.weights is not None), 1)
        weights = np.array([mood.weights or (1.0,) * actions for mood in moods])
        self._cumulative = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
        self._mood = rng.choice(len(moods), count, p=self._mood_share)
        self._action = np.zeros(count, np.int64)
        self._age = np.zeros(count, np.int64)

    def act(self, first: np.ndarray, advice: np.ndarray | None = None) -> np.ndarray:
        """bool [B] (episode begins) and, where there is any, int [B] (what the game advises) -> int [B], indices into its actions."""
        style, count = self._style, len(first)
        self._age = np.where(first, 0, self._age + 1)
        may_change = self._age % style.repeat == 0
        draw = self._rng.random((3, count))
        new_mood = first | (may_change & (draw[0] < style.repeat / style.mood_steps))
        self._mood = np.where(new_mood, self._rng.choice(len(self._mood_share), count, p=self._mood_share), self._mood)
        self._mood = np.where(first & (self._rng.random(count) < style.setting_out), 0, self._mood)
        new_action = first | new_mood | (may_change & (draw[1] < style.repeat / style.hold_steps))
        choice = (draw[2][:, None] >= self._cumulative[self._mood]).sum(1).clip(max=self._cumulative.shape[1] - 1)
        self._action = np.where(new_action, choice, self._action)
        if advice is not None:
            advised = self._advised[self._mood] & may_change & (advice != NO_ADVICE)
            self._action = np.where(advised, advice, self._action)
        return self._action


class StickyMixed:
    """The sticky mixed policy in the style of the game."""

    def make(self, game: Game, count: int, rng: np.random.Generator) -> Policy:
        return _Sticky(StickyMixedPolicy(count, rng, game.style))

    def recipe(self, game: Game) -> dict[str, Any]:
        style = game.style
        return {
            "policy": "sticky mixed",
            "moods": {name: [mood.share, list(mood.weights) if mood.weights else "advised"] for name, mood in style.moods.items()},
            "setting_out": style.setting_out,
            "mood_steps": style.mood_steps,
            "hold_steps": style.hold_steps,
            "action_repeat": style.repeat,
        }


class _Sticky:
    def __init__(self, policy: StickyMixedPolicy) -> None:
        self._policy = policy

    def act(self, moment: Moment) -> np.ndarray:
        return self._policy.act(moment.first, moment.advice)


def check_policy_file(path: Path, trusted: bool) -> None:
    """Raises GenieError unless there is a policy file and it is trusted: it holds pickles, which can run any code."""
    if not path.is_file():
        raise GenieError(f"{path}: there is no such policy file.")
    if not trusted:
        raise GenieError(
            f"{path}: a policy file of stable-baselines3 can run any code when it is opened. "
            f"If you made it or trust who did, say so with --trust-policy."
        )


class TrainedPolicy:
    """A policy file of stable-baselines3. Such a file holds pickles: it can run any code, so it must be trusted."""

    def __init__(self, path: Path, trusted: bool) -> None:
        check_policy_file(path, trusted)
        self._path = path
        self._digest = hashlib.sha256(path.read_bytes()).hexdigest()

    def make(self, game: Game, count: int, rng: np.random.Generator) -> Policy:
        from zipfile import BadZipFile

        try:
            from stable_baselines3.common.base_class import BaseAlgorithm
            from stable_baselines3.common.save_util import load_from_zip_file
        except ImportError as error:
            raise MissingDependencyError("`genie record --policy` needs stable-baselines3: pip install 'genie-worlds[rl]'.") from error
        try:
            data, _, _ = load_from_zip_file(self._path, device="cpu")
            model = _algorithm(data or {}, BaseAlgorithm).load(self._path, device="cpu")
        except (BadZipFile, ValueError, KeyError, OSError, AttributeError) as error:
            raise GenieError(f"{self._path} is not a policy file of stable-baselines3 ({error}).") from error
        model.set_random_seed(int(rng.integers(2**31)))
        return _Sb3(model, game)

    def recipe(self, game: Game) -> dict[str, Any]:
        return {"policy": "stable-baselines3 file", "policy_file": self._path.name, "policy_sha256": self._digest}


def _algorithm(saved: Mapping[str, Any], base: Any) -> Any:
    """The algorithm that wrote a file: its policy's class lies in the algorithm's own module, save for PPO's and A2C's."""
    import stable_baselines3

    module = getattr(saved.get("policy_class"), "__module__", "")
    known = {sub.__name__.lower(): sub for sub in vars(stable_baselines3).values() if isinstance(sub, type) and issubclass(sub, base)}
    shared = known["ppo"] if "clip_range" in saved else known["a2c"]
    return next((algorithm for name, algorithm in known.items() if f".{name}." in module), shared)


class _Sb3:
    def __init__(self, model: Any, game: Game) -> None:
        self._model, self._game = model, game

    def act(self, moment: Moment) -> np.ndarray:
        from genie.data.games.gym import index_of

        own = moment.observations is not None and moment.observations[0] is not None
        seen = np.stack([np.asarray(each) for each in moment.observations or ()]) if own else moment.frames
        try:
            chosen, _ = self._model.predict(seen, deterministic=False)
        except ValueError as error:
            raise GenieError(f"the policy file was trained on another game than {self._game.name} ({error}).") from error
        if "told" in self._game.about:
            return np.array([index_of(action, self._game) for action in chosen], np.int64)
        return np.asarray(chosen, np.int64)


class Mixed:
    """A share of the episodes is played by one maker's policy, which must remember nothing between steps; the others by another's."""

    def __init__(self, first: PolicyMaker, second: PolicyMaker, share: float) -> None:
        self._makers, self._share = (first, second), share

    def make(self, game: Game, count: int, rng: np.random.Generator) -> Policy:
        first, second = (maker.make(game, count, rng) for maker in self._makers)
        return _Mixed(first, second, count, self._share, float(rng.random()))

    def recipe(self, game: Game) -> dict[str, Any]:
        return {**self._makers[1].recipe(game), **self._makers[0].recipe(game), "policy": "mixed", "policy_share": self._share}


class _Mixed:
    def __init__(self, first: Policy, second: Policy, count: int, share: float, turn: float) -> None:
        self._first, self._second, self._share = first, second, share
        self._turn = turn  # in 0 … 1; an episode adds the share, and is the first policy's where that reaches a whole number
        self._plays = np.zeros(count, bool)  # which games the first policy plays now

    def act(self, moment: Moment) -> np.ndarray:
        begun = np.flatnonzero(moment.first)
        turns = self._turn + self._share * np.arange(len(begun) + 1)
        self._plays[begun] = np.diff(np.floor(turns)) > 0
        self._turn = float(turns[-1] % 1)
        actions = self._second.act(moment).copy()  # of all games: it remembers what it does in each
        if self._plays.any():
            actions[self._plays] = self._first.act(moment.part(np.flatnonzero(self._plays)))
        return actions
