"""The input latch: what the model thread reads is `held ∪ pressed since the last read`, so a tap is never lost."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

TURNS = 16  # presses that turn-based play keeps while a frame is being made


@dataclass(frozen=True)
class Reading:
    """Controls for one step, what held them, and when the oldest of their events came (None: no event since the last reading)."""

    controls: frozenset[str]
    since: float | None
    sources: tuple[str, ...] = ()


class InputLatch:
    """Written by the window's thread, read by the model's.

    Args:
        on_press: called after every press, so that a model thread that waits for a turn hears of it.
    """

    def __init__(self, on_press: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.Lock()
        self._on_press = on_press
        self._held: dict[str, str] = {}  # what holds it (a key, a button, a stick's side) -> control
        self._tapped: dict[str, str] = {}
        self._turns: deque[Reading] = deque(maxlen=TURNS)
        self._since: float | None = None

    def press(self, source: str, control: str) -> None:
        """A key, button or stick goes down; two sources may hold one control."""
        with self._lock:
            if self._held.get(source) == control:
                return
            self._held[source] = control
            self._tapped[source] = control
            self._mark()
            self._turns.append(Reading(frozenset(self._held.values()), time.perf_counter(), tuple(sorted(self._held))))
        self._on_press()

    def release(self, source: str) -> None:
        """It comes up; a tap shorter than a frame still counts in the next reading."""
        with self._lock:
            if self._held.pop(source, None) is not None:
                self._mark()

    def forget_taps(self) -> None:
        """Forget what was tapped but not read: time stood still in between."""
        with self._lock:
            self._forget()

    def clear(self) -> None:
        """Forget everything, held keys too: the window lost the focus and will not hear of their release."""
        with self._lock:
            self._held.clear()
            self._forget()

    def read(self) -> Reading:
        """Take what counts for the next step; taps are used up."""
        with self._lock:
            down = {**self._held, **self._tapped}
            reading = Reading(frozenset(down.values()), self._since, tuple(sorted(down)))
            self._forget()
            return reading

    def read_turn(self) -> Reading | None:
        """Take the oldest press that has not had its frame yet, with what was held at that moment."""
        with self._lock:
            if not self._turns:
                return None
            reading = self._turns.popleft()
            self._tapped.clear()
            self._since = None
            return reading

    @property
    def turn_waits(self) -> bool:
        """Whether a press has not had its frame yet."""
        return bool(self._turns)

    def _forget(self) -> None:
        self._tapped.clear()
        self._turns.clear()
        self._since = None

    def _mark(self) -> None:
        if self._since is None:
            self._since = time.perf_counter()
