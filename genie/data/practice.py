"""A policy that plays a game, trained by playing it: PPO (Schulman et al. 2017) of stable-baselines3 on the game's frames.

Data of a player that gets somewhere shows more of a game than data of one that presses keys at random: with it, the Δ_4 PSNR of a Genie on
CoinRun rose from 0.70 to 1.89 dB (GenieRedux, Kazemi et al. 2024). Most settings are those of procgen (Cobbe et al. 2020, appendix); the
network is smaller.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from genie.data.games.game import Game
from genie.errors import GenieError, MissingDependencyError

GAMES = 32  # played at once
STEPS = 256  # of each between two updates


def practise(
    game: Game, out: Path, steps: int, seed: int = 0, going_on: Path | None = None,
    progress: Callable[[int, float], None] = lambda done, reward: None,
) -> None:  # fmt: skip
    """Train a policy on the game's training levels and write it as a file of stable-baselines3.

    Until it is done what it has learned is in another file, `unfinished(out)`; where there is one, it goes on from that.

    Args:
        steps: game steps, of all games together, and with `going_on` beyond those of that policy.
        going_on: a policy file to go on from. Opening it, as an unfinished one, can run any code, so it must be trusted.
        progress: called with the steps done and the mean reward of the last hundred episodes.

    Raises:
        GenieError: a file to go on from is no policy.
        MissingDependencyError: stable-baselines3 is not installed.
    """
    try:
        from stable_baselines3 import PPO
        from stable_baselines3.common.callbacks import BaseCallback
        from stable_baselines3.common.vec_env import VecMonitor, VecNormalize
    except ImportError as error:
        raise MissingDependencyError("training a policy needs stable-baselines3: pip install 'genie-worlds[rl]'.") from error

    class Report(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            recent = [episode["r"] for episode in self.model.ep_info_buffer or ()]
            progress(self.num_timesteps - before, float(np.mean(recent)) if recent else float("nan"))
            if self.model._n_updates:  # else it has learned nothing yet
                self.model.save(partial)
                partial.replace(kept)

    def opened(path: Path, **more: Any) -> Any:
        try:
            return PPO.load(path, device="cpu", seed=seed, **more)
        except (BadZipFile, ValueError, KeyError, OSError, AttributeError) as error:
            raise GenieError(f"{path} is not a policy file of stable-baselines3 ({error}).") from error

    kept = unfinished(out)
    partial = kept.with_name(f".{kept.name}")
    before = 0 if going_on is None else opened(going_on).num_timesteps
    begin = kept if kept.exists() else going_on
    with closing(VecNormalize(VecMonitor(_as_vec_env(game, seed)), norm_obs=False, gamma=0.999)) as games:
        if begin is not None:
            model = opened(begin, env=games)
        else:
            model = PPO(
                "CnnPolicy", games, learning_rate=5e-4, n_steps=STEPS, batch_size=GAMES * STEPS // 8, n_epochs=2, gamma=0.999,
                gae_lambda=0.95, clip_range=0.2, ent_coef=0.01, vf_coef=0.5, max_grad_norm=0.5, seed=seed, device="cpu",
            )  # fmt: skip
        model.learn(max(0, before + steps - model.num_timesteps), callback=Report(), reset_num_timesteps=False)
    model.save(partial)
    partial.replace(kept)
    kept.replace(out)  # nothing is left to go on from


def unfinished(out: Path) -> Path:
    """Where the policy is that practises to become this file."""
    return out.with_suffix(".unfinished.zip")


def _as_vec_env(game: Game, seed: int) -> Any:
    """The game's training levels as a vectorised environment of stable-baselines3."""
    from gymnasium import spaces
    from stable_baselines3.common.vec_env import VecEnv

    class Games(VecEnv):
        def __init__(self) -> None:
            self._games = game.make(GAMES, "train", seed)
            self._chosen = np.zeros(GAMES, np.int64)
            space = spaces.Box(0, 255, (*game.resolution, 3), np.uint8)
            super().__init__(GAMES, space, spaces.Discrete(len(game.actions)))

        def reset(self) -> np.ndarray:
            return self._games.observe().frames

        def step_async(self, actions: np.ndarray) -> None:
            self._chosen = actions

        def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
            self._games.act(self._chosen)
            moment = self._games.observe()
            infos: list[dict[str, Any]] = [
                {"terminal_observation": moment.frames[row]} if over else {} for row, over in enumerate(moment.first)
            ]
            return moment.frames, moment.rewards, moment.first.astype(bool), infos

        def close(self) -> None:
            self._games.close()

        def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
            return [None] * GAMES

        def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
            raise AttributeError(attr_name)

        def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
            raise AttributeError(method_name)

        def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
            return [False] * GAMES

    return Games()
