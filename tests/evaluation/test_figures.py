"""The judge of figures: learned from frames with one in the middle, asked about frames with one, none and two."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genie.data.store import Dataset, DatasetInfo, DatasetWriter
from genie.evaluation import figures
from genie.evaluation.permanence import LearnedProbe

MIDDLE = figures.Middle((12, 20), (12, 20))
COLOURS = np.array([[250, 220, 90], [90, 230, 120], [240, 120, 200]], np.uint8)
SHAPE = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 1, 1, 0], [1, 0, 0, 1]], bool)


def scenes(count: int, seed: int, places: list[tuple[int, int]]) -> np.ndarray:
    """Smooth backgrounds, walls of any colour, and a figure of any of three colours at each place, give or take a pixel."""
    rng = np.random.default_rng(seed)
    frames = np.repeat(np.repeat(rng.integers(0, 160, (count, 4, 4, 3)), 8, 1), 8, 2).astype(np.uint8)
    for frame in frames:
        for _ in range(3):
            y, x = rng.integers(0, 28, 2)
            frame[y : y + rng.integers(2, 5), x : x + rng.integers(2, 12)] = rng.integers(0, 256, 3)
        for place in places:
            y, x = np.array(place) + rng.integers(-1, 2, 2)
            frame[y : y + 4, x : x + 4][SHAPE] = COLOURS[rng.integers(3)]
    return frames


def test_the_judge_sees_figures_that_are_there_missing_and_twice(tmp_path: Path) -> None:
    count = {"train": 1500, "held_out": 20}
    info = DatasetInfo(name="figures", resolution=(32, 32), game_rate=15, action_names=(), frames=count, recipe={}, licence="none")
    writer = DatasetWriter(tmp_path / "d", info)
    for split, frames in count.items():
        nothing = np.full(frames, 255, np.uint8)
        writer.add(split, scenes(frames, frames, [(14, 14)]), nothing, np.zeros(frames, np.float32), 0)
    writer.close()
    done: list[int] = []
    weights = figures.train_figures(Dataset(tmp_path / "d").split("train"), MIDDLE, 150, 0, done.append)
    assert done == list(range(1, 151))
    probe = LearnedProbe((32, 32), MIDDLE).with_weights(weights)
    one, none, two = (scenes(200, seed, places) for seed, places in ((1, [(14, 14)]), (2, []), (3, [(14, 14), (3, 24)])))
    assert probe.agent(one).mean() > 0.95 and probe.agent(two).mean() > 0.95
    assert probe.agent(none).mean() < 0.1
    assert probe.second(one).mean() < 0.1 and probe.second(none).mean() < 0.1
    assert probe.second(two).mean() > 0.9
    stacked = one[:6].reshape(2, 3, 32, 32, 3)
    assert probe.agent(stacked).shape == (2, 3) and np.array_equal(probe.agent(stacked).ravel(), probe.agent(one[:6]))
