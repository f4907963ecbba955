"""Painting on a frame: brush, fill, eyedropper, stamp, cut, mirror, undo. Plain arrays; the canvas shows them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Colour = tuple[int, int, int]
_State = tuple[np.ndarray, np.ndarray, Any]  # frame, loose, source
_States = deque[_State] | list[_State]
UNDO = 100  # strokes that can be taken back
LIKE = 24  # how far two colours may be apart, in each of red, green and blue, to be filled together


@dataclass(frozen=True, eq=False)
class Stamp:
    """A small picture uint8 [h, w, 3] and which of its pixels count, bool [h, w]."""

    name: str
    picture: np.ndarray
    mask: np.ndarray
    moves: bool = False  # goes its own way in the world: it is never held where it was put

    @classmethod
    def opaque(cls, name: str, picture: np.ndarray) -> Stamp:
        """A stamp of which every pixel counts."""
        return cls(name, picture.copy(), np.ones(picture.shape[:2], np.bool_))


@dataclass(frozen=True, eq=False)
class Painted:
    """A painted frame uint8 [H, W, 3] and which of its pixels are to stay in the world where they are, bool [H, W]."""

    frame: np.ndarray
    held: np.ndarray


@dataclass
class Painting:
    """A frame uint8 [H, W, 3] and what was done to it. Strokes outside the frame are cut off."""

    frame: np.ndarray
    mirror: bool = False  # every stroke also left-right reversed
    hold: bool = True  # strokes are to stay in the world where they are put
    source: Any = None  # whatever the picture was taken from; undone and redone with it
    _past: deque[_State] = field(default_factory=lambda: deque(maxlen=UNDO))
    _future: list[_State] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.frame = self.frame.copy()
        self._loose = np.zeros(self.frame.shape[:2], np.bool_)  # last touched by a stroke that is not held
        self.changes = 0

    def painted(self, before: np.ndarray) -> Painted | None:
        """What leads from a frame uint8 [H, W, 3] to the painted one; None: nothing is painted on it."""
        changed = (self.frame != before).any(axis=-1)
        return Painted(self.frame.copy(), changed & ~self._loose) if changed.any() else None

    def begin(self) -> None:
        """Before a stroke: what `undo` comes back to."""
        self._past.append(self._state())
        self._future.clear()
        self.changes += 1

    def undo(self) -> bool:
        """Take the last stroke back; False if there is none."""
        return self._swap(self._past, self._future)

    def redo(self) -> bool:
        """Do it again; False if there is nothing."""
        return self._swap(self._future, self._past)

    def replace(self, frame: np.ndarray, source: Any = None) -> None:
        """Another picture, as one stroke."""
        self.begin()
        self.frame, self._loose, self.source = frame.copy(), np.zeros_like(self._loose), source

    def line(self, start: tuple[int, int], end: tuple[int, int], colour: Colour, size: int) -> None:
        """A line of squares `size` pixels a side, from (x, y) to (x, y)."""
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            x = round(start[0] + (end[0] - start[0]) * step / steps) - (size - 1) // 2
            y = round(start[1] + (end[1] - start[1]) * step / steps) - (size - 1) // 2
            self._put(x, y, np.full((size, size, 3), colour, np.uint8), np.ones((size, size), np.bool_), not self.hold)
        self.changes += 1

    def fill(self, at: tuple[int, int], colour: Colour) -> None:
        """The area of like colour around (x, y)."""
        for x in self._both(at[0], 1):
            like = (np.abs(self.frame.astype(np.int16) - self.frame[at[1], x].astype(np.int16)) <= LIKE).all(axis=-1)
            area = connected(like, (x, at[1]))
            self.frame[area], self._loose[area] = colour, not self.hold
        self.changes += 1

    def pick(self, at: tuple[int, int]) -> Colour:
        """The colour at (x, y)."""
        red, green, blue = (int(value) for value in self.frame[at[1], at[0]])
        return red, green, blue

    def stamp(self, at: tuple[int, int], stamp: Stamp) -> None:
        """A stamp with its middle at (x, y)."""
        height, width = stamp.mask.shape
        self._put(at[0] - width // 2, at[1] - height // 2, stamp.picture, stamp.mask, stamp.moves or not self.hold)
        self.changes += 1

    def cut(self, one: tuple[int, int], other: tuple[int, int]) -> Stamp:
        """The rectangle between two corners (x, y), both inside, as a stamp."""
        left, right = sorted((one[0], other[0]))
        top, bottom = sorted((one[1], other[1]))
        return Stamp.opaque("cut", self.frame[top : bottom + 1, left : right + 1])

    def _put(self, x: int, y: int, picture: np.ndarray, mask: np.ndarray, loose: bool) -> None:
        height, width = self.frame.shape[:2]
        for left in self._both(x, mask.shape[1]):
            reverse = left != x
            shown, counts = (picture[:, ::-1], mask[:, ::-1]) if reverse else (picture, mask)
            x0, y0 = max(0, left), max(0, y)
            x1, y1 = min(width, left + mask.shape[1]), min(height, y + mask.shape[0])
            if x0 < x1 and y0 < y1:
                part = (slice(y0 - y, y1 - y), slice(x0 - left, x1 - left))
                self.frame[y0:y1, x0:x1][counts[part]] = shown[part][counts[part]]
                self._loose[y0:y1, x0:x1][counts[part]] = loose

    def _both(self, left: int, width: int) -> tuple[int, ...]:
        """Where a stroke begins, and where its mirror image does."""
        other = self.frame.shape[1] - left - width
        return (left, other) if self.mirror and other != left else (left,)

    def _swap(self, taken: _States, kept: _States) -> bool:
        if not taken:
            return False
        kept.append(self._state())
        self.frame, self._loose, self.source = taken.pop()
        self.changes += 1
        return True

    def _state(self) -> _State:
        return self.frame.copy(), self._loose.copy(), self.source


def connected(like: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """The part of bool [H, W] that hangs together with (x, y) over sides, as bool [H, W]."""
    height, width = like.shape
    found = np.zeros_like(like)
    waiting = [(start[1], start[0])]
    while waiting:
        y, x = waiting.pop()
        if 0 <= y < height and 0 <= x < width and like[y, x] and not found[y, x]:
            found[y, x] = True
            waiting += [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
    return found
