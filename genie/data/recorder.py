"""Recording: any `Game`, any policy, whole episodes into a dataset; goes on where an interrupted recording stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genie.data.games.game import Game
from genie.data.policies import PolicyMaker, StickyMixed
from genie.data.store import SPLITS, DatasetInfo, DatasetWriter, Split


def dataset_info(
    game: Game, train_frames: int, held_out_frames: int, seed: int, environments: int, played: Mapping[str, Any]
) -> DatasetInfo:
    """The attributes of a recording of this game and size; `played` says for the recipe who plays."""
    return DatasetInfo(
        name=game.name,
        resolution=game.resolution,
        game_rate=game.rate,
        frame_skip=game.skip,
        action_names=tuple(game.actions),
        action_keys=tuple(game.actions.values()),
        frames={"train": train_frames, "held_out": held_out_frames},
        recipe={
            "game": game.source,
            **game.about,
            "levels": {name: list(levels) for name, levels in game.levels.items()},
            **played,
            "environments": environments,
            "seed": seed,
        },
        licence=game.licence,
    )


def record(
    path: str | Path,
    game: Game,
    train_frames: int,
    held_out_frames: int,
    seed: int = 0,
    environments: int | None = None,
    policy: PolicyMaker | None = None,
    progress: Callable[[str, int], None] = lambda split, frames: None,
) -> None:
    """Record both splits into `path`.

    Args:
        environments: games played at once; None for the game's own number.
        policy: who plays; None for the sticky mixed policy.
        progress: called with the split's name and the frames it has so far.
    """
    policy = policy or StickyMixed()
    environments = environments or game.environments
    writer = DatasetWriter(path, dataset_info(game, train_frames, held_out_frames, seed, environments, policy.recipe(game)))
    for order, split in reversed(list(enumerate(SPLITS))):  # the few held-out frames first: then a recording can be closed at any time
        if writer.wanted(split) > 0:
            entropy = [seed, order, writer.committed[split]]  # a resumed recording goes on to new levels, not the same
            _record_split(writer, split, game, np.random.default_rng(entropy), environments, policy, progress)
    writer.close()


def _record_split(
    writer: DatasetWriter,
    split: Split,
    game: Game,
    rng: np.random.Generator,
    environments: int,
    policy: PolicyMaker,
    progress: Callable[[str, int], None],
) -> None:
    count = max(1, min(environments, writer.wanted(split) // 200))
    games = game.make(count, split, int(rng.integers(2**31)))
    player = policy.make(game, count, rng)
    limit = game.episode_limit
    frames = np.zeros((count, limit, *game.resolution, 3), np.uint8)
    actions = np.zeros((count, limit), np.uint8)
    rewards = np.zeros((count, limit), np.float32)
    length = np.zeros(count, np.int64)
    seeds = np.zeros(count, np.int64)
    rows = np.arange(count)

    def hand_over(row: int) -> None:
        n = int(length[row])
        writer.add(split, frames[row, :n].copy(), actions[row, :n].copy(), rewards[row, :n].copy(), seeds[row])
        length[row] = 0
        progress(split, writer.info.frames[split] - writer.wanted(split))

    try:
        while True:
            moment = games.observe()
            # A reward belongs to the action before it, so to the episode that may just have ended.
            last = length - 1
            rewards[rows[last >= 0], last[last >= 0]] = moment.rewards[last >= 0]
            for row in np.flatnonzero(moment.first | (length >= limit)):
                hand_over(int(row))
            # When the episodes in flight would fill what is left, stop and hand those over.
            if length.sum() >= writer.wanted(split):
                for row in rows:
                    hand_over(int(row))
                return
            seeds = np.where(moment.first, moment.seeds, seeds)
            choice = player.act(moment)
            frames[rows, length] = moment.frames
            actions[rows, length] = choice
            rewards[rows, length] = 0.0
            length += 1
            games.act(choice)
    finally:
        games.close()
