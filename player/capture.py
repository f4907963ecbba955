"""Catching a chord from a device: the next keys or buttons that are pressed together."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from player.bindings import write
from player.screen import Screen

PATIENCE = 5.0  # seconds until a press; a pad has no button to give up with
MEANT = {"keys": "keyboard", "pad": "gamepad"}


class ChordCatcher:
    """Takes every key and button of a screen until a chord is complete, Esc or time gives up, or Delete (on a pad: Back alone) takes away.

    Its screen calls `tick`.
    """

    def __init__(self, screen: Screen, device: str, on_end: Callable[[str, bool], object]) -> None:
        """`on_end(chord, remove)`: a chord, or "" and whether one is to be taken away."""
        self._screen, self._device, self._on_end = screen, device, on_end
        self._chord: frozenset[str] = frozenset()
        self._until = time.perf_counter() + PATIENCE
        self._left = math.ceil(PATIENCE)
        screen.app.router.let_go()
        screen.listener = self._heard

    @property
    def label(self) -> str:
        """What to do, and for how many more seconds."""
        return f"press it now …  (no change in {self._left} s)"

    def tick(self) -> None:
        """Count the seconds, give up after the last."""
        left = math.ceil(self._until - time.perf_counter())
        if self._screen.listener != self._heard or self._chord:
            return
        if left <= 0:
            self._end("", False)
        elif left != self._left:
            self._left = left
            self._screen.rebuild()

    def _heard(self, device: str, down: frozenset[str] | None) -> None:
        """Keys go down one after the other; the chord is complete when the first comes up."""
        if down is None:
            if self._chord:
                self._end(write(self._chord), False)
        elif device == "keys" and down in ({"escape"}, {"delete"}):
            self._end("", down == {"delete"})
        elif device == self._device:
            self._chord = self._chord | down
        else:
            self._screen.app.say(f"That is the {MEANT[device]}; the {MEANT[self._device]} is being set. Esc gives up, and so does waiting.")

    def _end(self, chord: str, remove: bool) -> None:
        self._screen.listener = None
        self._screen.app.router.let_go()
        if chord == "back" and self._device == "pad":
            chord, remove = "", True
        self._on_end(chord, remove)
