"""Recording: all that was played, as a tree of branches whose steps lie in columns. No model, no files.

Frame 0 is the prompt's last frame; a branch that starts at frame s holds the frames s+1, s+2, … An edit's picture is frame s of its branch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from genie.errors import SessionError
from genie.sessions.format import (
    MAX_BRANCHES,
    MAX_CONTROLS,
    MAX_FRAMES,
    MAX_PICTURES_BYTES,
    MAX_STEP_BYTES,
    NO_TIME,
    Branch,
    Controls,
    Header,
)

Place = tuple[int, int]  # (branch, frame number)


class Log(Protocol):
    """Where a recording writes down what happens to it, at once."""

    def branch(self, branch: Branch, edit: np.ndarray | None, part: np.ndarray | None) -> None: ...
    def changed(self, branch: Branch) -> None: ...
    def step(self, branch: int, row: np.ndarray) -> None: ...
    def key_frame(self, place: Place, data: bytes) -> None: ...
    def controls(self, controls: Controls) -> None: ...
    def cursor(self, place: Place) -> None: ...


@dataclass(frozen=True)
class Step:
    """One step on a path: what was done, what came of it."""

    branch: int
    index: int  # number of the frame it made
    action: int
    action_name: str
    keys: Controls  # raw keys that were held
    tokens: np.ndarray  # int64 [N, G]
    settled: np.ndarray  # bool [N, G]: tokens known before the last sampling pass
    pixels: int  # hash of the frame's pixels
    step_ms: float
    latency_ms: float | None


class Track:
    """The steps of one branch: rows of `Header.row`, growing."""

    def __init__(self, row: np.dtype) -> None:
        self._rows = np.zeros(0, row)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def rows(self) -> np.ndarray:
        """The steps so far: a view."""
        return self._rows[: self._count]

    def append(self, rows: np.ndarray) -> None:
        """Add one row or several."""
        rows = np.atleast_1d(rows)
        wanted = self._count + len(rows)
        if wanted > len(self._rows):
            grown = np.zeros(max(64, 2 * len(self._rows), wanted), self._rows.dtype)
            grown[: self._count] = self.rows
            self._rows = grown
        self._rows[self._count : wanted] = rows
        self._count = wanted


class Recording:
    """A session's content, in memory."""

    def __init__(self, header: Header, prompt: np.ndarray) -> None:
        self.header = header
        self.prompt = prompt  # uint8 [T, H, W, 3]
        self.row = header.row
        self.controls: list[Controls] = []
        self.edits: dict[int, np.ndarray] = {}  # branch -> uint8 [H, W, 3]
        self.parts: dict[int, np.ndarray] = {}  # branch -> the pixels of its edit that are held, bool [H, W], if only some are
        self.key_frames: dict[Place, bytes] = {}  # PNG
        self.cursor: Place = (0, 0)
        self.log: Log | None = None
        self._branches: list[Branch] = []
        self._tracks: list[Track] = []
        self._first: list[int] = []  # of each branch: who holds the frame it starts at
        self._numbers: dict[Controls, int] = {}
        self._frames = 0
        self._picture_bytes = 0

    @property
    def tree(self) -> tuple[Branch, ...]:
        """All branches by id, their lengths up to date."""
        return tuple(self.branch(number) for number in range(len(self._branches)))

    @property
    def frames(self) -> int:
        """Frames of all branches."""
        return self._frames

    def __len__(self) -> int:
        """Branches, pruned ones counted."""
        return len(self._branches)

    def branch(self, number: int) -> Branch:
        """One branch.

        Raises:
            SessionError: there is none of this id.
        """
        if not 0 <= number < len(self._branches):
            raise SessionError(f"the session has no branch {number}; it has 0 … {len(self._branches) - 1}.")
        branch = self._branches[number]
        length = len(self._tracks[number])
        return branch if branch.length == length else branch.model_copy(update={"length": length})

    def rows(self, number: int) -> np.ndarray:
        """The steps of one branch, rows of `Header.row`."""
        return self._tracks[number].rows

    def owner(self, number: int, index: int) -> int:
        """The branch that holds frame `index` on the path to a branch."""
        branch = self._branches[number]
        while branch.parent is not None and index < branch.start:
            branch = self._branches[branch.parent]
        return branch.id if index > branch.start else self._first[branch.id]

    def line(self, number: int, index: int | None = None) -> list[tuple[int, int, int]]:
        """The path from the root to frame `index` of a branch (default: its end): (branch, first, last) for each part.

        The part's own frames are first+1 … last.
        """
        last = self.branch(number).end if index is None else index
        number = self.owner(number, last)
        parts = []
        while True:
            branch = self._branches[number]
            parts.append((number, branch.start, last))
            if branch.parent is None:
                return parts[::-1]
            number, last = branch.parent, branch.start

    def path(self, number: int, index: int | None = None) -> Path:
        """The steps from the root to frame `index` of a branch (default: its end)."""
        return Path(self, self.line(number, index))

    def children(self, number: int) -> list[int]:
        """Branches that leave a branch."""
        return [branch.id for branch in self._branches if branch.parent == number]

    # What happens to a recording; each is told to the log.

    def add_branch(self, branch: Branch, edit: np.ndarray | None = None, part: np.ndarray | None = None) -> Branch:
        """Begin a branch.

        Args:
            edit: the picture that an edit puts in place of the frame it starts at, uint8 [H, W, 3].
            part: its pixels that are held, bool [H, W], if only some are.

        Raises:
            SessionError: it does not fit the tree, or there are too many branches or edits.
        """
        number = len(self._branches)
        if number >= MAX_BRANCHES:
            raise SessionError(f"a session has at most {MAX_BRANCHES:,} branches; save it and begin another one.")
        fits = branch.parent is None if number == 0 else branch.parent is not None and branch.parent < number
        if branch.id != number or not fits or (branch.kind == "root") != (number == 0) or (branch.kind == "edit") != (edit is not None):
            raise SessionError(f"branch {branch.id} does not fit the tree of the session.")
        if branch.parent is not None:
            parent = self.branch(branch.parent)
            if not parent.start <= branch.start <= parent.end or parent.kind == "bookmark":
                raise SessionError(f"branch {branch.id} leaves branch {parent.id} at frame {branch.start}, which that one has not.")
            leaves_inside = branch.start > parent.start
            first = number if branch.kind == "edit" else parent.id if leaves_inside else self._first[parent.id]
        elif branch.start:
            raise SessionError("the first branch of a session starts at frame 0.")
        else:
            first = 0
        if edit is not None:
            self._add_picture_bytes(edit.nbytes + (0 if part is None else part.nbytes))
        branch = branch.model_copy(update={"length": 0})
        self._branches.append(branch)
        self._first.append(first)
        self._tracks.append(Track(self.row))
        if edit is not None:
            self.edits[number] = edit
        if part is not None:
            self.parts[number] = part
        if self.log is not None:
            self.log.branch(branch, edit, part)
        return branch

    def change(self, number: int, **fields: object) -> None:
        """Another label, or pruned or not."""
        self._branches[number] = Branch.model_validate({**self.branch(number).model_dump(), **fields})
        if self.log is not None:
            self.log.changed(self._branches[number])

    def append(self, number: int, row: np.ndarray) -> None:
        """Add a step, or several, to the end of a branch; the cursor goes there.

        Raises:
            SessionError: a session has no room for so many.
        """
        rows = np.atleast_1d(row)
        most = min(MAX_FRAMES, MAX_STEP_BYTES // self.row.itemsize)
        if self._frames + len(rows) > most:
            raise SessionError(f"a session of this world has at most {most:,} frames; save it and begin another one.")
        self._frames += len(rows)
        self._tracks[number].append(rows)
        self.cursor = (number, self._branches[number].start + len(self._tracks[number]))
        if self.log is not None:
            for one in rows:
                self.log.step(number, one)

    def add_key_frame(self, place: Place, data: bytes) -> None:
        """Keep the picture (PNG) of a frame.

        Raises:
            SessionError: a session has no room for it.
        """
        if place not in self.key_frames:
            self._add_picture_bytes(len(data))
            self.key_frames[place] = data
            if self.log is not None:
                self.log.key_frame(place, data)

    def _add_picture_bytes(self, count: int) -> None:
        if self._picture_bytes + count > MAX_PICTURES_BYTES:
            raise SessionError(f"a session keeps at most {MAX_PICTURES_BYTES >> 20} MiB of pictures; save it and begin another one.")
        self._picture_bytes += count

    def controls_number(self, keys: Sequence[str]) -> int:
        """The number under which a set of held keys is kept."""
        controls = tuple(sorted(keys))
        if controls not in self._numbers:
            if len(self.controls) >= MAX_CONTROLS:
                raise SessionError(f"a session has at most {MAX_CONTROLS:,} different sets of keys.")
            self.add_controls(controls)
        return self._numbers[controls]

    def add_controls(self, controls: Controls) -> None:
        """Give the next number to a set of held keys."""
        self._numbers[controls] = len(self.controls)
        self.controls.append(controls)
        if self.log is not None:
            self.log.controls(controls)

    def set_cursor(self, place: Place) -> None:
        """Go to another place of the tree."""
        branch, index = place
        if not 0 <= index <= self.branch(branch).end:
            raise SessionError(f"branch {branch} has the frames 0 … {self.branch(branch).end}, not {index}.")
        self.cursor = place
        if self.log is not None:
            self.log.cursor(place)

    def check(self, where: str) -> None:
        """Refuse numbers that the world has not.

        Raises:
            SessionError: an action, a token or a set of keys out of range, or a branch without its first picture.
        """
        world = self.header.world
        for number, track in enumerate(self._tracks):
            rows, branch = track.rows, self._branches[number]
            if len(rows) and branch.kind == "bookmark":
                raise SessionError(f"{where}: bookmark {number} has frames of its own.")
            for column, limit in (("action", len(world.actions)), ("controls", len(self.controls)), ("tokens", world.vocabulary)):
                if len(rows) and int(rows[column].max()) >= limit:
                    raise SessionError(f"{where}: branch {number} has {column} of {limit} or more.")
            if branch.parent is not None:
                parent = self._branches[branch.parent]
                owner = parent.id if branch.start > parent.start else self._first[parent.id]
                if branch.start > self._branches[owner].start and (owner, branch.start) not in self.key_frames:
                    raise SessionError(f"{where}: branch {number} has no picture of the frame it starts at.")
        for number, index in self.key_frames:
            if not 0 <= number < len(self._branches) or not 0 < index - self._branches[number].start <= len(self._tracks[number]):
                raise SessionError(f"{where}: there is a picture of frame {index} of branch {number}, but no such frame.")


class Path(Sequence[Step]):
    """The steps along a path, made one by one when asked for; item i made frame i+1."""

    def __init__(self, recording: Recording, line: list[tuple[int, int, int]]) -> None:
        self._recording, self.line = recording, line

    def __len__(self) -> int:
        return self.line[-1][2]

    @property
    def rows(self) -> np.ndarray:
        """All steps as rows of `Header.row`."""
        parts = [self._recording.rows(number)[: last - first] for number, first, last in self.line]
        return np.concatenate(parts)

    @property
    def actions(self) -> np.ndarray:
        """int [T]: ids of the actions."""
        return np.concatenate([self._recording.rows(number)["action"][: last - first] for number, first, last in self.line])

    def __getitem__(self, item: int | slice) -> Step | list[Step]:  # type: ignore[override]
        if isinstance(item, slice):
            return [self._step(i) for i in range(*item.indices(len(self)))]
        if not -len(self) <= item < len(self):
            raise IndexError(item)
        return self._step(item % len(self))

    def __iter__(self) -> Iterator[Step]:
        for number, first, last in self.line:
            for index in range(first + 1, last + 1):
                yield step_of(self._recording, number, index)

    def _step(self, item: int) -> Step:
        index = item + 1
        number = next(number for number, first, last in self.line if first < index <= last)
        return step_of(self._recording, number, index)


def step_of(recording: Recording, number: int, index: int) -> Step:
    """The step that made frame `index` of a branch that holds it."""
    world = recording.header.world
    row = recording.rows(number)[index - recording._branches[number].start - 1]
    shape = (world.positions, world.codes)
    settled = np.unpackbits(row["settled"], count=shape[0] * shape[1]).astype(np.bool_).reshape(shape)
    return Step(
        branch=number,
        index=index,
        action=int(row["action"]),
        action_name=world.actions[row["action"]].name,
        keys=recording.controls[row["controls"]],
        tokens=row["tokens"].astype(np.int64),
        settled=settled,
        pixels=int(row["pixels"]),
        step_ms=int(row["step"]) / 10,
        latency_ms=None if row["latency"] == NO_TIME else int(row["latency"]) / 10,
    )
