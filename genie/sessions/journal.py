"""Journal: a session written down while it is played, in a folder that survives the process at any moment.

`head.json` and `prompt.png` stand before the first step; `log.bin` only grows. Each record there has its length and checksum, and is handed
to the system at once, so a killed process loses nothing; every second a thread asks the system to put it on the disk. What a crash cut
in two at the end is dropped when the journal is read.
"""

from __future__ import annotations

import json
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, cast

import numpy as np

from genie.errors import SessionError
from genie.files import held
from genie.sessions.format import (
    MAX_PICTURE_BYTES,
    MAX_PICTURES_BYTES,
    MAX_STEP_BYTES,
    Branch,
    Controls,
    Header,
    check_version,
    edit_of,
    edit_png,
    most_bytes,
    parse,
    picture,
    png,
)
from genie.sessions.recording import Place, Recording

HEAD, PROMPT, LOG, LOCK = "head.json", "prompt.png", "log.bin", "lock"
MAX_HEAD_BYTES = 16 * 2**20
MAX_RECORD_BYTES = MAX_PICTURE_BYTES + 2**20
MAX_LOG_BYTES = 2 * (MAX_STEP_BYTES + MAX_PICTURES_BYTES)  # half of it for framing, labels and a hundred million moves of the cursor
SYNC_SECONDS = 1.0

BRANCH, CHANGED, STEP, KEY_FRAME, CONTROLS, CURSOR, CLOSED = range(1, 8)
_FRAMING = struct.Struct("<BII")  # kind, length, checksum of kind and bytes
_PLACE = struct.Struct("<II")
_NUMBER = struct.Struct("<I")


class Journal:
    """The log of a recording, open for writing. Made by `begin` or `resume`."""

    def __init__(self, folder: Path, lock: IO[bytes]) -> None:
        self.folder = folder
        self.error: OSError | None = None  # why nothing is written any more, e.g. a full disk; the play goes on
        self._lock = lock
        try:
            self._file = (folder / LOG).open("ab", buffering=0)
        except OSError:
            lock.close()
            raise
        self._dirty, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._sync, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def begin(cls, folder: Path, recording: Recording) -> Journal:
        """Write down a recording as it is, and from now on what happens to it.

        Raises:
            SessionError: the folder is there and not empty, or cannot be written, as on a full disk; then nothing stays of it.
        """
        if folder.exists() and any(folder.iterdir()):
            raise SessionError(f"{folder} is taken; a journal needs a new folder.")
        journal = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            journal = cls(folder, _locked(folder))
            journal._write_whole(recording)
        except BaseException as error:
            if journal is not None:
                journal.remove()
            if isinstance(error, OSError):
                raise SessionError(f"{folder}: the journal cannot be written ({error}).") from error
            raise
        recording.log = journal
        return journal

    def _write_whole(self, recording: Recording) -> None:
        """Everything that is there; the head comes last, so that a folder with one is a whole journal.

        Raises:
            OSError: it cannot be written.
        """
        (self.folder / PROMPT).write_bytes(png(recording.prompt))
        for controls in recording.controls:
            self.controls(controls)
        for branch in recording.tree:
            self.branch(branch, recording.edits.get(branch.id), recording.parts.get(branch.id))
            self._write_many([(STEP, _NUMBER.pack(branch.id) + row.tobytes()) for row in recording.rows(branch.id)])
        for place, data in recording.key_frames.items():
            self.key_frame(place, data)
        self.cursor(recording.cursor)
        if self.error is not None:
            raise self.error
        partial = self.folder / f"{HEAD}.partial"
        partial.write_bytes(recording.header.model_dump_json().encode())
        os.replace(partial, self.folder / HEAD)

    @classmethod
    def resume(cls, folder: Path) -> tuple[Recording, Journal]:
        """Read a journal and go on writing at the end of what is whole.

        Raises:
            SessionError: no journal, a damaged one, or one that is being played.
        """
        lock = _locked(folder)
        try:
            recording, whole = _read(folder)
            os.truncate(folder / LOG, whole)
            recording.log = journal = cls(folder, lock)
        except BaseException:
            lock.close()
            raise
        return recording, journal

    def branch(self, branch: Branch, edit: np.ndarray | None, part: np.ndarray | None) -> None:
        """A branch began."""
        text = branch.model_copy(update={"length": 0}).model_dump_json().encode()
        self._write(BRANCH, _NUMBER.pack(len(text)) + text + (b"" if edit is None else edit_png(edit, part)))

    def changed(self, branch: Branch) -> None:
        """A branch has another label, or is pruned or no longer."""
        self._write(CHANGED, branch.model_dump_json().encode())

    def step(self, branch: int, row: np.ndarray) -> None:
        """A branch has one more frame."""
        self._write(STEP, _NUMBER.pack(branch) + row.tobytes())

    def key_frame(self, place: Place, data: bytes) -> None:
        """A picture was kept."""
        self._write(KEY_FRAME, _PLACE.pack(*place) + data)

    def controls(self, controls: Controls) -> None:
        """A set of keys was held for the first time."""
        self._write(CONTROLS, json.dumps(controls).encode())

    def cursor(self, place: Place) -> None:
        """The cursor went somewhere."""
        self._write(CURSOR, _PLACE.pack(*place))

    def close(self, ended: bool = True) -> None:
        """End the journal: it is not listed as crashed, unless the session has not ended well."""
        if ended:
            self._write(CLOSED, b"")
        self._stop.set()
        self._dirty.set()
        self._thread.join()
        with suppress(OSError):
            os.fsync(self._file.fileno())
        self._file.close()
        self._lock.close()

    def remove(self) -> None:
        """End the journal and remove its files, and the folder if nothing else is in it."""
        self.close()
        with suppress(OSError):
            for name in (HEAD, f"{HEAD}.partial", PROMPT, LOG, LOCK):
                (self.folder / name).unlink(missing_ok=True)
            self.folder.rmdir()

    def _write(self, kind: int, data: bytes) -> None:
        self._write_many([(kind, data)])

    def _write_many(self, found: list[tuple[int, bytes]]) -> None:
        if self.error is not None or not found:
            return
        whole = b"".join(_FRAMING.pack(kind, len(data), _checksum(kind, data)) + data for kind, data in found)
        try:
            written = self._file.write(whole)
            if written != len(whole):
                raise OSError(f"{self.folder / LOG}: only {written} of {len(whole)} bytes could be written; is the disk full?")
        except OSError as error:
            self.error = error
        self._dirty.set()

    def _sync(self) -> None:
        while not self._stop.is_set():
            self._dirty.wait()
            self._dirty.clear()
            with suppress(OSError, ValueError):
                os.fsync(self._file.fileno())
            self._stop.wait(SYNC_SECONDS)


