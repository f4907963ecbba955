"""What is in a stretch of pictures: hard cuts, standing still, and footage that is there already.

Everything here works on thumbnails uint8 `[T, 16, 16, 3]`, each cell the mean of the pixels it covers: small, and blind to the noise
of video codecs. A ball of two pixels still moves a cell by more than `TOLERANCE`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

SIDE = 16  # cells a side of a thumbnail
STILL_LEVELS = 2  # no cell changes by more: nothing moves
TOLERANCE = 6  # no cell differs by more: the same picture, encoded twice
CUT_LEVELS = 8.0  # least mean change of a cut, of 255
SPIKE_RATIO = 2.0  # times the changes just before and after it
CUT_RATIO = 3.0  # times the usual change around it
CUT_NEIGHBOURS = 8  # frames on each side that say what is usual
SHIFT = 5  # cells that a camera may jump
MOVED_SHARE = 0.25  # of the change is left when the old picture is moved as well as can be
UNLIKE = 0.3  # least change of a cut, in parts of what unrelated pictures of this contrast differ by
FLASH_FRAMES = 2  # a picture that is back after so many was never cut away
WINDOW = 8  # pictures compared to tell a copy
WINDOW_SECONDS = 2.0  # they span this
PROBES = 16  # cells looked at first
MAX_WINDOWS = 256


def thumbnails(frames: np.ndarray) -> np.ndarray:
    """uint8 [T, H, W, 3] with sides that are multiples of 16 -> uint8 [T, 16, 16, 3]."""
    count, height, width, _ = frames.shape
    cells = frames.reshape(count, SIDE, height // SIDE, SIDE, width // SIDE, 3)
    return cells.mean(axis=(2, 4), dtype=np.float32).round().astype(np.uint8)


def changes(thumbs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and largest change of a cell from each thumbnail to the next: float [T-1] and int [T-1], in levels of 255."""
    steps = np.abs(np.diff(thumbs.astype(np.int16), axis=0))
    return steps.mean(axis=(1, 2, 3)), steps.max(axis=(1, 2, 3), initial=0)


def cuts(thumbs: np.ndarray) -> np.ndarray:
    """int [C]: numbers of the frames that begin a new shot.

    A cut changes the picture once, by far more than what happens around it does, moving the old picture does not explain it (a camera that
    jumps), and the old picture does not come back at once (a flash).
    """
    mean, _ = changes(thumbs)
    beside = np.pad(mean, 1)
    spikes = (mean >= CUT_LEVELS) & (mean >= SPIKE_RATIO * np.maximum(beside[:-2], beside[2:]))
    found = []
    for t in np.flatnonzero(spikes):
        around = np.concatenate([mean[max(0, t - CUT_NEIGHBOURS) : t], mean[t + 1 : t + 1 + CUT_NEIGHBOURS]])
        if len(around) and mean[t] < CUT_RATIO * np.median(around):
            continue
        old, later = thumbs[t].astype(np.int16), thumbs[t + 2 : t + 2 + FLASH_FRAMES].astype(np.int16)
        back = np.abs(later - old).mean(axis=(1, 2, 3)).min(initial=255.0)
        if (
            back >= mean[t] / 3
            and mean[t] >= UNLIKE * _unlike(old, thumbs[t + 1].astype(np.int16))
            and _moved(old, thumbs[t + 1].astype(np.int16)) >= MOVED_SHARE * mean[t]
        ):
            found.append(t + 1)
    return np.array(found, np.int64)


