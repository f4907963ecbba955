"""Scripted takes: the little language, and what is written."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import genie
from genie.runtime.actions import Action, ActionTable
from genie.sessions.script import check_video_path, digest, parse_actions, write_video

TABLE = ActionTable(tuple(Action(id=i, name=n, kind="recorded") for i, n in enumerate(("noop", "right", "right+jump"))))


@given(st.lists(st.tuples(st.sampled_from(TABLE.actions), st.integers(1, 20)), min_size=1, max_size=6))
def test_a_written_script_is_read_back(parts: list[tuple[Action, int]]) -> None:
    text = ",".join(f"{action.name}:{count}" for action, count in parts)
    assert parse_actions(text, TABLE) == [action for action, count in parts for _ in range(count)]


def test_a_part_without_a_number_lasts_one_frame_and_ids_work() -> None:
    assert [a.name for a in parse_actions("right, 2:2 ,noop", TABLE)] == ["right", "right+jump", "right+jump", "noop"]


@pytest.mark.parametrize("text", ["right:0", "right:-1", "right:x", "fly:3", "", "right:3,", "right:99999999"])
def test_a_wrong_script_is_refused(text: str) -> None:
    with pytest.raises(genie.ActionError):
        parse_actions(text, TABLE)


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".png", ".npz"])
def test_every_format_is_written_whole(tmp_path: Path, suffix: str) -> None:
    frames = np.zeros((20, 64, 64, 3), np.uint8)
    frames[:, 20:40, 20:40] = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10
    path = tmp_path / f"take{suffix}"
    write_video(path, frames, rate=15.0)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no partial file is left
    if suffix == ".npz":
        assert np.array_equal(np.load(path)["frames"], frames)
    elif suffix == ".png":
        assert iio.imread(path).shape[0] == 2 * 130 + 2
    else:
        read = iio.imread(path)
        assert read.shape == (20, 384, 384, 3)
        assert abs(int(read[19, 180, 180, 0]) - 190) < 12


def test_an_unknown_format_or_folder_is_refused_before_playing(tmp_path: Path) -> None:
    with pytest.raises(genie.GenieError, match=r"write one of \.mp4"):
        check_video_path(tmp_path / "take.avi")
    with pytest.raises(genie.GenieError, match="does not exist"):
        check_video_path(tmp_path / "nowhere" / "take.mp4")


def test_equal_frames_have_equal_fingerprints() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3), dtype=np.uint8)
    assert digest(frames) == digest(frames.copy())
    assert digest(frames) != digest(frames[::-1])
