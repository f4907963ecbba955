"""Folders that are there whole or not at all, and files that one process holds."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


def held(path: Path) -> IO[bytes]:
    """The file, made where it is missing, locked until it is closed or the process ends.

    Raises:
        BlockingIOError: another process, or another part of this one, holds it.
    """
    file = path.open("ab")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise BlockingIOError(f"{path} is held") from error
    return file


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `path` when the block ends well; otherwise nothing has changed.

    The old one is called NAME.….old beside it for the moment between the two renames: a process killed just then leaves it there, in sight.
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    os.chmod(fresh, 0o755)
    try:
        yield fresh
        if path.exists():
            old = fresh.with_name(f"{fresh.name[1:]}.old")
            os.replace(path, old)
            try:
                os.replace(fresh, path)
            except BaseException:
                os.replace(old, path)
                raise
            shutil.rmtree(old)
        else:
            os.replace(fresh, path)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
