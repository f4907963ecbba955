"""Video files: whole, at the right speed, and without loss where that is promised."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

import genie
from genie.sessions.video import GIF_RATES, at_rate, check_video_path, nearest_gif_rate, write_video


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".gif", ".png", ".npz"])
def test_every_format_is_written_whole(tmp_path: Path, suffix: str) -> None:
    frames = np.zeros((20, 64, 64, 3), np.uint8)
    frames[:, 20:40, 20:40] = np.arange(20, dtype=np.uint8)[:, None, None, None] * 10
    path = tmp_path / f"take{suffix}"
    write_video(path, iter(frames), rate=20.0)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]  # no partial file is left
    if suffix == ".npz":
        assert np.array_equal(np.load(path)["frames"], frames)
    elif suffix == ".png":
        assert iio.imread(path).shape[0] == 2 * 130 + 2
    else:
        read = iio.imread(path)
        assert read.shape == (20, 384, 384, 3)
        assert abs(int(read[19, 180, 180, 0]) - 190) < 12


def test_mkv_is_without_loss(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (5, 64, 64, 3), dtype=np.uint8)
    write_video(tmp_path / "take.mkv", frames, 15.0, scale=1)
    assert np.array_equal(iio.imread(tmp_path / "take.mkv", plugin="pyav", format="rgb24"), frames)


def test_a_gif_has_a_rate_that_players_can_show_and_keeps_the_speed(tmp_path: Path) -> None:
    assert [nearest_gif_rate(rate) for rate in (15.0, 30.0, 60.0, 5.0, 20.0)] == [12.5, 25.0, 50.0, 10.0, 20.0]
    frames = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    write_video(tmp_path / "take.gif", frames, 15.0, scale=1)
    with Image.open(tmp_path / "take.gif") as image:
        assert image.info["duration"] == 80  # ms: 12.5 frames/s
        assert image.n_frames == 25  # of 2 seconds
    with pytest.raises(genie.GenieError, match=r"10, 12\.5, 20, 25, 50"):
        write_video(tmp_path / "fast.gif", frames, 15.0, gif_rate=60.0)
    assert not (tmp_path / "fast.gif").exists()


@pytest.mark.parametrize("wanted", GIF_RATES)
def test_changing_the_rate_shows_each_moment_the_frame_of_that_moment(wanted: float) -> None:
    frames = [np.full((1, 1, 3), i, np.uint8) for i in range(60)]
    shown = [int(frame[0, 0, 0]) for frame in at_rate(frames, 15.0, wanted)]
    assert shown == [int(15.0 * k / wanted + 1e-9) for k in range(round(4 * wanted))]


def test_an_unknown_format_or_folder_is_refused_before_playing(tmp_path: Path) -> None:
    with pytest.raises(genie.GenieError, match=r"write one of \.mp4"):
        check_video_path(tmp_path / "take.avi")
    with pytest.raises(genie.GenieError, match="does not exist"):
        check_video_path(tmp_path / "nowhere" / "take.mp4")