def _unlike(old: np.ndarray, new: np.ndarray) -> float:
    """Mean difference of two thumbnails when cells are compared with cells of another place: what unrelated pictures would differ by."""
    return float(
        np.mean([np.abs(np.roll(old, (SIDE // 2 * y, SIDE // 2 * x), axis=(0, 1)) - new).mean() for y, x in ((0, 1), (1, 0), (1, 1))])
    )


def _moved(old: np.ndarray, new: np.ndarray) -> float:
    """Least mean difference of two thumbnails when one is moved over the other by up to SHIFT cells each way."""
    least = 255.0
    for y in range(-SHIFT, SHIFT + 1):
        for x in range(-SHIFT, SHIFT + 1):
            a = old[max(0, y) : SIDE + min(0, y), max(0, x) : SIDE + min(0, x)]
            b = new[max(0, -y) : SIDE + min(0, -y), max(0, -x) : SIDE + min(0, -x)]
            least = min(least, float(np.abs(a - b).mean()))
    return least


def lively(thumbs: np.ndarray, longest: int, keep: int) -> list[tuple[int, int]]:
    """Parts (start, end) of a shot without the stretches in which nothing moves for more than `longest` frames.

    Of each, `keep` frames stay, at most `longest`.
    """
    keep = min(keep, longest)
    still = changes(thumbs)[1] <= STILL_LEVELS
    edges = np.flatnonzero(np.diff(np.concatenate([[0], still.astype(np.int8), [0]])))
    parts, start = [], 0
    for begin, end in edges.reshape(-1, 2):  # frames begin … end show the same
        if end - begin > longest:
            parts.append((start, int(begin) + keep))
            start = int(end)
    parts.append((start, len(thumbs)))
    return [(a, b) for a, b in parts if b > a + 1]


@dataclass(frozen=True)
class Footage:
    """Episodes end to end as grey thumbnails, uint8 [N, 256], and where each begins."""

    grey: np.ndarray
    starts: np.ndarray  # int64 [E]

    @classmethod
    def of(cls, thumbs: Sequence[np.ndarray]) -> Footage:
        """Out of the thumbnails of each episode."""
        lengths = [len(part) for part in thumbs]
        joined = np.concatenate(thumbs) if thumbs else np.zeros((0, SIDE, SIDE, 3), np.uint8)
        grey = joined.mean(axis=3, dtype=np.float32).round().astype(np.uint8).reshape(len(joined), SIDE * SIDE)
        return cls(grey, np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if lengths else np.zeros(0, np.int64))

    def windows(self, rate: float, most: int = MAX_WINDOWS) -> np.ndarray:
        """int [W, WINDOW]: numbers of the pictures of windows spread over the footage, those in motion where there are any."""
        ends = np.append(self.starts[1:], len(self.grey))
        longest = int((ends - self.starts).max(initial=0))
        stride = max(1, min(round(rate * WINDOW_SECONDS / WINDOW), (longest - 1) // (WINDOW - 1)))
        span = stride * (WINDOW - 1)
        rooms = [np.arange(start, end - span) for start, end in zip(self.starts, ends, strict=True) if end - start > span]
        if not rooms or longest <= span:
            return np.zeros((0, WINDOW), np.int64)
        places = np.concatenate(rooms)
        chosen = places[np.unique(np.linspace(0, len(places) - 1, min(4 * most, len(places))).astype(np.int64))]
        numbers = chosen[:, None] + stride * np.arange(WINDOW)
        pictures = self.grey[numbers].astype(np.int16)
        moving = (np.abs(pictures - pictures[:, :1]).max(axis=2) > 2 * TOLERANCE).sum(axis=1) >= WINDOW // 2
        numbers = numbers[moving] if moving.any() else numbers
        return numbers[np.unique(np.linspace(0, len(numbers) - 1, min(most, len(numbers))).astype(np.int64))]

    def copies(self, windows: np.ndarray, of: Footage) -> np.ndarray:
        """int [W]: where in `of` each of these windows is shown too, picture for picture; -1 where it is not."""
        found = np.full(len(windows), -1, np.int64)
        if not len(of.grey) or not len(windows):
            return found
        sample = of.grey[:: max(1, len(of.grey) // 2000)]
        probes = np.argsort(-sample.std(axis=0), kind="stable")[:PROBES]
        probed = np.ascontiguousarray(of.grey[:, probes]).astype(np.int16)
        episode = np.searchsorted(of.starts, np.arange(len(of.grey)), side="right")
        for w, numbers in enumerate(windows):
            mine, ahead = self.grey[numbers], numbers - numbers[0]
            places = np.flatnonzero((np.abs(probed - mine[0, probes].astype(np.int16)) <= TOLERANCE).all(axis=1))
            places = places[places + ahead[-1] < len(of.grey)]
            places = places[episode[places] == episode[places + ahead[-1]]]
            for picture, further in zip(mine, ahead, strict=True):
                if not len(places):
                    break
                off = np.abs(of.grey[places + further].astype(np.int16) - picture.astype(np.int16))
                places = places[(off <= TOLERANCE).all(axis=1)]
            if len(places):
                found[w] = places[0]
        return found
