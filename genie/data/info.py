"""What a dataset looks like: counts, action histogram, contact sheet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from genie.data.clips import FrameReader
from genie.data.store import SPLITS, UNKNOWN_ACTION, Dataset
from genie.pictures import grid


@dataclass(frozen=True)
class SplitSummary:
    """Counts of one split."""

    frames: int
    episodes: int
    levels: int
    mean_length: float  # frames an episode
    reward: float
    action_share: dict[str, float]


def summarise(dataset: Dataset) -> dict[str, SplitSummary]:
    """Counts and action shares of each split."""
    names = dataset.info.action_names
    found: dict[str, SplitSummary] = {}
    for split in SPLITS:
        data = dataset.split(split)
        counts = np.bincount(data.actions, minlength=UNKNOWN_ACTION + 1)
        share = {name: counts[number] / max(1, len(data)) for number, name in enumerate(names)}
        if counts[UNKNOWN_ACTION]:
            share["unknown"] = counts[UNKNOWN_ACTION] / len(data)
        episodes = len(data.episode_starts)
        found[split] = SplitSummary(
            frames=len(data), episodes=episodes, levels=len(np.unique(data.level_seeds)),
            mean_length=len(data) / max(1, episodes), reward=float(data.rewards.sum()), action_share=share,
        )  # fmt: skip
    return found


def contact_sheet(dataset: Dataset, episodes: int = 8, frames: int = 12, skip: int = 4) -> np.ndarray:
    """A row an episode, every `skip`-th frame: the first half of the rows from training, the rest from held-out levels."""
    rows = []
    for split in SPLITS:
        data = dataset.split(split)
        reader = FrameReader(data.frames)
        longest_first = np.argsort(data.episode_starts - data.episode_ends, kind="stable")
        chosen = longest_first[np.unique(np.linspace(0, len(longest_first) - 1, episodes // 2 + 2).astype(int)[1:-1])]
        for episode in chosen:
            start, end = int(data.episode_starts[episode]), int(data.episode_ends[episode])
            rows.append(reader.read(start, max(1, min(frames, (end - start) // skip)), skip))
    return grid(rows)
