"""How the picture moves as a whole from frame to frame, and what that says in plain words. Frames are uint8 [H, W, 3]."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

QUARTER = 4  # the first search is on pictures of a quarter of the size, so that it can go far
FINE = 3  # pixels around what it found that the second one looks at
FAR = (8, 8)  # rows and columns in pixels, where a world does not say how far it scrolls
COST = 0.04  # of a pixel of motion, in sums of levels: of shifts that fit alike, as on an empty picture, the shortest is taken
LEAST = 0.5  # pixels a frame from which on the view goes somewhere
STILL = 1.0  # mean change in levels of 255 under which nothing happens


def shift(before: np.ndarray, after: np.ndarray, reach: tuple[int, int] = FAR) -> tuple[float, float]:
    """(x, y) in whole pixels by which a frame's picture moved; right and down are positive.

    The shift with the least mean absolute difference where both frames overlap: found as far as `reach` (rows, columns, in pixels) on
    pictures of a quarter of the size, then to the pixel.
    """
    one, other = (frame.sum(axis=-1, dtype=np.int16) for frame in (before, after))  # grey: a third of the work
    down, right = (-(-limit // QUARTER) for limit in reach)
    small_one, small_other = _quarter(one), _quarter(other)
    down, right = min(down, small_one.shape[0] // 2), min(right, small_one.shape[1] // 2)
    far = _best(small_one, small_other, ((x, y) for y in range(-down, down + 1) for x in range(-right, right + 1)))
    near = range(-FINE, FINE + 1)
    x, y = _best(one, other, ((QUARTER * far[0] + i, QUARTER * far[1] + j) for j in near for i in near))
    return float(x), float(y)


def usual_motion(frames: np.ndarray, reach: tuple[int, int] = FAR) -> tuple[float, float]:
    """(x, y) in pixels a frame over frames uint8 [T, H, W, 3]: the mean of the middle half of the shifts, each way by itself."""
    shifts = np.sort([shift(frames[t - 1], frames[t], reach) for t in range(1, len(frames))], axis=0)
    cut = len(shifts) // 4  # a search that goes far goes far wrong now and then
    x, y = shifts[cut : len(shifts) - cut].mean(axis=0)
    return float(x), float(y)


def mean_change(frames: np.ndarray) -> float:
    """Mean absolute difference of neighbouring frames, in levels of 255."""
    return float(np.abs(np.diff(frames.astype(np.int16), axis=0)).mean())


def ways(motion: tuple[float, float]) -> tuple[str, ...]:
    """Where the view goes if the picture moves so, right and down: the other way. Empty: it stays."""
    x, y = motion
    least = max(LEAST, max(abs(x), abs(y)) / 2)  # a slant counts as two ways, a drift beside a motion does not
    across = ("left",) if x >= least else ("right",) if -x >= least else ()
    along = ("up",) if y >= least else ("down",) if -y >= least else ()
    return across + along


def in_words(motion: tuple[float, float], change: float) -> str:
    """What a rollout shows: `the view goes left`."""
    way = ways(motion)
    if way:
        return f"the view goes {' and '.join(way)}"
    return "the view stays; things change in it" if change >= STILL else "the view stays; nothing moves"


def names_for(motion: tuple[float, float], change: float) -> tuple[str, ...]:
    """What an action that does this may be called, the best name first."""
    way = ways(motion)
    if way:
        return (" and ".join(way),)
    return ("forward", "still") if change >= STILL else ("still",)


def _quarter(grey: np.ndarray) -> np.ndarray:
    """[H, W] -> means over squares of pixels, float32 [H/4, W/4]."""
    height, width = (side // QUARTER * QUARTER for side in grey.shape)
    squares = grey[:height, :width].reshape(height // QUARTER, QUARTER, width // QUARTER, QUARTER)
    return squares.mean(axis=(1, 3), dtype=np.float32)


def _best(one: np.ndarray, other: np.ndarray, shifts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    height, width = one.shape
    best: tuple[float, int, int] | None = None
    for x, y in shifts:
        here = one[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
        there = other[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)]
        found = (float(np.abs(here - there).mean()) + COST * (abs(x) + abs(y)), x, y)
        if best is None or found < best:
            best = found
    assert best is not None
    return best[1:]
