"""The recorder: the real game, its level ranges, its policy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genie.data import coinrun
from genie.data.info import contact_sheet, summarise
from genie.data.store import Dataset


def test_training_and_held_out_levels_never_mix(dataset: Dataset) -> None:
    train, held_out = dataset.split("train").level_seeds, dataset.split("held_out").level_seeds
    assert train.min() >= 0
    assert train.max() < 1_000_000
    assert held_out.min() >= 1_000_000
    assert held_out.max() < 1_100_000


def test_the_recipe_names_game_mode_levels_policy_and_licence(dataset: Dataset) -> None:
    recipe = dataset.info.recipe
    assert recipe["mode"] == "easy"
    assert recipe["backgrounds"] is True
    assert recipe["levels"] == {"train": [0, 1_000_000], "held_out": [1_000_000, 100_000]}
    assert "procgen" in recipe["game"]
    assert "MIT" in dataset.info.licence


def test_actions_are_held_for_a_multiple_of_the_repeat(dataset: Dataset) -> None:
    data = dataset.split("train")
    for start, end in zip(data.episode_starts, data.episode_ends, strict=True):
        pairs = data.actions[start:end][: (end - start) // 2 * 2].reshape(-1, coinrun.STYLE.repeat)
        assert (pairs[:, 0] == pairs[:, 1]).all()


def test_the_policy_is_sticky_and_uses_every_action() -> None:
    policy = coinrun.StickyMixedPolicy(64, np.random.default_rng(0))
    first = np.ones(64, bool)
    taken = np.stack([policy.act(first if t == 0 else ~first) for t in range(400)])
    share = np.bincount(taken.ravel(), minlength=6) / taken.size
    assert (share > 0.03).all()
    assert 0.4 < share[[1, 4]].sum() / share[[2, 5]].sum() < 1.0  # left against right; most set out to the right
    assert (taken[1:] == taken[:-1]).mean() > 0.75


def test_the_same_seed_records_the_same_frames(tmp_path: Path) -> None:
    for name in ("a", "b"):
        coinrun.record(tmp_path / name, train_frames=400, held_out_frames=200, seed=5)
    a, b = (Dataset(tmp_path / name).split("train") for name in ("a", "b"))
    assert np.array_equal(a.frames[:], b.frames[:])
    assert np.array_equal(a.actions, b.actions)


def test_the_game_moves_right_under_right(dataset: Dataset) -> None:
    """The recorded action belongs to the step that follows it: with right held the picture changes more than with noop."""
    data = dataset.split("train")
    frames = data.frames[:].astype(np.int16)
    change = np.abs(frames[1:] - frames[:-1]).mean(axis=(1, 2, 3))
    inside = np.ones(len(data) - 1, bool)
    inside[data.episode_ends[:-1] - 1] = False
    assert change[inside & (data.actions[:-1] == 5)].mean() > 1.3 * change[inside & (data.actions[:-1] == 0)].mean()


def test_info_counts_and_draws(dataset: Dataset) -> None:
    summary = summarise(dataset)
    assert summary["train"].frames == 2000
    assert abs(sum(summary["train"].action_share.values()) - 1) < 1e-6
    sheet = contact_sheet(dataset)
    assert sheet.dtype == np.uint8
    assert sheet.shape[1] == 12 * (2 * 64 + 2) + 2
