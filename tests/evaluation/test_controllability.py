"""Controllability on constructed cases: obedient, deaf and swapped worlds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from genie.data.store import Dataset, DatasetInfo, DatasetWriter
from genie.evaluation import controllability as c
from genie.evaluation import inverse_dynamics as judge
from genie.evaluation.report import Metric

NAMES = ("left", "right", "stay")


def value(metrics: list[Metric], name: str, of: str = "world") -> float:
    found = getattr(next(metric for metric in metrics if metric.name == name), of)
    assert found.value is not None
    return float(found.value)


def pictures(seed: int, count: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3), dtype=np.uint8)


def test_delta_is_zero_for_a_deaf_world_and_the_whole_psnr_gap_for_an_obedient_one() -> None:
    truth, other = pictures(0), pictures(1)
    near = (truth // 2 + 60).astype(np.uint8)
    assert np.allclose(c.delta(truth, near, near), 0.0)
    gap = 10 * np.log10(255**2 * 12) - 10 * np.log10(255**2 / ((truth.astype(float) - other) ** 2).mean(axis=(1, 2, 3)))
    assert np.allclose(c.delta(truth, truth, other), gap, atol=1e-4)
    assert (c.delta(truth, other, truth) < -40).all()  # swapped: it does what it was not told


def test_delta_bounds_are_the_real_game_and_a_world_that_hears_nothing() -> None:
    truth, other, near = pictures(0), pictures(1), (pictures(0) // 2 + 60).astype(np.uint8)
    metric = c.delta_metric("keys", truth, truth, other, near, other, np.arange(6))
    assert metric.name == "delta_4_keys"
    assert metric.world == metric.real
    assert metric.blind is not None and metric.blind.value == pytest.approx(c.delta(truth, other, near).mean())
    assert metric.blind.value < -3  # the second draw happened to be nearer


def test_f1_counts_per_action() -> None:
    truth = np.array([[0, 0, 1, 1, 2, 255]])
    answers = np.array([[0, 1, 1, 1, 2, 0]])
    table = c.confusions(truth, answers, 3).sum(0)
    assert table.sum() == 5  # the unknown one is left out
    assert judge.f1(table, 0) == pytest.approx(2 / 3)
    assert judge.f1(table, 1) == pytest.approx(4 / 5)
    assert judge.macro_f1(table) == pytest.approx((2 / 3 + 4 / 5 + 1) / 3)
    assert np.isnan(judge.f1(np.zeros((3, 3)), 0))


def test_recall_of_obedient_deaf_and_swapped_worlds() -> None:
    actions = np.random.default_rng(0).integers(0, 2, (40, 12))
    told = actions[:, judge.BEFORE : judge.BEFORE + 9]
    deaf = np.random.default_rng(1).integers(0, 2, told.shape)
    found = c.recall_metrics(actions, {"world": told, "real": told, "blind": deaf}, ("left", "right"), np.arange(40))
    assert value(found, "action_f1") == 1.0
    assert value(found, "action_f1_share") == 1.0
    assert abs(value(found, "action_f1", "blind") - 0.5) < 0.06
    swapped = c.recall_metrics(actions, {"world": 1 - told, "real": told, "blind": deaf}, ("left", "right"), np.arange(40))
    assert value(swapped, "action_f1") == 0.0
    assert value(swapped, "f1_left") == 0.0
    once = np.ones_like(actions)
    once[0] = 0
    heard = c.recall_metrics(once, {"world": once[:, 3:], "real": once[:, 3:], "blind": deaf}, ("left", "right"), np.arange(40))
    estimates = {metric.name: metric.world for metric in heard}
    assert estimates["f1_right"].low is not None and (estimates["f1_left"].value, estimates["f1_left"].low) == (1.0, None)  # of one clip


def test_latent_information_of_codes_that_are_the_action_and_of_codes_that_are_not() -> None:
    rng = np.random.default_rng(0)
    actions = rng.integers(0, 3, (60, 20))
    telling = c.latent_metrics(actions, actions, 3, NAMES, np.arange(60))
    assert abs(value(telling, "latent_information") - np.log2(3)) < 0.01
    assert abs(value(telling, "latent_information", "real") - value(telling, "latent_information")) < 1e-9
    assert value(telling, "latent_information", "blind") < 0.02
    assert abs(value(telling, "latent_perplexity") - 3) < 0.01
    mute = c.latent_metrics(rng.integers(0, 3, (60, 20)), actions, 3, NAMES, np.arange(60))
    assert value(mute, "latent_information") < 0.02


def test_a_dead_code_is_seen() -> None:
    codes = np.random.default_rng(0).integers(0, 7, (30, 20))  # of eight codes the last never occurs
    metrics = c.latent_metrics(codes, np.full(codes.shape, 255), 8, NAMES, np.arange(30))
    assert value(metrics, "latent_rarest_share") == 0.0
    assert not any(metric.name == "latent_information" for metric in metrics)  # nothing known of the actions


def branches() -> tuple[np.ndarray, np.ndarray]:
    """A bright square that walks left in one branch and right in the other, uint8 [2, 3, 16, 16, 3] each."""
    found = []
    for side in (-1, 1):
        frames = np.full((2, 3, 16, 16, 3), 40, np.uint8)
        for t in range(3):
            x = 7 + side * (t + 2)
            frames[:, t, 6:10, x : x + 2] = 230
        found.append(frames)
    return found[0], found[1]


def test_contrast_of_the_truth_itself_of_swapped_actions_and_of_a_deaf_world() -> None:
    a, b = branches()
    itself = c.contrast((a, b), (a, b))
    assert np.allclose(itself.cosine, 1) and np.allclose(itself.gain, 1) and np.allclose(itself.sides, 1)
    swapped = c.contrast((a, b), (b, a))
    assert np.allclose(swapped.cosine, -1) and np.allclose(swapped.gain, -1) and np.allclose(swapped.sides, 0)
    deaf = c.contrast((a, b), (a, a))
    assert np.allclose(deaf.cosine, 0) and np.allclose(deaf.gain, 0) and np.allclose(deaf.sides, 0.5)
    faint = (40 + (a.astype(int) - 40) // 2).astype(np.uint8), (40 + (b.astype(int) - 40) // 2).astype(np.uint8)
    half = c.contrast((a, b), faint)
    assert np.allclose(half.cosine, 1, atol=1e-4) and np.allclose(half.gain, 0.5, atol=0.01)


def test_moments_where_the_real_game_makes_no_difference_are_not_judged() -> None:
    a, b = branches()
    wall = c.contrast((a, a), (a, b))
    assert np.isnan(wall.cosine).all() and np.isnan(wall.sides).all()
    section = c.counterfactual_section({"left or right": ((a, b), (a, b))}, (a, a), np.arange(2))
    found = {metric.name: metric for metric in section.metrics}
    assert found["contrast_cosine_left_or_right"].world.value == pytest.approx(1.0)
    assert found["contrast_cosine_left_or_right"].blind.value == pytest.approx(0.0)  # type: ignore[union-attr]


def walking(count: int, frames: int, seed: int, side: int = 16, wide: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A piece 4 × `wide` pixels that obeys `NAMES`: uint8 [count, frames, side, side, 3] and int [count, frames - 1]."""
    rng = np.random.default_rng(seed)
    actions = rng.integers(0, 3, (count, frames - 1))
    steps = np.array([-1, 1, 0])[actions]
    place = side // 2 + np.concatenate([np.zeros((count, 1), int), steps.cumsum(1)], axis=1)
    shown = np.full((count, frames, side, side, 3), 30, np.uint8)
    for clip, t in np.ndindex(count, frames):
        shown[clip, t, 5:9, (place[clip, t] + np.arange(wide)) % side] = 220
    return shown, actions