def is_journal(path: Path) -> bool:
    """Whether a folder is a journal."""
    return (path / HEAD).is_file() and (path / LOG).is_file()


def read_journal(folder: Path) -> Recording:
    """What is whole in a journal.

    Raises:
        SessionError: no journal, or a damaged one.
    """
    return _read(folder)[0]


def crashed_journals(root: Path) -> list[Path]:
    """Journals under a folder that were not closed and that no process is playing, the newest first."""
    found = []
    for folder in root.iterdir() if root.is_dir() else ():
        if is_journal(folder) and not _was_closed(folder / LOG):
            with suppress(SessionError):
                _locked(folder).close()
                found.append(folder)
    return sorted(found, key=lambda folder: (folder / LOG).stat().st_mtime, reverse=True)


def _was_closed(log: Path) -> bool:
    end = _FRAMING.pack(CLOSED, 0, _checksum(CLOSED, b""))
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - len(end)))
        return file.read() == end


def _checksum(kind: int, data: bytes) -> int:
    return zlib.crc32(data, kind)


def _locked(folder: Path) -> IO[bytes]:
    """The folder's lock, held until it is closed or the process ends."""
    if not folder.is_dir():
        raise SessionError(f"{folder} is not a journal.")
    try:
        return held(folder / LOCK)
    except BlockingIOError as error:
        raise SessionError(f"{folder} is being played by another process; end that one first.") from error


def _read(folder: Path) -> tuple[Recording, int]:
    """The recording, and how many bytes of the log are whole."""
    if not is_journal(folder):
        raise SessionError(f"{folder} is not a journal; it has no {HEAD} or no {LOG}.")
    _check_size(folder / LOG, MAX_LOG_BYTES)
    header = cast(Header, parse(Header, _bytes(folder / HEAD, MAX_HEAD_BYTES), str(folder / HEAD)))
    check_version(header, str(folder / HEAD))
    resolution, count = header.world.resolution, header.prompt_frames
    prompt = picture(_bytes(folder / PROMPT, most_bytes(resolution, count)), resolution, str(folder / PROMPT), count)
    recording = Recording(header, prompt)
    whole = 0
    with (folder / LOG).open("rb") as file:
        for kind, data, end in _records(file):
            try:
                _apply(recording, kind, data, f"{folder / LOG} at byte {whole}")
            except (ValueError, IndexError, TypeError, RecursionError, struct.error) as error:
                raise SessionError(f"{folder / LOG}: the record at byte {whole} makes no sense ({error}).") from error
            whole = end
    if len(recording) == 0:
        raise SessionError(f"{folder}: nothing was written down.")
    recording.check(str(folder))
    return recording, whole


def _check_size(path: Path, limit: int) -> None:
    if path.stat().st_size > limit:
        raise SessionError(f"{path} is larger than the {limit:,} bytes it may have.")


def _bytes(path: Path, limit: int) -> bytes:
    _check_size(path, limit)
    return path.read_bytes()


def _records(file: IO[bytes]) -> Iterator[tuple[int, bytes, int]]:
    """(kind, bytes, where it ends) of each whole record from the start on."""
    end = 0
    while len(framing := file.read(_FRAMING.size)) == _FRAMING.size:
        kind, length, checksum = _FRAMING.unpack(framing)
        if length > MAX_RECORD_BYTES or len(data := file.read(length)) < length or _checksum(kind, data) != checksum:
            return
        end += _FRAMING.size + length
        yield kind, data, end


def _apply(recording: Recording, kind: int, data: bytes, where: str) -> None:
    """Do again what a record tells."""
    resolution = recording.header.world.resolution
    if kind == BRANCH:
        length = _NUMBER.unpack_from(data)[0] + _NUMBER.size
        branch = cast(Branch, parse(Branch, data[_NUMBER.size : length], where))
        edit, part = edit_of(data[length:], resolution, where) if branch.kind == "edit" else (None, None)
        recording.add_branch(branch, edit, part)
    elif kind == CHANGED:
        branch = cast(Branch, parse(Branch, data, where))
        recording.change(branch.id, label=branch.label, pruned=branch.pruned)
    elif kind == STEP:
        number = _NUMBER.unpack_from(data)[0]
        recording.branch(number)
        recording.append(number, np.frombuffer(data[_NUMBER.size :], recording.row, count=1))
    elif kind == KEY_FRAME:
        recording.add_key_frame(_PLACE.unpack_from(data), data[_PLACE.size :])
    elif kind == CONTROLS:
        recording.add_controls(tuple(str(key) for key in json.loads(data)))
    elif kind == CURSOR:
        recording.set_cursor(_PLACE.unpack_from(data))
