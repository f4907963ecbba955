"""Datasets on disk: one zarr v3 group with the splits `train` and `held_out`.

Each split holds frames uint8 `[N, H, W, 3]` (lossless zstd), actions uint8 `[N]` (the action taken *in* that frame, so
frame i+1 shows its effect; 255 = unknown), rewards float32 `[N]`, episode_starts int64 `[E]` and level_seeds int64 `[E]`.
The group's attributes carry the recipe and the licence. A dataset that is still being written cannot be opened.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from zarr.codecs import ZstdCodec

from genie.errors import DatasetError
from genie.files import held

SCHEMA_VERSION = 1
CHUNK_FRAMES = 64
FINGERPRINT_FRAMES = 8  # of each split
SHARD_FRAMES = 4096
UNKNOWN_ACTION = 255
Split = Literal["train", "held_out"]
SPLITS: tuple[Split, ...] = ("train", "held_out")
PROGRESS_FILE = "recording.json"
LOCK_FILE = "recording.lock"  # held while the recorder works


class DatasetInfo(BaseModel):
    """What a dataset says of itself (the zarr group's attributes)."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    name: str
    resolution: tuple[int, int]  # height, width
    game_rate: float = Field(gt=0)  # game steps a second
    frame_skip: int = Field(default=2, ge=1)  # game steps that a world trained on this should show as one
    action_names: tuple[str, ...]  # empty where actions are unknown
    action_keys: tuple[tuple[str, ...], ...] = ()  # keys held for each action
    frames: dict[str, int]  # frames in each split
    recipe: dict[str, Any]  # everything needed to record it again
    licence: str


def write_json(path: Path, value: Any) -> None:
    """Write JSON to a temporary name, then rename: a reader sees the old file or the new one."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(value, indent=1))
    os.replace(partial, path)


@dataclass(frozen=True)
class SplitData:
    """One split of an open dataset."""

    frames: zarr.Array  # uint8 [N, H, W, 3]
    actions: np.ndarray  # uint8 [N]
    rewards: np.ndarray  # float32 [N]
    episode_starts: np.ndarray  # int64 [E]
    level_seeds: np.ndarray  # int64 [E]

    def __len__(self) -> int:
        return len(self.actions)

    @cached_property
    def episode_ends(self) -> np.ndarray:
        """int64 [E]: one past each episode's last frame."""
        return np.append(self.episode_starts[1:], len(self))

    @property
    def labelled(self) -> bool:
        """Whether every action that leads from a frame to another is known; that of an episode's last frame leads nowhere."""
        leads = np.ones(len(self), np.bool_)
        leads[self.episode_ends - 1] = False
        return bool((self.actions[leads] != UNKNOWN_ACTION).all())

    def episode_of(self, numbers: np.ndarray) -> np.ndarray:
        """Frame numbers int [...] -> int [...], the episodes they belong to."""
        return np.searchsorted(self.episode_starts, numbers, side="right") - 1


class Dataset:
    """A complete dataset, opened for reading.

    Raises:
        DatasetError: nothing there, recording unfinished, or an unknown schema.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        progress = self.path / PROGRESS_FILE
        if progress.exists():
            state = _read_progress(progress)
            done, wanted = sum(state.committed.values()), sum(state.info.frames.values())
            raise DatasetError(
                f"{self.path}: recording stopped at {done:,} of {wanted:,} frames; run the same command again to finish it, "
                f"or close it with what is there: genie dataset finish {self.path}."
            )
        if not (self.path / "zarr.json").exists():
            raise DatasetError(f"{self.path} is not a dataset; make one with `genie record coinrun --out {self.path}`.")
        try:
            self.group = zarr.open_group(self.path, mode="r")
            self.info = DatasetInfo.model_validate(dict(self.group.attrs))
        except (ValidationError, ValueError, KeyError, TypeError) as error:
            raise DatasetError(f"{self.path} has no readable attributes of a dataset ({error}); record it again.") from error
        if self.info.schema_version != SCHEMA_VERSION:
            raise DatasetError(
                f"{self.path}: schema version {self.info.schema_version}, this genie reads {SCHEMA_VERSION}; record it again."
            )
        self._splits: dict[str, SplitData] = {}

    @cached_property
    def fingerprint(self) -> str:
        """A short name of what was recorded: attributes, episode bounds, level seeds, actions, and a few of the frames."""
        digest = hashlib.sha256(self.info.model_dump_json(exclude_unset=True).encode())  # unset: fields younger than the recording
        for name in SPLITS:
            digest.update(self.split(name).episode_starts.tobytes())
            digest.update(self.split(name).level_seeds.tobytes())
            digest.update(self.split(name).actions.tobytes())
            for number in np.linspace(0, len(self.split(name)) - 1, FINGERPRINT_FRAMES).astype(np.int64):
                digest.update(np.asarray(self.split(name).frames[int(number)]).tobytes())
        return digest.hexdigest()[:16]

    def split(self, name: Split) -> SplitData:
        """The arrays of one split; small ones in memory, frames read chunk by chunk when asked."""
        if name not in self._splits:
            try:
                group: Any = self.group[name]
                small = {key: np.asarray(group[key][:]) for key in ("actions", "rewards", "episode_starts", "level_seeds")}
                frames = group["frames"]
            except (KeyError, ValueError, TypeError, IndexError, OSError) as error:
                raise DatasetError(f"{self.path}: split {name} cannot be read ({error}); record it again.") from error
            self._splits[name] = SplitData(frames=frames, **small)
            self._check(name, self._splits[name])
        return self._splits[name]

    def _check(self, name: str, data: SplitData) -> None:
        if data.frames.shape != (len(data), *self.info.resolution, 3) or len(data.rewards) != len(data):
            raise DatasetError(f"{self.path}: split {name} has frames, actions and rewards that do not fit; record it again.")
        bounds = np.append(data.episode_starts, len(data))
        if len(bounds) < 2 or bounds[0] != 0 or (np.diff(bounds) <= 0).any() or len(data.level_seeds) != len(data.episode_starts):
            raise DatasetError(f"{self.path}: split {name} has broken episode bounds; record it again.")
        if ((data.actions >= len(self.info.action_names)) & (data.actions != UNKNOWN_ACTION)).any():
            raise DatasetError(f"{self.path}: split {name} has actions without a name; record it again.")


class _Progress(BaseModel):
    """What stands in PROGRESS_FILE."""

    info: DatasetInfo
    committed: dict[str, int]  # frames of each split
    episodes: dict[str, list[list[int]]]  # of each split: first frame, level


def _read_progress(path: Path) -> _Progress:
    try:
        state = _Progress.model_validate_json(path.read_text())
        if not state.info.frames.keys() == state.committed.keys() == state.episodes.keys():
            raise ValueError("its tables are of different splits")
        return state
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is damaged ({error}); remove {path.parent} and record again.") from error


class DatasetWriter:
    """Writes whole episodes; survives `kill -9` by committing a few thousand frames at a time.

    `add` takes one episode; `close` finishes the dataset. A writer opened on an unfinished recording with the same info
    goes on from the last commit; with other info it refuses.
    """

    def __init__(self, path: str | Path, info: DatasetInfo) -> None:
        self.path = Path(path)
        self.info = info
        progress = self.path / PROGRESS_FILE
        if (self.path / "zarr.json").exists() and not progress.exists():
            raise DatasetError(f"{self.path} is already a finished dataset; choose another --out or remove the folder.")
        if progress.exists():
            self._hold()
            state = _read_progress(progress)
            if state.info.model_dump(mode="json") != info.model_dump(mode="json"):
                raise DatasetError(
                    f"{self.path} holds an unfinished recording made with other settings; "
                    f"give the same ones to finish it, or remove the folder."
                )
            self.committed: dict[str, int] = state.committed
            self._episodes: dict[str, list[list[int]]] = state.episodes
        else:
            if self.path.exists() and any(file.name != LOCK_FILE for file in self.path.iterdir()):
                raise DatasetError(f"{self.path} is not empty and not a recording; choose another --out.")
            self.path.mkdir(parents=True, exist_ok=True)
            self._hold()
            self.committed = dict.fromkeys(info.frames, 0)
            self._episodes = {name: [] for name in info.frames}
            self._commit()
        self.group = zarr.open_group(self.path, mode="a")
        if sum(self.committed.values()) == 0:
            for name, count in info.frames.items():
                self._create_arrays(name, count)
        self._pending: dict[str, list[dict[str, Any]]] = {name: [] for name in info.frames}

    def _hold(self) -> None:
        try:
            self._lock = held(self.path / LOCK_FILE)
        except BlockingIOError as error:
            raise DatasetError(f"{self.path} is being recorded by another process; end that one first.") from error

    def _create_arrays(self, name: str, count: int) -> None:
        split = self.group.require_group(name)
        height, width = self.info.resolution
        split.create_array(
            "frames",
            shape=(count, height, width, 3),
            dtype="uint8",
            chunks=(CHUNK_FRAMES, height, width, 3),
            shards=(SHARD_FRAMES, height, width, 3),
            compressors=[ZstdCodec(level=1)],
            overwrite=True,
        )
        for key, dtype in (("actions", "uint8"), ("rewards", "float32")):
            split.create_array(key, shape=(count,), dtype=dtype, chunks=(SHARD_FRAMES,), overwrite=True)

    def wanted(self, split: str) -> int:
        """Frames this split still needs, those waiting for the next commit counted as there."""
        pending = sum(len(e["actions"]) for e in self._pending[split])
        return self.info.frames[split] - self.committed[split] - pending

    def add(self, split: str, frames: np.ndarray, actions: np.ndarray, rewards: np.ndarray, level_seed: int) -> None:
        """Append one episode: uint8 [T, H, W, 3], [T], [T]; cut where the split is full."""
        room = self.wanted(split)
        if room <= 0 or len(frames) == 0:
            return
        self._pending[split].append(
            {"frames": frames[:room], "actions": actions[:room], "rewards": rewards[:room], "seed": int(level_seed)}
        )
        waiting = sum(len(e["actions"]) for e in self._pending[split])
        if waiting >= 2 * SHARD_FRAMES or self.wanted(split) == 0:
            self.flush(split)

    def flush(self, name: str) -> None:
        """Write the waiting episodes, then commit; zarr replaces shards atomically, so a kill loses only what was waiting."""
        pending, self._pending[name] = self._pending[name], []
        if not pending:
            return
        start = position = self.committed[name]
        for episode in pending:
            self._episodes[name].append([position, episode["seed"]])
            position += len(episode["actions"])
        split = self.group[name]
        for key in ("frames", "actions", "rewards"):
            split[key][start:position] = np.concatenate([e[key] for e in pending])  # type: ignore[index]
        self.committed[name] = position
        self._commit()

    def _commit(self) -> None:
        write_json(
            self.path / PROGRESS_FILE,
            {"info": self.info.model_dump(mode="json"), "committed": self.committed, "episodes": self._episodes},
        )

    def finish(self) -> None:
        """Close with what is there instead of what was asked for.

        Raises:
            DatasetError: a split has no frames at all.
        """
        for name in self.info.frames:
            self.flush(name)
            if self.committed[name] == 0:
                raise DatasetError(f"{self.path}: split {name} has no frames yet; run the same command again to go on.")
        for name, count in self.committed.items():
            for key in ("frames", "actions", "rewards"):
                array: Any = self.group[name][key]  # type: ignore[index]
                array.resize((count, *array.shape[1:]))
        self.info = self.info.model_copy(update={"frames": dict(self.committed)})
        self._commit()
        self.close()

    @classmethod
    def reopen(cls, path: str | Path) -> DatasetWriter:
        """The writer of an unfinished recording.

        Raises:
            DatasetError: nothing there, or it is finished already.
        """
        progress = Path(path) / PROGRESS_FILE
        if not progress.exists():
            raise DatasetError(f"{path} holds no unfinished recording.")
        return cls(path, _read_progress(progress).info)

    def let_go(self) -> None:
        """Leave the recording as far as it is committed; another writer may go on."""
        if sys.platform == "win32":  # which removes no open file
            self._lock.close()
        (self.path / LOCK_FILE).unlink(missing_ok=True)  # while it is held: nobody else's is removed
        self._lock.close()

    def close(self) -> None:
        """Write the episode tables and mark the dataset complete.

        Raises:
            DatasetError: a split is not full yet.
        """
        for name in self.info.frames:
            if self.wanted(name) > 0:
                raise DatasetError(f"{self.path}: split {name} still needs {self.wanted(name):,} frames.")
            table = np.asarray(self._episodes[name], dtype=np.int64).reshape(-1, 2)
            split = self.group.require_group(name)
            for column, key in enumerate(("episode_starts", "level_seeds")):
                split.create_array(key, data=table[:, column].copy(), overwrite=True)
        self.group.attrs.update(self.info.model_dump(mode="json"))
        self.let_go()
        (self.path / PROGRESS_FILE).unlink()
