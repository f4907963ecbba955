"""What stands before a still background counts as much as the background; where the camera moves, every pixel counts the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import genie
from genie.data.store import Dataset, DatasetInfo, DatasetWriter
from genie.training.foreground import Foreground
from genie.training.pipeline import Pipeline
from genie.training.settings import open_run, presets
from genie.world import open_bundle
from tokenizer.model import to_float


def still_camera(frames: int = 60) -> np.ndarray:
    """A square of 4×4 pixels that wanders before one colour, uint8 [N, 64, 64, 3]."""
    made = np.full((frames, 64, 64, 3), (144, 72, 17), np.uint8)
    for t, frame in enumerate(made):
        frame[t : t + 4, 60 - t : 64 - t] = 236
    return made


def test_the_ball_of_a_still_camera_counts_as_much_as_the_field() -> None:
    frames = still_camera()
    foreground = Foreground(frames)
    assert foreground.still and foreground.share == pytest.approx(16 / 64**2, rel=0.05)
    seen = to_float(torch.from_numpy(frames[:4]))
    weight = foreground.weight(seen, seen)
    assert isinstance(weight, torch.Tensor) and weight.mean().item() == pytest.approx(1, rel=0.05)
    ball = (seen > 0.8).all(1, keepdim=True)
    assert (weight * ball).sum().item() == pytest.approx((weight * ~ball).sum().item(), rel=0.1)


def test_a_ball_painted_where_there_is_none_counts_too() -> None:
    frames = still_camera()
    foreground = Foreground(frames)
    truth, painted = (to_float(torch.from_numpy(frames[[i]])) for i in (0, 30))
    weight = foreground.weight(truth, painted)
    assert isinstance(weight, torch.Tensor)
    assert weight[0, 0, 31, 31] == weight[0, 0, 1, 61] > 10 * weight[0, 0, 10, 10]


def test_a_moving_camera_and_a_picture_that_never_changes_weigh_nothing() -> None:
    moving = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    assert Foreground(moving).weight(torch.zeros(1, 3, 32, 32)) == 1.0
    assert Foreground(np.zeros((40, 32, 32, 3), np.uint8)).weight(torch.zeros(1, 3, 32, 32)) == 1.0


def test_cells_where_the_ball_is_or_was() -> None:
    frames = still_camera()
    cells = Foreground(frames).cells(to_float(torch.from_numpy(frames[None, [0, 0, 30]])), 8)
    assert cells.shape == (1, 2, 8, 8)
    assert cells[0, 0].nonzero().tolist() == [[0, 7]]
    assert cells[0, 1].nonzero().tolist() == [[0, 7], [3, 3], [3, 4], [4, 3], [4, 4]]


def test_a_window_shows_the_ball_where_it_is_on_the_grid() -> None:
    frames = still_camera()
    foreground = Foreground(frames)
    seen = to_float(torch.from_numpy(np.concatenate([frames[:40], frames[:1, ::-1, ::-1]])))
    seen[-1] = foreground.background  # nothing in it: a window all the same
    cut, background = foreground.windows(seen, 32, 8, torch.Generator().manual_seed(0))
    assert cut.shape == background.shape == (41, 3, 32, 32)
    assert torch.equal(cut[-1], background[-1])
    places = set()
    for frame, window in zip(seen[:-1], cut[:-1], strict=True):
        assert (window > 0.8).all(0).sum() > 0
        found = [(y, x) for y in range(0, 33, 8) for x in range(0, 33, 8) if torch.equal(frame[:, y : y + 32, x : x + 32], window)]
        assert found
        places.add(found[0])
    assert len(places) > 4
    weight = foreground.weight(cut, background=background)
    assert isinstance(weight, torch.Tensor)
    ball = (cut > 0.8).all(1, keepdim=True)
    assert (weight * ball).sum().item() == pytest.approx((weight * ~ball).sum().item(), rel=0.1)


def test_a_world_under_a_still_camera_is_trained_and_played(tmp_path: Path) -> None:
    data = DatasetWriter(
        tmp_path / "data",
        DatasetInfo(
            name="wanderer", resolution=(64, 64), game_rate=15.0, frame_skip=1, action_names=("noop", "on"),
            frames={"train": 240, "held_out": 120}, recipe={}, licence="CC0",
        ),
    )  # fmt: skip
    for split, count in (("train", 240), ("held_out", 120)):
        for part in range(count // 60):
            data.add(split, still_camera(), np.ones(60, np.uint8), np.zeros(60, np.float32), part + (split == "train") * 100)
    data.close()
    dataset = Dataset(tmp_path / "data")
    small = {"dynamics": {"width": 32, "layers": 1, "frame_width": 16, "context": 4}, "slots": 4, "token_length": 9, "token_frames": 64}
    settings = presets()["still"].bounded(None, 5).model_copy(update={**small, "validation_clips": 1})
    pipeline = Pipeline(dataset, tmp_path / "run", open_run(tmp_path / "run", dataset, settings))
    pipeline.learn()
    world = pipeline.write_world()
    losses = [json.loads(line) for line in (tmp_path / "run" / "tokenizer" / "log.jsonl").read_text().splitlines()]
    assert any("psnr_windows" in line for line in losses)  # it learned from windows
    manifest = open_bundle(world).manifest
    assert manifest.tokenizer.local and manifest.latent_actions.pooled
    assert genie.load_world(world, device="cpu", backend="torch").start(seed=2).step("on").shape == (64, 64, 3)
