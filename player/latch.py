"""The input latch: what the model thread reads is `held ∪ pressed since the last read`, so a tap is never lost."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass


@dataclass(frozen=True)
class Reading:
    """Controls for one step, and when the oldest of their events came (None: no event since the last reading)."""

    controls: frozenset[str]
    since: float | None


class InputLatch:
    """Written by the window's thread, read by the model's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[str] = set()
        self._tapped: set[str] = set()
        self._since: float | None = None

    def press(self, control: str) -> None:
        """A control goes down."""
        with self._lock:
            self._held.add(control)
            self._tapped.add(control)
            self._mark()

    def release(self, control: str) -> None:
        """A control comes up; a tap shorter than a frame still counts in the next reading."""
        with self._lock:
            if control in self._held:
                self._held.discard(control)
                self._mark()

    def clear(self) -> None:
        """Forget everything: the window lost the focus."""
        with self._lock:
            self._held.clear()
            self._tapped.clear()
            self._since = None

    def read(self) -> Reading:
        """Take what counts for the next step; taps are used up."""
        with self._lock:
            reading = Reading(frozenset(self._held | self._tapped), self._since)
            self._tapped.clear()
            self._since = None
            return reading

    def _mark(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()
