"""Where sessions lie: kept ones, journals of running or crashed ones, quick-save slots, screenshots, exports."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from PIL import Image

from genie.errors import GenieError
from genie.sessions.archive import SUFFIX
from player.settings import data_folder

if TYPE_CHECKING:
    from genie.sessions.session import Session

SLOTS = 4


class Shelf:
    """The user's folder of sessions."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or data_folder()
        self.slot = 1
        self.last = ""  # the session that was kept last
        self._paths: WeakKeyDictionary[Session, Path] = WeakKeyDictionary()  # of open sessions, where they are kept
        self._found: WeakKeyDictionary[Session, tuple[object, int]] = WeakKeyDictionary()  # tree and frames, as a file elsewhere has them
        self.marks: WeakKeyDictionary[Session, dict[int, tuple[int, int]]] = WeakKeyDictionary()  # slot -> (branch, frame)

    def place(self, kind: str) -> Path:
        """A folder of the shelf, made if need be."""
        folder = self.folder / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def new_journal(self, world: str) -> Path:
        """Where a new session writes while it is played."""
        return free_path(self.place("journals") / f"{world}-{time.strftime('%Y%m%d-%H%M%S')}")

    def path_of(self, session: Session) -> Path:
        """Where an open session is kept."""
        if session not in self._paths:
            name = f"{session.world.name}-{time.strftime('%Y%m%d-%H%M%S')}{SUFFIX}"
            self._paths[session] = free_path(self.place("sessions") / name)
        return self._paths[session]

    def stays_at(self, session: Session, path: Path) -> None:
        """An opened session goes on in its own file, if that lies on the shelf; what is done in one of another file becomes a new one."""
        if path.suffix == SUFFIX and path.resolve().is_relative_to(self.folder.resolve() / "sessions"):
            self._paths[session] = path
        elif path.is_file():
            self._found[session] = session.tree, session.recording.frames

    def is_at(self, session: Session, path: Path) -> bool:
        """Whether a path is where an open session is kept."""
        return session in self._paths and self._paths[session].resolve() == path.resolve()

    def keep(self, session: Session) -> None:
        """Write a session to its file (model thread); one in which nothing happened, or nothing new, is let go."""
        nothing_new = self._found.get(session) == (session.tree, session.recording.frames)
        if not nothing_new and (session.recording.frames or len(session.recording) > 1):
            path = self.path_of(session)
            session.save(path)
            self.last = str(path)

    def crashed(self) -> list[Path]:
        """Journals of sessions that were not closed, the newest first."""
        from genie.sessions.journal import crashed_journals

        return crashed_journals(self.place("journals"))

    def sessions(self) -> list[Path]:
        """Kept sessions, the newest first."""
        found = [*self.place("sessions").glob(f"*{SUFFIX}"), *self.place("slots").glob(f"*{SUFFIX}")]
        return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)

    def slot_path(self, slot: int) -> Path:
        """The file of a quick-save slot."""
        return self.place("slots") / f"slot-{slot}{SUFFIX}"

    def next_slot(self) -> int:
        """Choose the next slot; returns it."""
        self.slot = self.slot % SLOTS + 1
        return self.slot

    def save_picture(self, picture: np.ndarray, kind: str = "screenshots") -> Path:
        """Write uint8 [H, W, 3] as a PNG; returns where."""
        path = free_path(self.place(kind) / f"genie-{time.strftime('%Y%m%d-%H%M%S')}.png")
        partial = path.with_suffix(".partial")
        try:
            Image.fromarray(picture).save(partial, "PNG")
            os.replace(partial, path)
        except OSError as error:
            raise GenieError(f"{path} could not be written ({error.strerror}).") from error
        return path


def free_path(path: Path) -> Path:
    """The path, or one with a number if something is there."""
    candidate, number = path, 2
    while candidate.exists():
        candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        number += 1
    return candidate