@pytest.mark.parametrize(("side", "wide", "steps"), [(16, 3, 60), (56, 1, 60)], ids=["a square", "a speck on a large picture"])
def test_the_judge_learns_real_actions_and_tells_obedient_from_deaf_rollouts(tmp_path: Path, side: int, wide: int, steps: int) -> None:
    info = DatasetInfo(
        name="square",
        resolution=(side, side),
        game_rate=15,
        action_names=NAMES,
        frames={"train": 2000, "held_out": 20},
        recipe={},
        licence="none",
    )
    writer = DatasetWriter(tmp_path / "square", info)
    for split, count in (("train", 100), ("held_out", 1)):
        frames, actions = walking(count, 20, count, side, wide)
        for clip in range(count):
            writer.add(split, frames[clip], np.append(actions[clip], 2).astype(np.uint8), np.zeros(20, np.float32), clip)
    writer.close()
    weights = judge.train_judge(Dataset(tmp_path / "square").split("train"), 3, skip=1, steps=steps, seed=0)
    frames, actions = walking(30, 12, 9, side, wide)
    answers = judge.judged(weights, frames, 3)
    told = actions[:, judge.BEFORE : judge.BEFORE + answers.shape[1]]
    assert judge.macro_f1(judge.confusions(told, answers, 3).sum(0)) > 0.95
    deaf = walking(30, 12, 10, side, wide)[0]
    assert judge.macro_f1(judge.confusions(told, judge.judged(weights, deaf, 3), 3).sum(0)) < 0.5
