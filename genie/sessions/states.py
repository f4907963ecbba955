"""States: the model's state every few dozen frames of a play, in an unnamed temporary file, so that going back needs few steps.

A state of the shipped world weighs 3 MB, nearly all of it noise that does not compress, so memory is no place for hundreds of them.
The file keeps the newest and writes over the oldest; it disappears with the process, and no state is ever read from a session.
"""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from genie.runtime.rollout import Snapshot
from genie.sessions.recording import Place

SPACING = 32  # frames from one kept state to the next: so many steps, each in one forced pass, are taken again at most
MAX_BYTES = 2**30  # of the file: the last 10,700 frames of the shipped world, 12 minutes


class StateStore:
    """The newest states of a play, each as it was to the bit.

    Rings that do not lie in main memory are not kept: a GPU takes the steps again faster than a disk reads them.

    Args:
        folder: where the file is made; default: the system's place for temporary files.
        max_bytes: of the file.
    """

    def __init__(self, folder: Path | None = None, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._file = tempfile.TemporaryFile(prefix="genie-states-", dir=folder)  # noqa: SIM115
        self._kept: OrderedDict[Place, tuple[int, Snapshot]] = OrderedDict()  # number in the file; what is not in it
        self._room = 0  # bytes for each
        self.full = False  # the disk was: nothing is kept any more, and going back takes longer

    def __iter__(self) -> Iterator[Place]:
        return iter(self._kept)

    def __contains__(self, place: Place) -> bool:
        return place in self._kept

    def put(self, place: Place, state: Snapshot) -> None:
        """Keep the state at a place, instead of the oldest where there are enough."""
        arrays = _arrays(state)
        if self.full or place in self._kept or not all(isinstance(array, np.ndarray) for array in arrays):
            return
        size = sum(array.nbytes for array in arrays)
        if size > self._room:  # a beginning has fewer frames behind it
            self._room = size
            self._kept.clear()
        room = len(self._kept) < max(1, self._max_bytes // size)
        number = len(self._kept) if room else self._kept.popitem(last=False)[1][0]
        try:
            self._file.seek(number * self._room)
            for array in arrays:
                self._file.write(np.ascontiguousarray(array).data)
            self._file.flush()
        except OSError:
            self.full = True
            self._kept.clear()
        else:
            self._kept[place] = number, _with(state, [np.empty((0, *array.shape), array.dtype) for array in arrays])

    def get(self, place: Place) -> Snapshot:
        """The state that was kept at a place."""
        number, shell = self._kept[place]
        shapes = [(array.shape[1:], array.dtype) for array in _arrays(shell)]
        sizes = [int(np.prod(shape)) * kind.itemsize for shape, kind in shapes]
        self._file.seek(number * self._room)
        arrays = [np.frombuffer(self._file.read(size), kind).reshape(shape) for size, (shape, kind) in zip(sizes, shapes, strict=True)]
        return _with(shell, arrays)

    def close(self) -> None:
        """Forget everything."""
        with suppress(OSError):  # what the full disk did not take is written once more
            self._file.close()
        self._kept.clear()


def _arrays(state: Snapshot) -> list[np.ndarray]:
    """The large parts of a state: ring, frames."""
    inner = state.state
    shown = inner.shown
    return [
        inner.memory.keys,
        inner.memory.values,
        inner.before,
        shown.frame,
        shown.picture,
        shown.known,
        *(past.frame for past in state.history),
    ]


def _with(state: Snapshot, arrays: list[np.ndarray]) -> Snapshot:
    """A state with other large parts."""
    keys, values, before, frame, mosaic, known, *frames = arrays
    shown = replace(state.state.shown, frame=frame, picture=mosaic, known=known)
    inner = replace(state.state, memory=replace(state.state.memory, keys=keys, values=values), before=before, shown=shown)
    return replace(state, state=inner, history=tuple(replace(past, frame=one) for past, one in zip(state.history, frames, strict=True)))
