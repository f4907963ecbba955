"""The drift meter: how far a frame's colours are from those of the world's prompts.

A frame is summed up as a histogram of 4×4×4 colours in each quarter of the picture. The distance of two is half the sum of
their differences (0 equal, 1 no colour in common); the drift is the distance to the nearest prompt, less what the prompts
themselves keep from each other, and scaled so that 1 stays "no colour in common". It sees a picture that fades, floods or
dissolves; it does not see a wrong thing in right colours.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

BINS = 4


class DriftMeter:
    """Made once for a world; a frame takes some 0.1 ms."""

    def __init__(self, frames: Sequence[np.ndarray]) -> None:
        """`frames`: what the world looks like when all is well, uint8 [H, W, 3] each."""
        self._known = np.stack([_histogram(frame) for frame in frames])
        between = [np.delete(_distances(one, self._known), row).min() for row, one in enumerate(self._known)] if len(frames) > 1 else [0.0]
        self._usual = float(np.median(between))

    def __call__(self, frame: np.ndarray) -> float:
        """Drift of a frame uint8 [H, W, 3], 0 … 1."""
        nearest = float(_distances(_histogram(frame), self._known).min())
        return max(0.0, (nearest - self._usual) / max(1e-6, 1.0 - self._usual))


def _histogram(frame: np.ndarray) -> np.ndarray:
    """float [4 quarters × 64 colours], summing to 1."""
    height, width = frame.shape[0] // 2, frame.shape[1] // 2
    levels = (frame // (256 // BINS)).astype(np.int64)
    codes = (levels[..., 0] * BINS + levels[..., 1]) * BINS + levels[..., 2]
    quarters = [codes[y : y + height, x : x + width] for y in (0, height) for x in (0, width)]
    counts = np.concatenate([np.bincount(quarter.ravel(), minlength=BINS**3) for quarter in quarters])
    return counts / counts.sum()


def _distances(one: np.ndarray, many: np.ndarray) -> np.ndarray:
    return 0.5 * np.abs(many - one).sum(axis=1)
