"""Video import: every defect on a file made here, and an import that goes on where it was killed."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from genie.data.check import find_leaks, make_card, problems
from genie.data.clips import ClipSampler
from genie.data.games.game import fit
from genie.data.importing import SKIPPED_FILE, ImportPlan, Report, import_videos
from genie.data.scenes import changes, cuts, lively, thumbnails
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.data.video import Shaping, look_at
from genie.errors import DatasetError

SIZE = (64, 64)


def scene(seed: int, frames: int, height: int = 64, width: int = 96) -> np.ndarray:
    """A camera that wanders over a landscape of its own: uint8 [T, H, W, 3]."""
    rng = np.random.default_rng(seed)
    blocks = np.clip(rng.integers(40, 216, 3) + rng.integers(-60, 61, (20, 30, 3)), 0, 255).astype(np.uint8)
    land = blocks.repeat(16, axis=0).repeat(16, axis=1)
    turn = np.arange(frames)[:, None] / rng.uniform(20, 26, 2) + rng.uniform(0, 6, 2)
    spots = (np.array([110, 170]) + 30 * np.sin(turn)).round().astype(int)
    return np.stack([land[y : y + height, x : x + width] for y, x in spots])


def film(path: Path, frames: np.ndarray, rate: float = 30, times: np.ndarray | None = None, audio: bool = False) -> Path:
    """Write frames as mp4; `times` in seconds make the rate variable."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(rate))
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.options = {"crf": "12", "preset": "veryfast"}
        stream.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream("aac", rate=44100) if audio else None
        for number, picture in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.time_base = Fraction(1, 1000)
            frame.pts = round(1000 * (number / rate if times is None else times[number]))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if sound is not None:
            tone = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            tone.sample_rate = 44100
            container.mux(sound.encode(tone))
            container.mux(sound.encode())
    return path


def plan(**changes: object) -> ImportPlan:
    shaping = changes.pop("shaping", Shaping(SIZE, 15.0))
    return ImportPlan(**{"name": "mine", "shaping": shaping, "licence": "CC0", **changes})  # type: ignore[arg-type]


def imported(files: list[Path], out: Path, **changes: object) -> tuple[Dataset, Report]:
    report = import_videos(files, out, plan(**changes))
    return Dataset(out), report


def everything(dataset: Dataset) -> np.ndarray:
    """All frames of both splits, training first."""
    return np.concatenate([np.asarray(dataset.split(name).frames[:]) for name in ("train", "held_out")])


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.square(a.astype(float) - b.astype(float)).mean())))


def test_frames_are_resampled_in_time_and_cropped(tmp_path: Path) -> None:
    frames = scene(0, 300)
    dataset, report = imported([film(tmp_path / "a.mp4", frames, 30, audio=True)], tmp_path / "d")
    made = np.asarray(dataset.split("train").frames[:])
    wanted = np.stack([fit(frame, SIZE) for frame in frames[::2]])[: len(made)]
    assert psnr(made, wanted) > 26
    assert report.split_by == "time"
    assert dataset.info.game_rate == 15
    assert dataset.info.frame_skip == 1
    assert dataset.info.action_names == ()
    assert (dataset.split("train").actions == UNKNOWN_ACTION).all()


def test_no_clip_crosses_a_cut(tmp_path: Path) -> None:
    scenes = [scene(seed, 90) for seed in range(6)]
    dataset, report = imported([film(tmp_path / "a.mp4", np.concatenate(scenes), 15)], tmp_path / "d")
    assert report.cuts == 5
    assert report.split_by == "scene"
    truth = [np.stack([fit(frame, SIZE) for frame in frames]) for frames in scenes]
    for split in ("train", "held_out"):
        clips = ClipSampler(dataset.split(split), 30, 1, 0).spread(12).frames  # type: ignore[arg-type]
        for clip in clips:
            nearest = [
                min(range(6), key=lambda s: np.abs(truth[s].astype(int) - frame.astype(int)).mean((1, 2, 3)).min()) for frame in clip[::7]
            ]
            assert len(set(nearest)) == 1
    assert len(np.intersect1d(dataset.split("train").level_seeds, dataset.split("held_out").level_seeds)) == 0


