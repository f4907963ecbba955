"""Mean motion of the picture: which shift turns one frame into the next best."""

from __future__ import annotations

import numpy as np

REACH = 6  # pixels, in every direction


def shift(before: np.ndarray, after: np.ndarray) -> tuple[float, float]:
    """(x, y) in pixels by which a frame's picture moved, uint8 [H, W, 3] each; right and down are positive.

    The whole-pixel shift with the least mean absolute difference where both frames overlap; of equal ones the smallest.
    """
    one, other = (frame.sum(axis=-1, dtype=np.int16) for frame in (before, after))  # grey: a third of the work
    height, width = one.shape[:2]
    best: tuple[float, int, int, int] | None = None
    for y in range(-REACH, REACH + 1):
        for x in range(-REACH, REACH + 1):
            here = one[max(0, -y) : height - max(0, y), max(0, -x) : width - max(0, x)]
            there = other[max(0, y) : height - max(0, -y), max(0, x) : width - max(0, -x)]
            found = (float(np.abs(here - there).mean()), abs(x) + abs(y), x, y)
            if best is None or found < best:
                best = found
    assert best is not None
    return float(best[2]), float(best[3])


def mean_motion(frames: np.ndarray) -> tuple[float, float]:
    """Mean (x, y) in pixels a frame over frames uint8 [T, H, W, 3]."""
    shifts = [shift(frames[t - 1], frames[t]) for t in range(1, len(frames))]
    return float(np.mean([x for x, _ in shifts])), float(np.mean([y for _, y in shifts]))


def mean_change(frames: np.ndarray) -> float:
    """Mean absolute difference of neighbouring frames, in levels of 255."""
    return float(np.abs(np.diff(frames.astype(np.int16), axis=0)).mean())
