"""Datasets: what is written is read back, and what is unfinished is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from genie.data import coinrun
from genie.data.store import PROGRESS_FILE, Dataset, DatasetInfo, DatasetWriter
from genie.errors import DatasetError


def episode(rng: np.random.Generator, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return (
        rng.integers(0, 256, (length, 64, 64, 3), dtype=np.uint8),
        rng.integers(0, 6, length).astype(np.uint8),
        rng.random(length).astype(np.float32),
    )


def test_frames_actions_and_bounds_come_back_as_they_were_written(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    writer = DatasetWriter(tmp_path / "d", coinrun.dataset_info(50, 20, seed=0))
    episodes = [episode(rng, n) for n in (30, 30, 25)]
    writer.add("train", *episodes[0], 7)
    writer.add("train", *episodes[1], 8)  # cut to 20: the split is full
    writer.add("held_out", *episodes[2], 9)  # cut to 20
    writer.close()
    data = Dataset(tmp_path / "d").split("train")
    assert np.array_equal(data.frames[:], np.concatenate([episodes[0][0], episodes[1][0][:20]]))
    assert np.array_equal(data.actions, np.concatenate([episodes[0][1], episodes[1][1][:20]]))
    assert data.episode_starts.tolist() == [0, 30]
    assert data.episode_ends.tolist() == [30, 50]
    assert data.level_seeds.tolist() == [7, 8]


def test_the_fingerprint_is_of_frames_and_actions_too(tmp_path: Path) -> None:
    prints = []
    for name, frame, action in (("a", 0, 0), ("b", 1, 0), ("c", 0, 1), ("d", 0, 0)):
        writer = DatasetWriter(tmp_path / name, coinrun.dataset_info(20, 20, seed=0))
        for split in ("train", "held_out"):
            writer.add(split, np.full((20, 64, 64, 3), frame, np.uint8), np.full(20, action, np.uint8), np.zeros(20, np.float32), 7)
        writer.close()
        prints.append(Dataset(tmp_path / name).fingerprint)
    assert len(set(prints)) == 3 and prints[0] == prints[3]


def test_an_unfinished_recording_is_refused_with_what_to_do(tmp_path: Path) -> None:
    DatasetWriter(tmp_path / "d", coinrun.dataset_info(5000, 1000, seed=0))
    with pytest.raises(DatasetError, match="run the same command again"):
        Dataset(tmp_path / "d")


def test_other_settings_do_not_continue_a_recording(tmp_path: Path) -> None:
    DatasetWriter(tmp_path / "d", coinrun.dataset_info(5000, 1000, seed=0))
    with pytest.raises(DatasetError, match="other settings"):
        DatasetWriter(tmp_path / "d", coinrun.dataset_info(6000, 1000, seed=0))


def test_a_finished_dataset_is_not_overwritten(dataset_path: Path) -> None:
    with pytest.raises(DatasetError, match="already a finished dataset"):
        coinrun.record(dataset_path, train_frames=2000, held_out_frames=1200, seed=1)


def test_damaged_datasets_are_named(dataset_path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(dataset_path, tmp_path / "d"))
    (copy / "zarr.json").write_text("{")
    with pytest.raises(DatasetError, match="no readable attributes"):
        Dataset(copy)
    copy = Path(shutil.copytree(dataset_path, tmp_path / "e"))
    shutil.rmtree(copy / "held_out" / "actions")
    with pytest.raises(DatasetError, match="held_out cannot be read"):
        Dataset(copy).split("held_out")
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / PROGRESS_FILE).write_text("{")
    with pytest.raises(DatasetError, match="is damaged"):
        Dataset(tmp_path / "f")
    info = coinrun.dataset_info(50, 20, seed=0).model_dump(mode="json")
    for state in ({}, [], {"info": info, "episodes": {}}, {"info": info, "committed": {}, "episodes": {}}):
        (tmp_path / "f" / PROGRESS_FILE).write_text(json.dumps(state))
        for use in (Dataset, DatasetWriter.reopen):
            with pytest.raises(DatasetError, match="is damaged"):
                use(tmp_path / "f")


def test_a_folder_that_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="genie record"):
        Dataset(tmp_path)


def test_two_recorders_do_not_write_into_one_folder(tmp_path: Path) -> None:
    info = DatasetInfo(
        name="d", resolution=(16, 16), game_rate=30.0, action_names=(), frames={"train": 8, "held_out": 8}, recipe={}, licence="CC0"
    )
    first = DatasetWriter(tmp_path / "d", info)
    with pytest.raises(DatasetError, match="is being recorded by another process"):
        DatasetWriter(tmp_path / "d", info)
    for split in ("train", "held_out"):
        first.add(split, np.zeros((8, 16, 16, 3), np.uint8), np.zeros(8, np.uint8), np.zeros(8, np.float32), 0)
    first.close()
    assert {path.name for path in (tmp_path / "d").iterdir()} == {"zarr.json", "train", "held_out"}


def test_a_recording_killed_in_the_middle_is_finished_by_the_same_command(tmp_path: Path) -> None:
    path = tmp_path / "d"
    command = [sys.executable, "-m", "genie.cli.app", "record", "coinrun", "--frames", "40000", "--out", str(path), "--environments", "8"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        progress = path / PROGRESS_FILE
        if progress.exists() and json.loads(progress.read_text())["committed"]["train"] > 0:
            break
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    committed = json.loads((path / PROGRESS_FILE).read_text())["committed"]["train"]
    assert 0 < committed < 40000
    with pytest.raises(DatasetError, match="recording stopped"):
        Dataset(path)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120)
    data = Dataset(path).split("train")
    assert len(data) == 40000
    assert (np.diff(data.episode_starts) > 0).all()
    assert data.frames[committed - 1].any()
    assert data.frames[39999].any()
