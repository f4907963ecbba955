"""From a folder of videos to a played world, as docs/tutorial-your-own-game.md says, smoke-sized; and worlds of other sizes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import genie
from player.launch import open_app
from player.screens.play import Pause


def run(*arguments: str, cwd: Path) -> str:
    command = [sys.executable, "-m", "genie.cli.app", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=cwd, env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_from_a_folder_of_videos_to_a_played_world(dataset_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("dataset", "export", str(dataset_path), "--to", "mp4", "--out", "clips", cwd=tmp_path)
    out = run("import", "clips", "--size", "96x64", "--fps", "15", "--licence", "MIT", "--out", "data/mygame", cwd=tmp_path)
    assert "held out by video" in out
    assert "nothing wrong found" in run("dataset", "check", "data/mygame", cwd=tmp_path)
    run("train", "data/mygame", "--out", "runs/mygame", "--preset", "smoke", "--steps", "6", "--reach", "8x4", cwd=tmp_path)
    out = run("play", "runs/mygame/world", "--headless", "--frames", "8", "--actions", "2:8", "--out", "take.gif", cwd=tmp_path)
    assert "8 frames" in out
    path = tmp_path / "runs" / "mygame" / "world"
    assert played_alike(path, "action 2") == (64, 96)
    clip = np.random.default_rng(0).integers(0, 256, (9, 64, 96, 3)).astype(np.uint8)
    onnx, torch = (genie.load_world(path, device="cpu", backend=name).infer_actions(clip) for name in ("onnx", "torch"))
    assert np.array_equal(onnx, torch)
    world = genie.load_world(path)
    monkeypatch.setenv("GENIE_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("GENIE_DATA_DIR", str(tmp_path / "data"))
    assert shown_in_a_window(world).shape == (64, 96, 3)
    assert {action.kind for action in world.actions} == {"latent"}
    assert world.scroll_reach == (16, 32)  # what was asked for, four times as far on the quarter-size picture
    assert world.frame_rate == 15  # the videos' own rate, no game steps left out
    assert world.data_card is not None
    assert world.data_card.licence == "MIT"


def test_a_large_world_is_recorded_trained_and_played(large_world: Path) -> None:
    assert played_alike(large_world, "right") == (128, 128)


def shown_in_a_window(world: genie.World) -> np.ndarray:
    """The third frame of a play in the player's window, as its screenshot has it, in the world's own pixels."""
    app = open_app(world, seed=1)
    deadline = time.monotonic() + 20
    while app.model.newest is None or app.model.newest.index < 3:
        assert time.monotonic() < deadline, list(app.log)
        app.turn()
    app.model.pause(True)
    while not isinstance(app.screen, Pause):
        app.turn()
    app.draw()
    view = app.below(app.screen).view
    shot = app.picture()[view.y : view.bottom, view.x : view.right]
    scale = view.height // world.resolution[0]
    frame = app.model.newest.frame
    app.close()
    assert np.array_equal(shot[::scale, ::scale], frame)
    return frame


def played_alike(path: Path, action: str) -> tuple[int, ...]:
    """Both back ends play the world and agree; the size of the frames they make."""
    made = {}
    for backend in ("onnx", "torch"):
        rollout = genie.load_world(path, device="cpu", backend=backend).start(seed=1)
        made[backend] = np.stack([rollout.step(action) for _ in range(3)])
    assert np.abs(made["onnx"].astype(int) - made["torch"]).mean() < 2
    return made["onnx"].shape[1:3]
