"""Scripted takes: actions written as `right:32,jump:8`, played without a window and written as video."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio.v3 as iio
import numpy as np

from genie.errors import ActionError, GenieError
from genie.runtime.actions import Action, ActionTable
from genie.runtime.rollout import Rollout

SCALE = 6  # pixels a side that one pixel of the world takes in a video
VIDEO_SUFFIXES = (".mp4", ".gif", ".png", ".npz")
MAX_FRAMES = 1_000_000


def parse_actions(text: str, table: ActionTable) -> list[Action]:
    """`right:32,jump:8,noop` -> one action a frame; a part without a number lasts one frame.

    Raises:
        ActionError: an unknown action or a number that is not 1 or more.
    """
    found: list[Action] = []
    for part in text.split(","):
        name, colon, count = part.strip().rpartition(":")
        if not colon:
            name, count = part.strip(), "1"
        if not count.isdecimal() or not 1 <= int(count) <= MAX_FRAMES:
            raise ActionError(f"{part.strip()!r}: write action:frames with 1 frame or more, for example right:32,jump:8.")
        action = table.find(int(name) if name.isdecimal() else name)
        found += [action] * int(count)
    return found


def play_script(rollout: Rollout, actions: Sequence[Action], frames: int) -> Iterator[np.ndarray]:
    """The first frame and `frames` more, uint8 [H, W, 3]; the script starts over when it ends."""
    yield rollout.frame
    for index in range(frames):
        yield rollout.step(actions[index % len(actions)])


def digest(frames: np.ndarray) -> str:
    """A short fingerprint of frames uint8 [T, H, W, 3]: equal takes have equal ones."""
    return hashlib.sha256(np.ascontiguousarray(frames).tobytes()).hexdigest()[:16]


def check_video_path(path: Path) -> None:
    """Refuse a file name that `write_video` could not write, before any work is done.

    Raises:
        GenieError: an unknown suffix or a folder that does not exist.
    """
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        raise GenieError(f"{path}: write one of {', '.join(VIDEO_SUFFIXES)}.")
    if not path.resolve().parent.is_dir():
        raise GenieError(f"{path}: the folder {path.resolve().parent} does not exist; make it first.")


def write_video(path: Path, frames: np.ndarray, rate: float) -> None:
    """Write frames uint8 [T, H, W, 3]: mp4 or gif enlarged, png as a contact sheet, npz as they are (lossless)."""
    check_video_path(path)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    match path.suffix.lower():
        case ".mp4":
            with iio.imopen(partial, "w", plugin="pyav") as file:
                file.init_video_stream("libx264", fps=round(rate) if float(rate).is_integer() else rate)
                for frame in frames:
                    file.write_frame(_enlarged(frame))
        case ".gif":
            iio.imwrite(partial, [_enlarged(frame) for frame in frames], duration=round(1000 / rate), loop=0)
        case ".png":
            from genie.pictures import grid

            rows = [frames[i : i + 16] for i in range(0, len(frames), 16)]
            iio.imwrite(partial, grid(rows))
        case _:
            np.savez_compressed(partial, frames=frames)
    os.replace(partial, path)


def _enlarged(frame: np.ndarray) -> np.ndarray:
    return frame.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
