"""Datasets as mp4 + NDJSON: `SPLIT/000012.mp4` and, line by line beside it, what was done in each of its frames.

`dataset.json` holds the attributes. Lossless RGB where asked for; else H.264 as every player shows it, each pixel enlarged so that
halving the colour's resolution costs nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from genie.data.card import CARD_FILE, CARD_TEXT
from genie.data.store import SPLITS, UNKNOWN_ACTION, Dataset, Split
from genie.files import replacing

SCALE = 2  # screen pixels a side of one pixel


def export_mp4(
    dataset: Dataset,
    out: Path,
    lossless: bool = False,
    scale: int = SCALE,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Write every episode; the folder is there whole or not at all.

    Args:
        lossless: RGB without loss; few players show it, FFmpeg reads it.
        progress: called with the episodes done and those there are.
    """
    names = dataset.info.action_names
    total = sum(len(dataset.split(name).episode_starts) for name in SPLITS)
    done = 0
    with replacing(out) as folder:
        for split in SPLITS:
            (folder / split).mkdir()
            for number, (frames, actions, rewards, level) in enumerate(episodes(dataset, split)):
                stem = folder / split / f"{number:06d}"
                write_mp4(stem.with_suffix(".mp4"), frames, dataset.info.game_rate, lossless, scale)
                lines = [
                    {"frame": i, "action": names[a] if a != UNKNOWN_ACTION else None, "reward": float(r), "level": level}
                    for i, (a, r) in enumerate(zip(actions.tolist(), rewards.tolist(), strict=True))
                ]
                stem.with_suffix(".ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
                done += 1
                progress(done, total)
        (folder / "dataset.json").write_text(dataset.info.model_dump_json(indent=1))
        for file in (CARD_FILE, CARD_TEXT):
            if (dataset.path / file).exists():
                (folder / file).write_bytes((dataset.path / file).read_bytes())


def episodes(dataset: Dataset, split: Split) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, int]]:
    """Frames uint8 [T, H, W, 3], actions, rewards and level of each episode."""
    data = dataset.split(split)
    for start, end, level in zip(data.episode_starts.tolist(), data.episode_ends.tolist(), data.level_seeds.tolist(), strict=True):
        yield np.asarray(data.frames[start:end]), data.actions[start:end], data.rewards[start:end], level


def write_mp4(path: Path, frames: np.ndarray, rate: float, lossless: bool = False, scale: int = SCALE) -> None:
    """Encode frames uint8 [T, H, W, 3]."""
    scale = 1 if lossless else scale
    video = Mp4(path, (frames.shape[1] * scale, frames.shape[2] * scale), Fraction(rate), lossless)
    video.write(frames, scale)
    video.close()


class Mp4:
    """An H.264 file that is written piece by piece."""

    def __init__(self, path: Path, size: tuple[int, int], rate: Fraction, lossless: bool = False) -> None:
        self._container = av.open(str(path), "w")
        self._stream: Any = self._container.add_stream("libx264rgb" if lossless else "libx264", rate=rate.limit_denominator(1000))
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = "rgb24" if lossless else "yuv420p"
        self._stream.options = {"qp": "0", "preset": "veryfast"} if lossless else {"crf": "16", "preset": "veryfast"}

    def write(self, frames: np.ndarray, scale: int = 1) -> None:
        """Frames uint8 [T, H, W, 3], each pixel as a square of `scale`."""
        for frame in frames:
            picture = frame.repeat(scale, axis=0).repeat(scale, axis=1)
            self._container.mux(self._stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))

    def close(self) -> None:
        """Write what the encoder still holds, and the file's end."""
        self._container.mux(self._stream.encode())
        self._container.close()