def test_a_flash_and_a_jumping_camera_are_no_cuts() -> None:
    frames = scene(3, 40, width=64)
    frames[20] = 255
    assert cuts(thumbnails(frames)).tolist() == []
    moved = np.concatenate([scene(4, 20, width=64), np.roll(scene(4, 20, width=64)[-1:], 12, axis=1).repeat(20, axis=0)])
    assert cuts(thumbnails(moved)).tolist() == []


def test_standing_still_ends_an_episode_and_is_left_out(tmp_path: Path) -> None:
    parts = [scene(0, 90), scene(0, 90)[-1:].repeat(90, axis=0), scene(1, 90)]
    dataset, report = imported([film(tmp_path / "a.mp4", np.concatenate(parts), 15)], tmp_path / "d", shortest=1.0)
    assert 70 <= report.still_frames <= 90
    assert len(everything(dataset)) < 200
    moved = np.flatnonzero(changes(thumbnails(np.asarray(dataset.split("train").frames[:])))[1] > 2)
    assert np.diff(moved).max() <= 2 * 15  # two seconds at most


def test_parts_between_short_stills_never_overlap(tmp_path: Path) -> None:
    moves = np.repeat([1, 0, 1, 0, 1, 0], [100, 5, 40, 4, 40, 6])  # whether the picture does, frame by frame
    frames = np.stack([np.roll(scene(0, 1)[0], 4 * place, axis=1) for place in np.cumsum(moves)])
    assert lively(thumbnails(frames[:, :, :64]), longest=3, keep=8) == [(0, 102), (104, 147), (148, 191)]
    _, report = imported([film(tmp_path / "a.mp4", frames, 15)], tmp_path / "d", longest_still=0.2, shortest=0.5)
    assert 0 < report.still_frames < 10  # negative where parts overlap


def test_black_borders_are_removed_and_named(tmp_path: Path) -> None:
    inner = scene(3, 120, 72, 96)
    frames = np.zeros((120, 96, 128, 3), np.uint8)
    frames[:, 12:84, 16:112] = inner
    dataset, report = imported([film(tmp_path / "a.mp4", frames, 15)], tmp_path / "d", shortest=1.0)
    assert "black borders removed: 12 above, 12 below, 16 left, 16 right" in next(iter(report.notes.values()))[0]
    made = np.asarray(dataset.split("train").frames[:])
    assert psnr(made, np.stack([fit(frame, SIZE) for frame in inner])[: len(made)]) > 26
    kept, _ = imported([tmp_path / "a.mp4"], tmp_path / "e", shortest=1.0, shaping=Shaping(SIZE, 15.0, "letterbox", "keep"))
    assert (np.asarray(kept.split("train").frames[:10])[:, :8] < 16).all()


def test_borders_are_found_where_a_file_begins_dark_and_does_not_say_how_long_it_is(tmp_path: Path) -> None:
    frames = np.zeros((120, 96, 128, 3), np.uint8)
    frames[10:, 12:84, 16:112] = scene(3, 110, 72, 96)
    film(tmp_path / "a.mp4", frames, 15)
    with av.open(str(tmp_path / "a.mp4")) as whole, av.open(str(tmp_path / "a.h264"), "w", format="h264") as bare:
        stream = bare.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                bare.mux(packet)
    about = look_at(tmp_path / "a.h264", Shaping(SIZE, 15.0))
    assert about.box == (12, 16, 84, 112)  # top, left, bottom, right


def test_a_variable_frame_rate_plays_at_the_right_speed(tmp_path: Path) -> None:
    frames = scene(0, 120)
    times = np.concatenate([np.arange(60) / 30, 2 + np.arange(60) / 10])  # thirty a second, then ten
    dataset, _ = imported([film(tmp_path / "a.mp4", frames, 30, times)], tmp_path / "d", shortest=1.0)
    made = np.asarray(dataset.split("train").frames[:])
    shown = np.searchsorted(times, np.arange(len(made)) / 15 + 1e-3, side="right") - 1
    assert psnr(made, np.stack([fit(frames[number], SIZE) for number in shown])) > 25
    assert 110 <= len(everything(dataset)) + 30 <= 122  # eight seconds, less a gap of two


