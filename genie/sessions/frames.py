"""The pictures of a recording: those that were seen are kept compressed in a temporary file, others are painted again from their codes.

Painting starts at the nearest picture that is known (a kept one, a key frame, an edit, the prompt) and takes the very path that a step
takes, so on the machine that recorded it gives the same bytes. Every painted frame is compared with the hash of what was shown.
"""

from __future__ import annotations

import tempfile
import zlib
from contextlib import suppress

import numpy as np

from genie.runtime.codec import Codec
from genie.sessions.format import pixel_hash, read_key_frame
from genie.sessions.recording import Place, Recording
from tokenizer.mosaic import Mosaic

MARK_EVERY = 16  # frames between two of which it is noted what was remembered around them
MARKS = 32  # of these notes, at most: the ones made last, 0.15 MB each where a frame is 64×64 and 64 pixels around it are remembered


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
        codec: of a world with the recording's tokenizer.
    """

    def __init__(self, recording: Recording, codec: Codec) -> None:
        self._recording, self._codec = recording, codec
        self._store = FrameStore(recording.header.world.resolution)
        self._last: tuple[Place, Mosaic] | None = None  # what was painted last: most often the next frame is asked for then
        self._marks: dict[Place, Mosaic] = {}  # on the way there, so that going back frame by frame is no long way each time
        self._prompt: Mosaic | None = None  # what is shown at its end, once it was asked for
        self.different: set[Place] = set()  # painted here with other pixels than were shown

    def at(self, branch: int, index: int) -> np.ndarray:
        """Frame `index` on the path to a branch, uint8 [H, W, 3]."""
        place = self._recording.owner(branch, index), index
        return self._store.get(place) if place in self._store else self.shown(*place).frame[0].copy()

    def shown(self, branch: int, index: int) -> Mosaic:
        """Frame `index` on the path to a branch, with what was remembered around it; a batch of one."""
        recording, codec = self._recording, self._codec
        owner = recording.owner(branch, index)
        start = recording.branch(owner).start
        known = index
        while known > start and not self._at_hand((owner, known)):
            known -= 1
        again = known > start or self._at_hand((owner, known))
        shown = self._again((owner, known)) if again else self._beginning(owner)
        rows = recording.rows(owner)
        for number in range(known + 1, index + 1):
            place, tokens = (owner, number), rows[number - start - 1]["tokens"][None].astype(np.int64)
            if place in self._store:
                frame = self._store.get(place)
            else:
                frame = codec.paint(shown, tokens)[0]
                self._check(place, frame)
                self._store.put(place, frame)
            shown = shown.after(codec.motion(tokens), frame[None])
            if codec.config.mosaic and number % MARK_EVERY == 0:
                self._mark(place, shown)
        self._last = (owner, index), shown
        return shown

    def put(self, place: Place, frame: np.ndarray) -> None:
        """Keep a frame that was just made."""
        self._store.put(place, frame)

    def close(self) -> None:
        """Forget the kept frames."""
        self._store.close()

    def _mark(self, place: Place, shown: Mosaic) -> None:
        self._marks[place] = shown
        while len(self._marks) > MARKS:
            del self._marks[next(iter(self._marks))]

    def _at_hand(self, place: Place) -> bool:
        alone = not self._codec.config.mosaic  # the frame is all that painting goes on from
        last = self._last is not None and self._last[0] == place
        return last or place in self._marks or place in self._recording.key_frames or (alone and place in self._store)

    def _again(self, place: Place) -> Mosaic:
        """What is shown at a place that is at hand."""
        if self._last is not None and self._last[0] == place:
            return self._last[1]
        if place in self._marks:
            return self._marks[place]
        if place in self._store and not self._codec.config.mosaic:
            return self._codec.shown(self._store.get(place)[None])
        shown = read_key_frame(self._recording.key_frames[place], self._codec.config, f"the key frame {place}")
        self._check(place, shown.frame[0])
        self._store.put(place, shown.frame[0])
        return shown

    def _beginning(self, owner: int) -> Mosaic:
        """What is shown where a branch starts: its edit, the frame at which it leaves its parent, or the prompt."""
        recording, remembers = self._recording, bool(self._codec.config.mosaic)
        index = recording.branch(owner).start
        holder, edits = recording.owner(owner, index), []
        while holder in recording.edits and recording.branch(holder).start == index:  # edits of edits, the newest first
            edits.append(recording.edits[holder][None])
            if not remembers:
                return self._codec.shown(edits[0])
            parent = recording.branch(holder).parent
            assert parent is not None
            holder = recording.owner(parent, index)
        if index > recording.branch(holder).start:
            shown = self.shown(holder, index)
        else:
            if self._prompt is None:
                self._prompt = self._codec.begun((recording.prompt if remembers else recording.prompt[-1:])[None])
            shown = self._prompt
        for edit in reversed(edits):
            shown = shown.showing(edit)
        return shown

    def _check(self, place: Place, frame: np.ndarray) -> None:
        owner, index = place
        row = self._recording.rows(owner)[index - self._recording.branch(owner).start - 1]
        if pixel_hash(frame) != int(row["pixels"]):
            self.different.add(place)
