"""The folder of an evaluation in progress: finished parts are kept and not measured again, whatever ended the run before.

A part is a section as JSON, or arrays as one zarr group; both are written under another name and renamed. The folder belongs to one
setting (world, weights, data, protocol, size, seed): with another one it is refused.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import zarr
from pydantic import ValidationError
from zarr.codecs import ZstdCodec

from genie.data.store import write_json
from genie.errors import GenieError
from genie.evaluation.report import Section, Settings
from genie.files import held

SETTINGS = "settings.json"
LOCK = "evaluation.lock"
MAX_JSON_BYTES = 16 * 2**20
EVERY_CHUNK = {"write_empty_chunks": True}  # so that a missing one is seen
Made = TypeVar("Made")


class Workspace:
    """Parts of one evaluation under `folder`.

    Raises:
        GenieError: the folder holds an evaluation with other settings, or something else.
    """

    def __init__(self, folder: Path, settings: Settings) -> None:
        self.folder = folder
        self.seconds: dict[str, float] = {}  # of each part, without those that it asked for meanwhile
        self.skipped: list[str] = []
        self._made: set[str] = set()  # in this run
        self._inside = 0.0  # seconds of the parts that were made within the current one
        path = folder / SETTINGS
        if path.exists():
            self._refuse_other(path, settings)
        else:
            if (folder / "parts").exists():
                raise GenieError(f"{folder} holds parts of an evaluation without its {SETTINGS}; choose another --out.")
            (folder / "parts").mkdir(parents=True, exist_ok=True)
            write_json(path, settings.model_dump(mode="json"))
        self._parts = folder / "parts"
        self._parts.mkdir(exist_ok=True)
        for kept in self._parts.glob("*.seconds"):
            with suppress(ValueError):  # half written: nothing hangs on it
                self.seconds[kept.stem] = float(_small(kept))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Measure while nobody else does in this folder.

        Raises:
            GenieError: another process does.
        """
        path = self.folder / LOCK
        try:
            lock = held(path)
        except BlockingIOError as error:
            raise GenieError(f"another evaluation works in {self.folder}; wait for it, or choose another --out.") from error
        with lock:
            yield

    def section(self, name: str, compute: Callable[[], Section]) -> Section:
        """A family's section, kept or measured now."""
        path = self._parts / f"{name}.json"
        if path.exists():
            try:
                kept = Section.model_validate_json(_small(path))
            except ValidationError as error:
                raise GenieError(f"{path} is damaged ({error.error_count()} errors); remove it and run again.") from error
            self._keep(path)
            return kept
        found = self._timed(name, compute)
        write_json(path, found.model_dump(mode="json"))
        return found

    def arrays(self, name: str, compute: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Named arrays, kept or made now."""
        path = self._parts / f"{name}.zarr"
        if path.exists():
            try:
                group = zarr.open_group(path, mode="r")
                kept = {key: _whole(array) for key, array in group.arrays()}
            except (ValueError, KeyError, TypeError, OSError, RuntimeError) as error:
                raise GenieError(f"{path} is damaged ({error}); remove it and run again.") from error
            self._keep(path)
            return kept
        made = self._timed(name, compute)
        partial = path.with_name(f"{path.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        group = zarr.open_group(partial, mode="w")
        for key, value in made.items():
            chunks = (1, *value.shape[1:]) if value.ndim > 3 and len(value) else None
            stored = {"chunks": chunks} if chunks else {}
            group.create_array(key, data=np.ascontiguousarray(value), compressors=[ZstdCodec(level=1)], config=EVERY_CHUNK, **stored)  # type: ignore[arg-type]
        os.replace(partial, path)
        return made

    def _timed(self, name: str, compute: Callable[[], Made]) -> Made:
        outside, self._inside = self._inside, 0.0
        began = time.perf_counter()
        made = compute()
        spent = time.perf_counter() - began
        self._note(name, spent - self._inside)
        self._inside = outside + spent
        return made

    def _note(self, name: str, seconds: float) -> None:
        """Wall times are kept too, so that a resumed report shows what each part took when it was measured."""
        self.seconds[name] = round(self.seconds.get(name, 0.0) + seconds, 2)  # a family's arrays may bear its name
        self._made.add(name)
        (self._parts / f"{name}.seconds").write_text(f"{self.seconds[name]:.2f}")

    def _keep(self, path: Path) -> None:
        if path.stem not in self._made:
            self.skipped.append(path.stem)

    def _refuse_other(self, path: Path, settings: Settings) -> None:
        try:
            theirs = Settings.model_validate_json(_small(path))
        except ValidationError as error:
            raise GenieError(f"{path} is damaged or of another genie; choose another --out or remove {self.folder}.") from error
        if theirs == settings:
            return
        ours, kept = settings.model_dump(), theirs.model_dump()
        odd = "; ".join(f"{key} was {kept[key]!r}, now {ours[key]!r}" for key in ours if ours[key] != kept[key])
        raise GenieError(f"{self.folder} holds an evaluation with other settings ({odd}); choose another --out or remove the folder.")


def _whole(array: zarr.Array) -> np.ndarray:
    """What is stored. Where a file of it is missing zarr would read zeros.

    Raises:
        ValueError: files are missing.
    """
    if array.nchunks_initialized < array.nchunks:
        raise ValueError(f"{array.nchunks - array.nchunks_initialized} of the {array.nchunks} files of {array.basename} are missing")
    return np.asarray(array[:])


def _small(path: Path) -> str:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise GenieError(f"{path} is larger than the {MAX_JSON_BYTES >> 20} MiB it may have; remove it and run again.")
    return path.read_text()
