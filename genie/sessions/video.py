"""Frames as video and pictures. Frames come one by one, so that a long play is never in memory as a whole."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image

from genie.errors import GenieError
from genie.pictures import grid

SCALE = 6  # pixels a side that one pixel of the world takes in a video
VIDEO_SUFFIXES = (".mp4", ".mkv", ".gif", ".png", ".npz")
GIF_RATES = (10.0, 12.5, 20.0, 25.0, 50.0)  # frames/s: a GIF counts in hundredths of a second, and players slow down what is faster


def check_video_path(path: Path) -> None:
    """Refuse a file name that `write_video` could not write, before any work is done.

    Raises:
        GenieError: an unknown suffix or a folder that does not exist.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise GenieError(f"{path}: write one of {', '.join(VIDEO_SUFFIXES)}.")
    if not path.resolve().parent.is_dir():
        raise GenieError(f"{path}: the folder {path.resolve().parent} does not exist; make it first.")


def write_video(path: Path, frames: Iterable[np.ndarray], rate: float, scale: int = SCALE, gif_rate: float | None = None) -> None:
    """Write frames uint8 [H, W, 3], whole or not at all.

    By suffix: .mp4 and .gif enlarged (nearest neighbour), .mkv lossless and enlarged as asked for, .png a contact sheet, .npz as they are.

    Args:
        rate: frames a second.
        scale: pixels a side of one pixel.
        gif_rate: one of `GIF_RATES`; default: the nearest. Frames are left out or shown twice, so that a GIF keeps the world's speed.
    """
    check_video_path(path)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        match path.suffix.lower():
            case ".mp4":
                _encode(partial, frames, rate, scale, "libx264", "yuv420p")
            case ".mkv":
                _encode(partial, frames, rate, scale, "ffv1", "bgr0")
            case ".gif":
                _write_gif(partial, frames, rate, scale, gif_rate)
            case ".png":
                whole = np.stack(list(frames))
                iio.imwrite(partial, grid([whole[i : i + 16] for i in range(0, len(whole), 16)]))
            case _:
                np.savez_compressed(partial, frames=np.stack(list(frames)))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def nearest_gif_rate(rate: float) -> float:
    """The rate a GIF can have that is nearest, as a ratio."""
    return min(GIF_RATES, key=lambda possible: abs(math.log(possible / rate)))


def at_rate(frames: Iterable[np.ndarray], rate: float, wanted: float) -> Iterator[np.ndarray]:
    """Frames of one rate as frames of another, at the same speed: the one on show at each moment."""
    shown = 0
    for number, frame in enumerate(frames):
        while shown / wanted < (number + 1) / rate - 1e-9:
            yield frame
            shown += 1


def _encode(path: Path, frames: Iterable[np.ndarray], rate: float, scale: int, codec: str, pixels: str) -> None:
    with iio.imopen(path, "w", plugin="pyav") as file:
        file.init_video_stream(codec, fps=round(rate) if float(rate).is_integer() else rate, pixel_format=pixels)
        for frame in frames:
            file.write_frame(_enlarged(frame, scale))


def _write_gif(path: Path, frames: Iterable[np.ndarray], rate: float, scale: int, wanted: float | None) -> None:
    wanted = nearest_gif_rate(rate) if wanted is None else wanted
    if wanted not in GIF_RATES:
        raise GenieError(f"a GIF shows {', '.join(f'{possible:g}' for possible in GIF_RATES)} frames/s, not {wanted:g}.")
    pictures = (Image.fromarray(_enlarged(frame, scale)) for frame in at_rate(frames, rate, wanted))
    first = next(pictures)
    first.save(path, save_all=True, append_images=pictures, duration=round(1000 / wanted), loop=0)


def _enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    return frame.repeat(scale, axis=0).repeat(scale, axis=1)
