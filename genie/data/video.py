"""One video file as pictures at an even rate and one size: uint8 `[H, W, 3]`, `fps` a second.

Time comes from the frames' own time stamps, so a variable frame rate plays at the right speed. Rotation flags and pixels that are not
square are applied, black borders removed, audio ignored. Files are untrusted: sizes are checked before a frame is converted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np

from genie.data.games.game import fit
from genie.errors import DatasetError

MAX_PIXELS = 8192 * 8192
BORDER_LEVELS = 24  # a black border is never brighter than this, of 255
LARGEST_BORDER = 0.45  # of a side; what is darker than that is a dark picture
LEAST_BORDER = 2  # pixels; a dark line at the rim is no border
LOOKS = 16  # places of the video that are looked at for borders
LOOK_FRAMES = 15  # from look to look where a video's length is unknown
LONGEST_GAP = 10.0  # seconds between two frames; longer is a jump, not a still

Box = tuple[int, int, int, int]  # top, left, bottom, right


class VideoError(DatasetError):
    """A video file that cannot be used; the message says why, without its name."""


@dataclass(frozen=True)
class Shaping:
    """How pictures are brought to one rate and size."""

    resolution: tuple[int, int]  # height, width
    fps: float
    fit: str = "crop"  # crop, letterbox or stretch
    borders: str = "remove"  # or keep


@dataclass(frozen=True)
class About:
    """What a file says of its video, and what was found."""

    rate: float  # frames a second, on average; 0 where unknown
    aspect: float  # width over height of a pixel
    size: tuple[int, int]  # height, width as shown
    box: Box  # what is left when black borders are gone


def look_at(path: Path, shaping: Shaping) -> About:
    """Open a file, find its borders.

    Raises:
        VideoError: empty, no video in it, or not to be decoded at all.
    """
    if path.stat().st_size == 0:
        raise VideoError("the file is empty")
    with _opened(path) as container:
        stream = container.streams.video[0]
        aspect = float(stream.sample_aspect_ratio or 1)
        pictures = [_upright(frame, aspect) for frame in _spread(container, stream)]
        rate = float(stream.average_rate or 0)
    if not pictures:
        raise VideoError("no frame of it can be decoded")
    size = pictures[-1].shape[:2]
    alike = [picture for picture in pictures if picture.shape[:2] == size]
    box = content_box(np.stack(alike).max(axis=0)) if shaping.borders == "remove" else (0, 0, *size)
    return About(rate, aspect, size, box)


def read_video(path: Path, shaping: Shaping, about: About) -> Iterator[tuple[np.ndarray, bool]]:
    """Pictures uint8 [H, W, 3] at `shaping.fps`, and whether time jumped before this one.

    Raises:
        VideoError: decoding failed; what came before it is good.
    """
    with _opened(path) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        spacing = 1.0 / float(stream.average_rate or shaping.fps)
        held: Any = None  # the frame on show
        shown, jumped = 0.0, False  # its time; whether the next picture follows a jump
        tick = 0.0  # time of the next picture
        for frame in _decoded(container, stream):
            now = frame.time if frame.time is not None else (shown + spacing if held is not None else 0.0)
            if held is None:
                tick = now
            elif now <= shown:
                continue  # time never runs backwards
            elif now - shown > LONGEST_GAP:
                yield _shaped(held, shaping, about), jumped
                tick, jumped = now, True
            else:
                picture = None
                while tick < now - 1e-6:
                    picture = _shaped(held, shaping, about) if picture is None else picture
                    yield picture, jumped
                    jumped, tick = False, tick + 1.0 / shaping.fps
            held, shown = frame, now
        while held is not None and tick < shown + spacing - 1e-6:
            yield _shaped(held, shaping, about), jumped
            jumped, tick = False, tick + 1.0 / shaping.fps


def content_box(brightest: np.ndarray) -> Box:
    """The part of a video that is ever lit: brightest picture uint8 [h, w, 3] -> box."""
    light = brightest.max(axis=2)
    box: list[int] = []
    for axis in (1, 0):  # rows, then columns
        side = light.shape[1 - axis]
        lit = np.flatnonzero(np.percentile(light, 99, axis=axis) > BORDER_LEVELS)
        first, last = (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, side)
        most = LARGEST_BORDER * side
        first = first if LEAST_BORDER <= first <= most else 0
        last = last if LEAST_BORDER <= side - last <= most else side
        box += [first, last]
    top, bottom, left, right = box
    return top, left, bottom, right


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A container with a video stream of a size that fits into memory; FFmpeg's errors as VideoError."""
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError) as error:
        raise VideoError(f"it cannot be opened as a video ({_brief(error)})") from error
    with container:
        if not container.streams.video:
            raise VideoError("there is no video in it")
        context = container.streams.video[0].codec_context
        if context.width * context.height > MAX_PIXELS:
            raise VideoError(f"its pictures are too large ({context.width}×{context.height})")
        yield container


def _decoded(container: Any, stream: Any) -> Iterator[Any]:
    try:
        for frame in container.decode(stream):
            if frame.width * frame.height > MAX_PIXELS:
                raise VideoError(f"its pictures are too large ({frame.width}×{frame.height})")
            yield frame
    except (av.FFmpegError, OSError) as error:
        raise VideoError(f"it is damaged ({_brief(error)})") from error


def _spread(container: Any, stream: Any) -> Iterator[Any]:
    """A frame at each of LOOKS places; of a file that does not say how long it is, some of its first frames."""
    seconds = (container.duration or 0) / 1e6
    first = float(stream.start_time or 0) * float(stream.time_base)
    try:
        if seconds <= 0:
            yield from islice(_decoded(container, stream), 0, LOOKS * LOOK_FRAMES, LOOK_FRAMES)
            return
        for look in range(LOOKS):
            if look:
                container.seek(int((first + seconds * look / LOOKS) / stream.time_base), stream=stream)
            yield next(_decoded(container, stream))
    except (VideoError, av.FFmpegError, StopIteration, OverflowError):
        return


def _upright(frame: Any, aspect: float) -> np.ndarray:
    """A frame as people see it, uint8 [h, w, 3]: rotation and the shape of its pixels (width over height) applied."""
    picture: np.ndarray = frame.to_ndarray(format="rgb24")
    if 0.1 < aspect < 10 and not math.isclose(aspect, 1.0, rel_tol=0.01):
        picture = fit(picture, (picture.shape[0], max(1, round(picture.shape[1] * aspect))), "stretch")
    quarters = round(frame.rotation / 90) % 4
    return np.rot90(picture, quarters) if quarters else picture


def _shaped(frame: Any, shaping: Shaping, about: About) -> np.ndarray:
    picture = _upright(frame, about.aspect)
    if picture.shape[:2] == about.size:  # else the size changed on the way, and the borders are no longer known
        top, left, bottom, right = about.box
        picture = picture[top:bottom, left:right]
    return fit(picture, shaping.resolution, shaping.fit)


def _brief(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
