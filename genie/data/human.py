"""A person plays a real game and is recorded: whole episodes, some of them on held-out levels, nothing lost when the window closes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genie.data.games.game import Game, Moment, VectorGame
from genie.data.recorder import dataset_info
from genie.data.store import SPLITS, DatasetWriter, Split


class HumanRecording:
    """One game at a time; each finished episode is committed at once.

    Args:
        path: the dataset; an unfinished recording with the same settings goes on.
        consent: what the player agreed to.
    """

    def __init__(self, path: str | Path, game: Game, train_frames: int, held_out_frames: int, seed: int, consent: str) -> None:
        self.game = game
        played = {"policy": "human", "consent": consent, "action_repeat": game.skip}
        self._writer = DatasetWriter(path, dataset_info(game, train_frames, held_out_frames, seed, 1, played))
        self._seed = seed
        self._games: dict[Split, VectorGame] = {}
        self.split: Split = "train"
        self._moment: Moment
        self._level = 0
        self._frames: list[np.ndarray] = []
        self._actions: list[int] = []
        self._rewards: list[float] = []
        self._begin()

    @property
    def frame(self) -> np.ndarray:
        """What the game shows now, uint8 [H, W, 3]."""
        return self._moment.frames[0]

    @property
    def episode_frames(self) -> int:
        """Frames of the running episode so far."""
        return len(self._frames)

    @property
    def frames(self) -> int:
        """Frames recorded, those of the running episode too."""
        return sum(self._writer.info.frames.values()) - sum(map(self._writer.wanted, SPLITS)) + len(self._frames)

    @property
    def wanted(self) -> dict[str, int]:
        """Frames asked for, of each split."""
        return self._writer.info.frames

    @property
    def full(self) -> bool:
        """Whether there are as many frames as were asked for."""
        return all(self._writer.wanted(split) == 0 for split in SPLITS)

    def step(self, action: int) -> bool:
        """One game step under this action; whether it ended the episode."""
        self._frames.append(self.frame.copy())
        self._actions.append(action)
        self._rewards.append(0.0)
        game = self._games[self.split]
        game.act(np.array([action]))
        self._moment = game.observe()
        self._rewards[-1] = float(self._moment.rewards[0])
        room = self._writer.wanted(self.split)
        if not self._moment.first[0] and len(self._frames) < min(self.game.episode_limit, room):
            return False
        self._hand_over()
        self._begin()
        return True

    def close(self) -> bool:
        """Commit the running episode and let go of the games; whether the recording is complete."""
        self._hand_over()
        for game in self._games.values():
            game.close()
        if self.full:
            self._writer.close()
        else:
            self._writer.let_go()
        return self.full

    def _hand_over(self) -> None:
        if self._frames:
            arrays = np.stack(self._frames), np.array(self._actions, np.uint8), np.array(self._rewards, np.float32)
            self._writer.add(self.split, *arrays, self._level)
            self._writer.flush(self.split)
        self._frames = []

    def _begin(self) -> None:
        """The next episode: of the split that is further behind."""
        share = {split: self._writer.committed[split] / self._writer.info.frames[split] for split in SPLITS}
        self.split = "held_out" if share["held_out"] < share["train"] else "train"
        if self.split not in self._games:
            entropy = [self._seed, SPLITS.index(self.split), self._writer.committed[self.split]]
            self._games[self.split] = self.game.make(1, self.split, int(np.random.default_rng(entropy).integers(2**31)))
        self._moment = self._games[self.split].observe()
        self._level = int(self._moment.seeds[0])
        self._frames, self._actions, self._rewards = [], [], []