def test_a_turned_telephone_is_turned_back(tmp_path: Path) -> None:
    frames = scene(0, 120)
    raw = bytearray(film(tmp_path / "a.mp4", frames, 15).read_bytes())
    place = raw.index(b"tkhd") + 4 + 40  # the display matrix of the track's header
    raw[place : place + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)  # a quarter turn clockwise
    (tmp_path / "b.mp4").write_bytes(raw)
    dataset, _ = imported([tmp_path / "b.mp4"], tmp_path / "d", shortest=1.0)
    made = np.asarray(dataset.split("train").frames[:])
    assert psnr(made, np.stack([fit(np.rot90(frame, -1), SIZE) for frame in frames])[: len(made)]) > 26


def test_broken_files_are_named_and_skipped(tmp_path: Path) -> None:
    good = film(tmp_path / "good.mp4", scene(0, 150), 15)
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "noise.mp4").write_bytes(np.random.default_rng(0).bytes(5000))
    (tmp_path / "half.mp4").write_bytes(good.read_bytes()[:3000])
    film(tmp_path / "short.mp4", scene(1, 10), 15)
    dataset, report = imported(sorted(tmp_path.glob("*.mp4")), tmp_path / "d")
    skipped = {Path(name).name: why for name, why in report.skipped.items()}
    assert set(skipped) == {"empty.mp4", "noise.mp4", "half.mp4", "short.mp4"}
    assert "empty" in skipped["empty.mp4"]
    assert "cannot be opened" in skipped["noise.mp4"]
    assert "less than 2 s" in skipped["short.mp4"]
    kept = (tmp_path / "d" / SKIPPED_FILE).read_text().splitlines()
    assert kept == [f"{file}: {why}" for file, why in report.skipped.items()]
    assert [video["file"] for video in dataset.info.recipe["videos"]] == ["good.mp4"]
    with pytest.raises(DatasetError, match="nothing usable"):
        import_videos([tmp_path / "empty.mp4"], tmp_path / "e", plan())


def test_the_same_footage_is_taken_once_however_it_is_encoded(tmp_path: Path) -> None:
    for number in range(5):
        film(tmp_path / f"{number}.mp4", scene(number, 75), 15)
    film(tmp_path / "again.mp4", scene(2, 75).repeat(2, axis=1).repeat(2, axis=2), 15)
    dataset, report = imported(sorted(tmp_path.glob("*.mp4")), tmp_path / "d")
    assert report.copied_frames + report.short_frames == 75
    assert report.copied_frames > 60
    assert report.split_by == "video"
    assert len(everything(dataset)) == 5 * 75
    assert problems(make_card(dataset, find_leaks(dataset))) == []


def test_an_import_that_was_killed_goes_on_and_decodes_nothing_twice(tmp_path: Path) -> None:
    files = [film(tmp_path / f"{number}.mp4", scene(number, 75), 15) for number in range(5)]

    def interrupt(part: str, done: int, total: int) -> None:
        if part in ("3.mp4", "writing held_out"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_videos(files, tmp_path / "d", plan(), interrupt)
    spooled = {path: path.stat().st_mtime_ns for path in (tmp_path / "d.importing").glob("*/thumbs.npy")}
    assert len(spooled) == 3
    with pytest.raises(DatasetError, match="other settings"):
        import_videos(files, tmp_path / "d", plan(seed=1))
    with pytest.raises(KeyboardInterrupt):
        import_videos(files, tmp_path / "d", plan(), lambda part, *_: interrupt(part if part == "writing held_out" else "", 0, 0))
    assert {path: path.stat().st_mtime_ns for path in spooled} == spooled
    whole, _ = imported(files, tmp_path / "d")
    again, _ = imported(files, tmp_path / "e")
    assert np.array_equal(everything(whole), everything(again))
    assert not (tmp_path / "d.importing").exists()
