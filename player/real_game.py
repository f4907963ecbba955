"""The real CoinRun beside its world: both get the same actions, and what they show is compared frame by frame."""

from __future__ import annotations

from typing import Any

import numpy as np

from genie.errors import GenieError
from genie.metrics import psnr, squared_error
from genie.world import World

PROMPT = 4  # frames of the game that the world begins with
DIVERGED = 20.0  # dB of PSNR: below it the two no longer show the same picture
LEVELS = 1_000  # seeds that are drawn from


class RealGame:
    """One episode of the real game on a level that no world was trained on, and how far the world stays with it.

    Raises:
        MissingDependencyError: the game is not installed.
        GenieError: the world is not one of this game.
    """

    def __init__(self, world: World, seed: int) -> None:
        from genie.data.coinrun import ACTIONS, make_environment  # here, since zarr comes with it: half a second

        self._actions = {name: number for name, (number, _) in ACTIONS.items()}
        if not set(ACTIONS) <= {action.name for action in world.actions} or world.resolution != (64, 64):
            raise GenieError(f"{world.name} is not a world of CoinRun, the one real game that can run beside a world.")
        card = world.data_card
        mode = "hard" if card is not None and card.recipe.get("mode") == "hard" else "easy"
        self._game: Any = make_environment(1, "held_out", seed % LEVELS, threads=1, mode=mode)
        self._skip = world.frame_skip
        self.ended = False  # the episode: what comes is another level
        self.prompt = np.stack([self._observe(), *(self._act("noop") for _ in range(PROMPT - 1))])  # uint8 [T, H, W, 3]
        self.frame = self.prompt[-1]
        self.psnr: list[float] = []  # dB, of each frame since the prompt

    @property
    def diverged(self) -> int | None:
        """Number of the first frame under 20 dB; None: there was none."""
        return next((number for number, value in enumerate(self.psnr, start=1) if value < DIVERGED), None)

    def step(self, action: str, made: np.ndarray) -> None:
        """Act in the real game too, and compare it with the world's frame uint8 [H, W, 3]. Latent actions mean nothing to it."""
        if self.ended:
            return
        frame = self._act(action if action in self._actions else "noop")
        if not self.ended:
            self.frame = frame
            self.psnr.append(psnr(squared_error(frame, made)))

    def _act(self, name: str) -> np.ndarray:
        for _ in range(self._skip):
            self._game.act(np.array([self._actions[name]], np.int32))
            if self._game.observe()[2][0]:
                self.ended = True
        return self._observe()

    def _observe(self) -> np.ndarray:
        return np.array(self._game.observe()[1]["rgb"][0], np.uint8)
