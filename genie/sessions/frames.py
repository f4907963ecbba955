"""The pictures of a recording: those that were seen are kept compressed in a temporary file, others are painted again from their codes.

Painting starts at the nearest picture that is known (a kept one, a key frame, an edit, the prompt) and takes the very path that a step
takes, so on the machine that recorded it gives the same bytes. Every painted frame is compared with the hash of what was shown.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np

from genie.sessions.format import picture, pixel_hash
from genie.sessions.recording import Place, Recording

Paint = Callable[[np.ndarray, np.ndarray], np.ndarray]  # `Codec.paint`


class FrameStore:
    """Frames in an unnamed temporary file, about 6 kB each for a frame of 64×64; it disappears with the process.

    Where its disk is full a frame is not kept: it is painted again from its codes when it is wanted.
    """

    def __init__(self, resolution: tuple[int, int]) -> None:
        self._shape = (*resolution, 3)
        self._file = tempfile.TemporaryFile(buffering=0, prefix="genie-frames-")  # noqa: SIM115
        self._end = 0
        self._where: dict[Place, tuple[int, int]] = {}

    def __contains__(self, place: Place) -> bool:
        return place in self._where

    def put(self, place: Place, frame: np.ndarray) -> None:
        """Keep a frame uint8 [H, W, 3], if there is room."""
        data = zlib.compress(np.ascontiguousarray(frame).data, 1)
        self._file.seek(self._end)
        with suppress(OSError):
            if self._file.write(data) == len(data):
                self._where[place] = (self._end, len(data))
                self._end += len(data)

    def get(self, place: Place) -> np.ndarray:
        """A frame that was kept."""
        start, length = self._where[place]
        self._file.seek(start)
        return np.frombuffer(zlib.decompress(self._file.read(length)), np.uint8).reshape(self._shape).copy()

    def close(self) -> None:
        """Forget everything."""
        self._file.close()
        self._where.clear()


class Frames:
    """Any frame of a recording.

    Args:
        paint: `Codec.paint` of a world with the recording's tokenizer.
    """

    def __init__(self, recording: Recording, paint: Paint) -> None:
        self._recording, self._paint = recording, paint
        self._store = FrameStore(recording.header.world.resolution)
        self.different: set[Place] = set()  # painted here with other pixels than were shown

    def at(self, branch: int, index: int) -> np.ndarray:
        """Frame `index` on the path to a branch, uint8 [H, W, 3]."""
        recording = self._recording
        owner = recording.owner(branch, index)
        place = owner, index
        if place in self._store:
            return self._store.get(place)
        if owner in recording.edits and index == recording.branch(owner).start:
            return recording.edits[owner].copy()
        if index == 0:
            return recording.prompt[-1].copy()
        return self._painted(owner, index)

    def put(self, place: Place, frame: np.ndarray) -> None:
        """Keep a frame that was just made."""
        self._store.put(place, frame)

    def close(self) -> None:
        """Forget the kept frames."""
        self._store.close()

    def _painted(self, owner: int, index: int) -> np.ndarray:
        recording = self._recording
        start = recording.branch(owner).start
        known = index
        while known > start and (owner, known) not in self._store and (owner, known) not in recording.key_frames:
            known -= 1
        if (owner, known) in self._store:
            frame = self._store.get((owner, known))
        elif known > start:
            frame = self._key_frame((owner, known))
        elif owner in recording.edits:
            frame = recording.edits[owner]
        else:  # the frame it leaves its parent at, whose picture every branch has
            place = (recording.owner(owner, start), start)
            frame = self._key_frame(place) if place in recording.key_frames else self.at(*place)
        rows = recording.rows(owner)
        for number in range(known + 1, index + 1):
            row = rows[number - start - 1]
            frame = self._paint(frame[None], row["tokens"][None].astype(np.int64))[0]
            self._check((owner, number), frame)
            self._store.put((owner, number), frame)
        return frame.copy()

    def _key_frame(self, place: Place) -> np.ndarray:
        frame = picture(self._recording.key_frames[place], self._recording.header.world.resolution, f"the key frame {place}")[0]
        self._check(place, frame)
        self._store.put(place, frame)
        return frame

    def _check(self, place: Place, frame: np.ndarray) -> None:
        owner, index = place
        row = self._recording.rows(owner)[index - self._recording.branch(owner).start - 1]
        if pixel_hash(frame) != int(row["pixels"]):
            self.different.add(place)
