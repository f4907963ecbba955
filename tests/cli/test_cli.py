"""The command line as users type it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from genie import World
from genie.cli.app import app
from genie.data.store import DatasetInfo, DatasetWriter
from genie.sessions.script import Fingerprint


def genie(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    import os

    env = {**os.environ, "COLUMNS": "200", **environment}
    command = [sys.executable, "-m", "genie.cli.app", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=cwd, env=env)


def test_worlds_lists_what_is_installed() -> None:
    done = genie("worlds")
    assert done.returncode == 0
    assert "coinrun" in done.stdout
    assert "64×64" in done.stdout


def test_errors_are_one_line_and_exit_with_2(dataset_path: Path, tmp_path: Path) -> None:
    for arguments, says in (
        (("play", "atlantis", "--headless"), "there is no world 'atlantis'"),
        (("play", "--actions", "right:3"), "add --headless"),
        (("play", "--headless", "--out", str(tmp_path / "take.avi")), "write one of .mp4"),
        (("play", "--headless", "--save", str(tmp_path)), "is a folder; say a file"),
        (("play", "--headless", "--frames", "2", "--actions", "fly:2"), "no action 'fly'"),
        (("record", "tetris", "--out", str(tmp_path / "d")), "no recorder for 'tetris'"),
        (("dataset", "info", str(tmp_path)), "is not a dataset"),
        (("train", str(tmp_path), "--out", str(tmp_path / "run")), "is not a dataset"),
        (("train", str(tmp_path), "--out", str(tmp_path / "run"), "--stage", "four"), "there is no stage 'four'"),
        (("train", str(dataset_path), "--out", str(tmp_path / "run"), "--reach", "12"), "write columns x rows in pixels"),
        (("train", str(dataset_path), "--out", str(tmp_path / "run"), "--reach", "-1x4"), "'-1x4' is no reach"),
        (("train", str(dataset_path), "--out", str(tmp_path / "run"), "--reach", "40x4"), "must be less than half the picture"),
        (("train", str(dataset_path), "--out", str(tmp_path / "run"), "--reach", "8x4", "--base", "coinrun"), "With --fine-tune all"),
        (("train", str(dataset_path), "--out", str(tmp_path / "run"), "--blend", "0.5", "--base", "coinrun"), "say which stage"),
        (("eval", "coinrun", "--data", str(tmp_path), "--protocol", "mine"), "there is no protocol 'mine'"),
        (("eval", "coinrun", "--data", str(tmp_path), "--protocol", "play", "--gate"), "the gate judges by --protocol default"),
    ):
        done = genie(*arguments)
        assert done.returncode == 2, arguments
        assert says in done.stderr
        assert "Traceback" not in done.stderr


def test_dataset_info_prints_schema_counts_histogram_and_draws(dataset_path: Path, tmp_path: Path) -> None:
    done = genie("dataset", "info", str(dataset_path), "--sheet", str(tmp_path / "sheet[1]"))
    assert done.returncode == 0, done.stderr
    for part in ("schema 1", "2,000", "1,200", "right+jump", "uint8", "MIT"):
        assert part in done.stdout
    assert (tmp_path / "sheet[1]").read_bytes().startswith(b"\x89PNG") and "sheet[1]" in done.stdout  # no suffix, and no markup


def test_without_a_display_play_writes_a_take_and_says_where(tmp_path: Path) -> None:
    import os

    env = {key: value for key, value in os.environ.items() if key not in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY")}
    command = [sys.executable, "-m", "genie.cli.app", "play", "coinrun"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env={**env, "COLUMNS": "200"})
    assert done.returncode == 0, done.stderr
    assert "There is no display here" in done.stdout
    written = re.search(r"(\S+\.mp4): 128 frames", done.stdout)
    assert written is not None
    assert Path(written.group(1)).stat().st_size > 10_000


def test_a_licence_with_brackets_is_printed_as_it_is(coinrun: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    licence = "MIT [/see LICENSE]"
    writer = DatasetWriter(
        tmp_path / "d",
        DatasetInfo(
            name="[/a]", resolution=(16, 16), game_rate=30.0, action_names=("[/b]",), frames={"train": 8, "held_out": 8}, recipe={},
            licence=licence,
        ),
    )  # fmt: skip
    for split in ("train", "held_out"):
        writer.add(split, np.zeros((8, 16, 16, 3), np.uint8), np.zeros(8, np.uint8), np.zeros(8, np.float32), 0)
    writer.close()
    done = CliRunner().invoke(app, ["dataset", "info", str(tmp_path / "d")])
    assert done.exit_code == 0, done.exception
    assert "[/a]" in done.output and "[/b]" in done.output and licence in done.output
    done = CliRunner().invoke(app, ["dataset", "check", str(tmp_path / "d")])
    assert done.exit_code in (0, 1) and (done.exception is None or isinstance(done.exception, SystemExit))

    worlds = tmp_path / "worlds"
    (worlds / "other").mkdir(parents=True)
    manifest = json.loads((coinrun.path / "world.json").read_text())
    manifest["licence"], manifest["actions"][0]["name"] = licence, "[/c]"
    manifest["files"].pop("marks.json", None)
    (worlds / "other" / "world.json").write_text(json.dumps(manifest))
    monkeypatch.setattr("genie.world.installed_worlds", lambda: {"other": worlds / "other"})
    done = CliRunner().invoke(app, ["worlds"], env={"COLUMNS": "300"})
    assert done.exit_code == 0, done.exception
    assert licence in done.output


def test_a_headless_take_is_named_by_its_frames(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["play", "--headless", "--frames", "6", "--out", str(tmp_path / "take.npz")])
    assert done.exit_code == 0, done.exception
    frames = np.load(tmp_path / "take.npz")["frames"]
    assert len(frames) == 7
    assert f"fingerprint {Fingerprint().add(frames)}" in done.output


def test_a_seed_has_63_bits(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["play", "--headless", "--frames", "1", "--seed", str(2**63), "--out", str(tmp_path / "take.npz")])
    assert done.exit_code == 2 and isinstance(done.exception, SystemExit)
