"""A session as one file: a zip with `session.json`, the prompt, the steps column by column, edits and key frames as PNG.

Read as untrusted input: only the files that `session.json` names, each with the size it must have, no more than a bounded sum; nothing is
unpacked to disk.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from pathlib import Path
from typing import cast

import numpy as np

from genie.bundle import UNREADABLE, FileEntry
from genie.errors import SessionError
from genie.sessions.format import (
    MAX_PICTURE_BYTES,
    MAX_PICTURES_BYTES,
    MAX_STEP_BYTES,
    Contents,
    check_version,
    edit_of,
    edit_png,
    most_bytes,
    parse,
    picture,
    png,
)
from genie.sessions.recording import Place, Recording

SUFFIX = ".session"
CONTENTS = "session.json"
MAX_CONTENTS_BYTES = 128 * 2**20
COLUMNS = ("action", "controls", "tokens", "settled", "pixels", "step", "latency")


def check_session_path(path: Path) -> None:
    """Whether a session can be written there.

    Raises:
        SessionError: the folder does not exist, or the path is one.
    """
    if path.is_dir():
        raise SessionError(f"{path} is a folder; say a file, for example {path / 'take.session'}.")
    if not path.resolve().parent.is_dir():
        raise SessionError(f"{path}: the folder {path.resolve().parent} does not exist; make it first.")


def save(recording: Recording, path: Path) -> None:
    """Write a session whole or not at all.

    Raises:
        SessionError: as `check_session_path`.
    """
    check_session_path(path)
    tree = recording.tree
    steps = np.concatenate([recording.rows(branch.id)[: branch.length] for branch in tree])
    files = {"prompt.png": png(recording.prompt)}
    files |= {_column(name): np.ascontiguousarray(steps[name]).tobytes() for name in COLUMNS}
    files |= {_edit(number): edit_png(frame, recording.parts.get(number)) for number, frame in recording.edits.items()}
    files |= {_key_frame(place): data for place, data in recording.key_frames.items()}
    contents = Contents(
        header=recording.header,
        branches=tree,
        controls=tuple(recording.controls),
        key_frames=tuple(recording.key_frames),
        cursor=recording.cursor,
        files={name: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for name, data in files.items()},
    )
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name, data in {CONTENTS: contents.model_dump_json().encode(), **files}.items():
                    kind = zipfile.ZIP_STORED if name.endswith(".png") else zipfile.ZIP_DEFLATED
                    archive.writestr(zipfile.ZipInfo(name), data, kind)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def read(path: Path) -> Recording:
    """Read a session file.

    Raises:
        SessionError: not a session, truncated, changed, unsafe, or of another schema version; the message says which.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(path, archive).recording()
    except UNREADABLE as error:
        raise SessionError(f"{path} is not a session file, or only a part of one ({error}).") from error


class _Reader:
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._path, self._archive = path, archive
        self._left = MAX_CONTENTS_BYTES
        names = archive.namelist()
        if len(set(names)) != len(names):
            raise SessionError(f"{path} has two files of one name; it is not a session that genie wrote.")
        self.contents = cast(Contents, parse(Contents, self._bytes(CONTENTS, MAX_CONTENTS_BYTES), f"{path}/{CONTENTS}"))
        check_version(self.contents.header, str(path))
        pictures = MAX_PICTURES_BYTES * 101 // 100  # edits are counted as pixels, and noise takes more as PNG
        self._left = MAX_STEP_BYTES + pictures + self._prompt_bytes

    @property
    def _prompt_bytes(self) -> int:
        header = self.contents.header
        return most_bytes(header.world.resolution, header.prompt_frames)

    def recording(self) -> Recording:
        """Everything, checked."""
        contents, where = self.contents, str(self._path)
        header = contents.header
        resolution = header.world.resolution
        prompt = picture(self._named("prompt.png", self._prompt_bytes), resolution, f"{where}/prompt.png", header.prompt_frames)
        recording = Recording(header, prompt)
        for controls in contents.controls:
            recording.add_controls(controls)
        steps = self._steps(sum(branch.length for branch in contents.branches), header.row)
        first = 0
        for branch in contents.branches:
            edit, part = None, None
            if branch.kind == "edit":
                edit, part = edit_of(self._named(_edit(branch.id), MAX_PICTURE_BYTES), resolution, f"{where}/{_edit(branch.id)}")
            recording.add_branch(branch, edit, part)
            recording.append(branch.id, steps[first : first + branch.length])
            first += branch.length
        for place in contents.key_frames:
            recording.add_key_frame(place, self._named(_key_frame(place), MAX_PICTURE_BYTES))
        recording.set_cursor(contents.cursor)
        recording.check(where)
        return recording

    def _steps(self, count: int, row: np.dtype) -> np.ndarray:
        assert row.fields is not None
        columns = {}
        for name in COLUMNS:
            kind = row.fields[name][0]
            size = count * kind.itemsize
            data = self._named(_column(name), size)
            if len(data) != size:
                raise SessionError(f"{self._path}/{_column(name)} has {len(data):,} bytes; {count:,} frames need {size:,}.")
            columns[name] = np.frombuffer(data, kind.base).reshape(count, *kind.shape)
        steps = np.zeros(count, row)
        for name, column in columns.items():
            steps[name] = column
        return steps

    def _named(self, name: str, limit: int) -> bytes:
        """A file that the contents name, at most so large, as they say it is."""
        entry = self.contents.files.get(name)
        if entry is None:
            raise SessionError(f"{self._path}/{CONTENTS} names no {name}; the session is not whole.")
        if entry.size > limit:
            raise SessionError(f"{self._path}/{name} is to have {entry.size:,} bytes, more than the {limit:,} it can have.")
        data = self._bytes(name, entry.size)
        if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.sha256:
            raise SessionError(f"{self._path}/{name}: size or sha256 is not the one noted; it was changed or damaged.")
        return data

    def _bytes(self, name: str, limit: int) -> bytes:
        """At most limit + 1 bytes of a file in the zip, and only so many of all files together."""
        try:
            info = self._archive.getinfo(name)
        except KeyError:
            raise SessionError(f"{self._path} has no {name}; it is not a session, or not a whole one.") from None
        if info.file_size > limit or info.file_size > self._left:
            raise SessionError(f"{self._path}/{name} has {info.file_size:,} bytes; {min(limit, self._left):,} are the most it may have.")
        with self._archive.open(info) as file:
            data = file.read(limit + 1)
        self._left -= len(data)
        return data


def _column(name: str) -> str:
    return f"steps/{name}.bin"


def _edit(number: int) -> str:
    return f"edits/{number}.png"


def _key_frame(place: Place) -> str:
    return f"frames/{place[0]}-{place[1]}.png"
