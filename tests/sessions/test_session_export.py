"""Exports: what was played, as others read it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

import genie
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.sessions.export import Kind, Take, export, takes
from genie.sessions.frames import Frames
from genie.sessions.reading import read_session
from genie.sessions.recording import Recording
from genie.sessions.session import Session
from genie.training.pipeline import Pipeline
from genie.training.settings import open_run, presets


@pytest.fixture(scope="module")
def recording(saved: Path) -> Recording:
    return read_session(saved)


@pytest.fixture(scope="module")
def frames(recording: Recording, coinrun: genie.World) -> Frames:
    return Frames(recording, coinrun.engine.codec)


def path_of(frames: Frames, take: Take) -> np.ndarray:
    return np.stack([frames.at(take.branch, i) for i in range(take.first, take.last + 1)])


def test_a_path_goes_from_the_prompt_to_the_branchs_end_and_a_tree_has_every_frame_once(recording: Recording) -> None:
    assert takes(recording) == [Take(0, 0, 150)]
    assert takes(recording, branch=2) == [Take(2, 0, 136)]
    tree = takes(recording, tree=True)
    assert [take.branch for take in tree] == [0, 1, 2, 4, 5]  # not the bookmark
    assert sum(take.last - take.first for take in tree) == recording.frames
    with pytest.raises(genie.SessionError, match="no branch 77"):
        takes(recording, branch=77)


def test_lossless_video_and_pngs_have_the_very_pixels(recording: Recording, frames: Frames, tmp_path: Path) -> None:
    (take,) = takes(recording, branch=5)
    shown = path_of(frames, take)
    seen: list[tuple[int, int]] = []
    export(recording, frames, "lossless", tmp_path / "a.mkv", [take], progress=lambda done, total: seen.append((done, total)))
    assert np.array_equal(iio.imread(tmp_path / "a.mkv", plugin="pyav", format="rgb24"), shown)
    assert seen == [(i + 1, len(shown)) for i in range(len(shown))]
    export(recording, frames, "png", tmp_path / "pngs", [take])
    assert sorted(path.name for path in (tmp_path / "pngs").iterdir())[-1] == "000100.png"
    assert np.array_equal(np.asarray(Image.open(tmp_path / "pngs" / "000100.png")), shown[100])


def test_mp4_is_enlarged_without_smoothing_before_it_is_encoded(recording: Recording, frames: Frames, tmp_path: Path) -> None:
    take = Take(0, 0, 9)
    export(recording, frames, "mp4", tmp_path / "a.mp4", [take], scale=8)
    read = iio.imread(tmp_path / "a.mp4", plugin="pyav", format="rgb24").astype(int)
    assert read.shape == (10, 512, 512, 3)
    cells = read.reshape(10, 64, 8, 64, 8, 3)[:, :, 2:6, :, 2:6]
    assert np.abs(cells.mean(axis=(2, 4)) - path_of(frames, take)).mean() < 6
    assert cells.std(axis=(2, 4)).mean() < 3  # a pixel is a flat square


def test_a_tree_of_videos_is_a_folder_with_one_a_branch(recording: Recording, frames: Frames, tmp_path: Path) -> None:
    small = [Take(1, 100, 101), Take(4, 90, 95)]
    written = export(recording, frames, "gif", tmp_path / "gifs", small, scale=1)
    assert [path.name for path in written] == ["branch-1.gif", "branch-4.gif"]
    assert all(path.exists() for path in written)
    with pytest.raises(genie.SessionError, match="is there already"):
        export(recording, frames, "gif", tmp_path / "gifs", small)
    with pytest.raises(genie.SessionError, match=r"is a \.mp4 file"):
        export(recording, frames, "mp4", tmp_path / "take.avi", small[:1])


def test_npz_makes_the_frames_again(recording: Recording, frames: Frames, coinrun: genie.World, tmp_path: Path) -> None:
    (take,) = takes(recording, branch=0)
    export(recording, None, "npz", tmp_path / "a.npz", [take])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        made = coinrun.decode(arrays["prompt"], arrays["tokens"][:30])
        assert [arrays["action_names"][a] for a in arrays["action"][:3]] == ["right"] * 3
        assert arrays["keys"][arrays["controls"][1]] == "d"
        assert np.isnan(arrays["latency_ms"][0])
        assert arrays["latency_ms"][1] == 12.5
        assert len(arrays["frame"]) == 150
    assert np.array_equal(made, path_of(frames, Take(0, 1, 30)))


def test_npz_makes_the_frames_after_an_edit_again(recording: Recording, frames: Frames, coinrun: genie.World, tmp_path: Path) -> None:
    (take,) = takes(recording, branch=2)
    export(recording, None, "npz", tmp_path / "a.npz", [take])
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert (arrays["edit_branch"].tolist(), arrays["edit_frame"].tolist()) == ([2], [101])
        made = coinrun.decode(arrays["prompt"], arrays["tokens"], dict(zip(arrays["edit_frame"].tolist(), arrays["edits"], strict=True)))
    shown = path_of(frames, take)[1:]
    same = [number for number in range(len(made)) if np.array_equal(made[number], shown[number])]
    assert sorted({*range(len(made))} - {*same}) == [100]  # frame 101 is the edit's picture; what was painted there is what it replaced


def test_npz_takes_a_seed_of_any_size(saved: Path, tmp_path: Path) -> None:
    recording = read_session(saved)
    recording.header = recording.header.model_copy(update={"seed": 2**63 + 5})
    export(recording, None, "npz", tmp_path / "a.npz", takes(recording))
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert int(arrays["seed"]) == 2**63 + 5


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_a_new_session_has_a_seed_of_63_bits(coinrun: genie.World, seed: int) -> None:
    with pytest.raises(genie.SessionError, match="is out of range; choose 0 to"):
        Session.start(coinrun, seed=seed)


def test_ndjson_is_a_line_a_step(recording: Recording, tmp_path: Path) -> None:
    wanted = takes(recording, tree=True)
    export(recording, None, "ndjson", tmp_path / "a.ndjson", wanted)
    lines = [json.loads(line) for line in (tmp_path / "a.ndjson").read_text().splitlines()]
    assert lines[0]["type"] == "session"
    assert lines[0]["seed"] == 5
    assert [line["kind"] for line in lines if line["type"] == "branch"] == ["root", "branch", "edit", "re-roll", "sampling"]
    steps = [line for line in lines if line["type"] == "step"]
    assert len(steps) == recording.frames
    assert (steps[0]["name"], steps[1]["keys"], steps[1]["latency_ms"]) == ("right", ["d"], 12.5)


def test_a_dataset_has_every_frame_as_often_as_the_game_steps(recording: Recording, frames: Frames, tmp_path: Path) -> None:
    (take,) = takes(recording)
    export(recording, frames, "dataset", tmp_path / "data", [take])
    dataset = Dataset(tmp_path / "data")
    train, held_out = dataset.split("train"), dataset.split("held_out")
    assert dataset.info.game_rate == 30.0
    assert dataset.info.action_names == ("noop", "left", "right", "jump", "left+jump", "right+jump")
    assert len(train) + len(held_out) >= 2 * 151
    shown = path_of(frames, take)
    first = int(train.episode_ends[0])
    assert np.array_equal(train.frames[:first:2], shown[: first // 2])
    assert np.array_equal(train.frames[1:first:2], shown[: first // 2])
    names = [dataset.info.action_names[a] for a in train.actions[: first - 2 : 2]]
    assert names == [step.action_name for step in recording.path(0)[: first // 2 - 1]]
    assert train.actions[first - 1] == UNKNOWN_ACTION
    assert dataset.info.licence.startswith("played in the world coinrun (weights: Apache-2.0; trained on: MIT")
    assert min((data.episode_ends - data.episode_starts).min() for data in (train, held_out)) >= 2 * 64
    with pytest.raises(genie.SessionError, match="play longer"):
        export(recording, frames, "dataset", tmp_path / "short", [Take(0, 0, 100)])
    with pytest.raises(genie.SessionError, match="play longer"):
        export(recording, frames, "dataset", tmp_path / "short", [Take(0, 0, 5)])
    assert not (tmp_path / "short").exists()


def test_a_dataset_export_trains(recording: Recording, frames: Frames, tmp_path: Path) -> None:
    export(recording, frames, "dataset", tmp_path / "data", takes(recording, tree=True))
    dataset = Dataset(tmp_path / "data")
    pipeline = Pipeline(dataset, tmp_path / "run", open_run(tmp_path / "run", dataset, presets()["smoke"].bounded(None, 2)))
    pipeline.learn()
    world = genie.load_world(pipeline.write_world(), device="cpu", backend="torch")
    assert world.frame_rate == 15.0
    assert [action.name for action in world.actions if action.kind == "recorded"][2] == "right"
    assert world.start().step("right").shape == (64, 64, 3)


def test_minari_reads_its_export(recording: Recording, frames: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    minari = pytest.importorskip("minari")
    (take,) = takes(recording)
    export(recording, frames, "minari", tmp_path / "exported", [take])
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "exported"))
    dataset = minari.load_dataset("genie/coinrun-v0")
    shown = path_of(frames, take)
    episodes = list(dataset.iterate_episodes())
    assert sum(len(episode.actions) for episode in episodes) == 150
    assert np.array_equal(episodes[0].observations, shown[: len(episodes[0].observations)])
    assert np.array_equal(np.concatenate([episode.actions for episode in episodes]), recording.path(0).actions)
    assert all(episode.truncations[-1] and not episode.terminations.any() for episode in episodes)


def test_a_minari_export_leaves_the_process_as_it_is(
    recording: Recording, frames: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", "elsewhere")
    seen: set[str] = set()
    watch = lambda done, total: seen.add(os.environ["MINARI_DATASETS_PATH"])  # noqa: E731
    export(recording, frames, "minari", tmp_path / "exported", [Take(0, 0, 9)], progress=watch)
    assert seen == {"elsewhere"}


@pytest.mark.parametrize("kind", ["npz", "ndjson", "mp4", "png"])
def test_a_folder_that_does_not_exist_is_named(recording: Recording, frames: Frames, tmp_path: Path, kind: Kind) -> None:
    with pytest.raises(genie.GenieError, match=r"nowhere does not exist"):
        export(recording, frames, kind, tmp_path / "nowhere" / "take.mp4", [Take(0, 0, 3)])
