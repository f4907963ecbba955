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
        self._held: dict[object, str] = {}  # what holds it (a key, a button, a stick's side) -> control
        self._tapped: set[str] = set()
        self._since: float | None = None

    def press(self, source: object, control: str) -> None:
        """A key, button or stick goes down; two sources may hold one control."""
        with self._lock:
            if self._held.get(source) != control:
                self._held[source] = control
                self._tapped.add(control)
                self._mark()

    def release(self, source: object) -> None:
        """It comes up; a tap shorter than a frame still counts in the next reading."""
        with self._lock:
            if self._held.pop(source, None) is not None:
                self._mark()

    def forget_taps(self) -> None:
        """Forget what was tapped but not read: time stood still in between."""
        with self._lock:
            self._tapped.clear()
            self._since = None

    def clear(self) -> None:
        """Forget everything, held keys too: the window lost the focus and will not hear of their release."""
        with self._lock:
            self._held.clear()
            self._tapped.clear()
            self._since = None

    def read(self) -> Reading:
        """Take what counts for the next step; taps are used up."""
        with self._lock:
            reading = Reading(frozenset(self._held.values()) | frozenset(self._tapped), self._since)
            self._tapped.clear()
            self._since = None
            return reading

    def _mark(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()
