"""What the README says, done: the play command, a minute from the game to a world, and the wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=280, cwd=cwd, env={**os.environ, "COLUMNS": "200", **environment}
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def genie(*arguments: str, cwd: Path) -> str:
    return run(sys.executable, "-m", "genie.cli.app", *arguments, cwd=cwd)


def test_the_headless_play_command_gives_the_same_frames_twice(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text()
    line = re.search(r"genie (play coinrun --headless .*--out take\.mp4)", readme)
    assert line is not None, "the README shows how to play without a display"
    prints = []
    for _ in range(2):
        out = genie(*line.group(1).split(), cwd=tmp_path)
        prints.append(re.search(r"fingerprint (\w+)", out).group(1))  # type: ignore[union-attr]
        assert (tmp_path / "take.mp4").stat().st_size > 10_000
    assert prints[0] == prints[1]


def test_from_the_game_to_a_played_world_in_a_minute(tmp_path: Path) -> None:
    genie("record", "coinrun", "--frames", "2000", "--held-out", "1200", "--out", "data/coinrun", cwd=tmp_path)
    assert "right+jump" in genie("dataset", "info", "data/coinrun", cwd=tmp_path)
    began = time.monotonic()
    genie("train", "data/coinrun", "--out", "runs/coinrun", "--preset", "smoke", cwd=tmp_path)
    assert time.monotonic() - began < 60
    out = genie("play", "runs/coinrun/world", "--headless", "--frames", "8", "--actions", "right:8", "--out", "take.gif", cwd=tmp_path)
    assert "8 frames" in out


def test_the_wheel_carries_the_worlds_and_plays_elsewhere(tmp_path: Path) -> None:
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    run(*pip, "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT), cwd=tmp_path)
    wheel = next(tmp_path.glob("*.whl"))
    names = zipfile.ZipFile(wheel).namelist()
    assert {"genie/_worlds/coinrun/world.json", "genie/evaluation/report.html.j2"} <= set(names)
    assert not any(name.startswith("tests/") for name in names)
    site = tmp_path / "site"
    run(*pip, "install", "--quiet", "--no-deps", "--target", str(site), str(wheel), cwd=tmp_path)
    script = "import genie; w = genie.load_world('coinrun'); print(w.path); print(w.start(seed=1).step('right').shape)"
    out = run(sys.executable, "-c", script, cwd=tmp_path, PYTHONPATH=str(site))
    assert str(site) in out
    assert "(64, 64, 3)" in out
