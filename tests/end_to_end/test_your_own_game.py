"""From a folder of videos to a played world, as docs/tutorial-your-own-game.md says, smoke-sized; and worlds of other sizes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import genie


def run(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-m", "genie.cli.app", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=cwd, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_a_folder_of_videos_to_a_played_world(dataset_path: Path, tmp_path: Path) -> None:
    run("dataset", "export", str(dataset_path), "--to", "mp4", "--out", "clips", cwd=tmp_path)
    out = run("import", "clips", "--size", "96x64", "--fps", "15", "--licence", "MIT", "--out", "data/mygame", cwd=tmp_path)
    assert "held out by video" in out
    assert "nothing wrong found" in run("dataset", "check", "data/mygame", cwd=tmp_path)
    run("train", "data/mygame", "--out", "runs/mygame", "--preset", "smoke", "--steps", "6", "--reach", "8x4", cwd=tmp_path)
    out = run("play", "runs/mygame/world", "--headless", "--frames", "8", "--actions", "2:8", "--out", "take.gif", cwd=tmp_path)
    assert "8 frames" in out
    path = tmp_path / "runs" / "mygame" / "world"
    assert played_alike(path, "action 2") == (64, 96)
    world = genie.load_world(path)
    assert {action.kind for action in world.actions} == {"latent"}
    assert world.scroll_reach == (16, 32)  # what was asked for, four times as far on the quarter-size picture
    assert world.frame_rate == 15  # the videos' own rate, no game steps left out
    assert world.data_card is not None
    assert world.data_card.licence == "MIT"


@pytest.mark.parametrize("resolution", [(64, 96), (128, 128)])
def test_a_world_of_another_size_is_recorded_trained_and_played(
    sized_world: Callable[[tuple[int, int]], Path], resolution: tuple[int, int]
) -> None:
    assert played_alike(sized_world(resolution), "right") == resolution


def played_alike(path: Path, action: str) -> tuple[int, ...]:
    """Both back ends play the world and agree; the size of the frames they make."""
    made = {}
    for backend in ("onnx", "torch"):
        rollout = genie.load_world(path, device="cpu", backend=backend).start(seed=1)
        made[backend] = np.stack([rollout.step(action) for _ in range(3)])
    assert np.abs(made["onnx"].astype(int) - made["torch"]).mean() < 2
    return made["onnx"].shape[1:3]
