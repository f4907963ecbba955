"""Scripted takes: actions written as `right:32,jump:8`, played without a window."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from genie.errors import ActionError
from genie.runtime.actions import Action, ActionTable
from genie.runtime.rollout import Rollout

if TYPE_CHECKING:
    from genie.sessions.session import Session

MAX_FRAMES = 1_000_000


def parse_actions(text: str, table: ActionTable) -> list[Action]:
    """`right:32,jump:8,noop` -> one action a frame; a part without a number lasts one frame.

    Raises:
        ActionError: an unknown action or a number that is not 1 or more.
    """
    found: list[Action] = []
    for part in text.split(","):
        name, colon, count = part.strip().rpartition(":")
        if not colon:
            name, count = part.strip(), "1"
        if not count.isdecimal() or not 1 <= int(count) <= MAX_FRAMES:
            raise ActionError(f"{part.strip()!r}: write action:frames with 1 frame or more, for example right:32,jump:8.")
        action = table.find(int(name) if name.isdecimal() else name)
        found += [action] * int(count)
    return found


def play_script(rollout: Rollout | Session, actions: Sequence[Action], frames: int) -> Iterator[np.ndarray]:
    """The first frame and `frames` more, uint8 [H, W, 3]; the script starts over when it ends."""
    yield rollout.frame
    for index in range(frames):
        yield rollout.step(actions[index % len(actions)])


class Fingerprint:
    """A short name of frames: equal takes have equal ones."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, frames: np.ndarray) -> Fingerprint:
        """The next frame, or several, uint8."""
        self._hash.update(np.ascontiguousarray(frames).data)
        return self

    def __str__(self) -> str:
        return self._hash.hexdigest()[:16]
