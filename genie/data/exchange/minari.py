"""Datasets to Minari and back (HDF5, raw pictures).

Minari counts T actions between T+1 observations; a dataset has an action in every frame, the last one leading nowhere. That one,
the level and the split travel as episode metadata, and the attributes as `genie_info`, so that going there and back changes nothing.
Nothing of a foreign data set is run: its spaces must stand in its metadata, its environment is not made.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from genie.data.exchange.mp4 import episodes
from genie.data.games.game import fit
from genie.data.games.registry import check_resolution
from genie.data.importing import ImportPlan
from genie.data.store import SPLITS, UNKNOWN_ACTION, Dataset, DatasetInfo, DatasetWriter
from genie.errors import DatasetError, GenieError, MissingDependencyError
from genie.files import replacing

BATCH = 16  # episodes written together
MAX_EPISODE_BYTES = 2**32
MAX_ACTIONS = 200
INFO_KEY = "genie_info"


class _Note(BaseModel):
    """What is read of an episode's metadata; all but `total_steps` stands there only where genie exported it or Minari noted a seed."""

    model_config = ConfigDict(frozen=True)

    total_steps: int = Field(ge=0)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    split: str | None = None
    last_action: int = Field(default=UNKNOWN_ACTION, ge=0, le=UNKNOWN_ACTION)
    last_reward: float = 0.0


class MinariWriter:
    """A Minari data set of pictures that is being written into a folder.

    Args:
        resolution: height, width.
        actions: how many there are.

    Raises:
        MissingDependencyError: Minari is not installed.
    """

    def __init__(self, folder: Path, resolution: tuple[int, int], actions: int) -> None:
        self._minari, storage_class, self._buffer_class = _minari()
        from gymnasium import spaces

        pictures = spaces.Box(0, 255, (*resolution, 3), np.uint8)
        self._storage = storage_class.new(folder / "data", pictures, spaces.Discrete(actions), data_format="hdf5", jpeg_encoding=False)
        self._waiting: list[Any] = []
        self._notes: list[dict[str, Any]] = []

    def add(self, frames: np.ndarray, actions: np.ndarray, rewards: np.ndarray, seed: int, **note: Any) -> None:
        """One episode: frames uint8 [T+1, H, W, 3], what was done between them [T] and its rewards [T]; `note` is more of its metadata."""
        over = np.arange(len(actions)) == len(actions) - 1
        self._waiting.append(
            self._buffer_class(
                id=len(self._notes),
                seed=seed,
                observations=frames,
                actions=actions.astype(np.int64),
                rewards=rewards,
                terminations=np.zeros(len(actions), bool),
                truncations=over,
            )
        )
        self._notes.append(note)
        if len(self._waiting) == BATCH:
            self._write()

    def close(self, dataset_id: str, **about: str) -> None:
        """The last episodes, and the metadata."""
        self._write()
        self._storage.update_episode_metadata(self._notes)
        self._storage.update_metadata({"dataset_id": dataset_id, "minari_version": self._minari.__version__, **about})

    def _write(self) -> None:
        self._storage.update_episodes(self._waiting)
        self._waiting = []


def export_minari(dataset: Dataset, out: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Write a Minari data set into `out`, whose last two parts become its id (`NAMESPACE/NAME-v0`).

    An episode of a single frame holds no step, so it is left out.
    """
    info = dataset.info
    unknown = any((dataset.split(name).actions == UNKNOWN_ACTION).any() for name in SPLITS)
    count = len(info.action_names) + unknown
    total = sum(len(dataset.split(name).episode_starts) for name in SPLITS)
    name = out.name if "-v" in out.name else f"{out.name}-v0"
    with replacing(out) as folder:
        writer = MinariWriter(folder, info.resolution, count)
        kept, done = dict.fromkeys(SPLITS, 0), 0
        for split in SPLITS:
            for frames, actions, rewards, level in episodes(dataset, split):
                done += 1
                progress(done, total)
                if len(frames) < 2:
                    continue
                kept[split] += len(frames)
                told = np.where(actions == UNKNOWN_ACTION, count - 1, actions)
                last = {"last_action": int(actions[-1]), "last_reward": float(rewards[-1])}
                writer.add(frames, told[:-1], rewards[:-1], level, split=split, **last)
        writer.close(
            f"{out.parent.name}/{name}" if out.parent.name else name,
            description=f"{info.name}: {info.recipe.get('game', info.recipe.get('source', ''))}. Licence: {info.licence}",
            algorithm_name=str(info.recipe.get("policy", "unknown")),
            **{INFO_KEY: info.model_copy(update={"frames": kept}).model_dump_json()},
        )


def exported_by_genie(source: Path) -> bool:
    """Whether a Minari data set came from `export_minari`.

    Raises:
        DatasetError: its metadata cannot be read.
    """
    path = _data(source) / "metadata.json"
    try:
        return INFO_KEY in json.loads(path.read_text())
    except (OSError, ValueError, TypeError, RecursionError) as error:
        raise DatasetError(f"{path} is not a Minari data set's metadata ({error}).") from error


def import_minari(
    source: Path,
    path: Path,
    plan: ImportPlan,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> DatasetInfo:
    """Make a dataset of a Minari data set with pictures as observations.

    What genie exported comes back as it was; of others whole episodes are held out, and actions are kept where they are discrete.

    Args:
        plan: for data sets that genie did not export. Borders, stills and short scenes stay; a source "" is the data set's id.

    Raises:
        DatasetError: not such a data set, or not one of pictures.
    """
    _, storage_class, _ = _minari()
    storage, metadata = _open(_data(source), storage_class)
    notes = [_note(note, number, source) for number, note in enumerate(storage.get_episode_metadata(range(storage.total_episodes)))]
    key = _picture_key(storage.observation_space, source)
    lengths = [note.total_steps + 1 for note in notes]
    own = _own_info(metadata, source)
    rng = np.random.default_rng(plan.seed)
    splits = [str(note.split) for note in notes] if own else _hold_out(lengths, plan.held_out, rng, source)
    if own is None:
        actions = getattr(storage.action_space, "n", 0)
        names = tuple(f"move {i}" for i in range(actions)) if 0 < actions <= MAX_ACTIONS else ()
        info = DatasetInfo(
            name=plan.name,
            resolution=plan.shaping.resolution,
            game_rate=plan.shaping.fps,
            frame_skip=max(1, round(plan.shaping.fps / 15)),
            action_names=names,
            frames={name: sum(n for n, split in zip(lengths, splits, strict=True) if split == name) for name in SPLITS},
            recipe={
                "source": plan.source or f"Minari data set {metadata.get('dataset_id', source.name)}",
                "consent": plan.consent,
                "policy": metadata.get("algorithm_name", "unknown"),
                "fit": plan.shaping.fit,
                "seed": plan.seed,
            },
            licence=plan.licence,
        )
    else:
        info = own
    writer = DatasetWriter(path, info)
    written = dict.fromkeys(SPLITS, 0)
    for number, (note, split) in enumerate(zip(notes, splits, strict=True)):
        if split not in SPLITS:
            raise DatasetError(f"{source}: episode {number} is of no split; export it again.")
        written[split] += lengths[number]  # type: ignore[index]
        if written[split] > writer.committed[split]:  # type: ignore[index]
            episode = _episode(storage, number, key, lengths[number], info, note, plan.shaping.fit)
            writer.add(split, *episode, number if note.seed is None else note.seed)
        progress(number + 1, len(notes))
    writer.close()
    return info


def _episode(
    storage: Any, number: int, key: str | None, length: int, info: DatasetInfo, note: _Note, how: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames, actions and rewards of one episode, as many of each."""
    if length * int(np.prod(storage.observation_space.shape if key is None else storage.observation_space[key].shape)) > MAX_EPISODE_BYTES:
        raise DatasetError(f"episode {number} with {length:,} pictures is too large to read.")
    found = next(iter(storage.get_episodes([number])))
    seen = found["observations"] if key is None else found["observations"][key]
    if len(seen) != length or len(found["rewards"]) != length - 1:
        raise DatasetError(f"episode {number} has {len(seen)} pictures instead of the {length} it promises.")
    frames = np.stack([fit(np.asarray(picture, np.uint8), info.resolution, how) for picture in seen])
    actions = np.full(length, UNKNOWN_ACTION, np.uint8)
    if info.action_names:
        told = np.asarray(found["actions"]).reshape(length - 1).astype(np.int64) - int(storage.action_space.start)
        actions[:-1] = np.where((told >= 0) & (told < len(info.action_names)), told, UNKNOWN_ACTION)
        actions[-1] = note.last_action
    rewards = np.append(found["rewards"], note.last_reward).astype(np.float32)
    return frames, actions, rewards


def _data(source: Path) -> Path:
    return source / "data" if (source / "data").is_dir() else source


def _open(folder: Path, storage_class: Any) -> tuple[Any, dict[str, Any]]:
    try:
        metadata = dict(storage_class.read_raw_metadata(folder))
        if "observation_space" not in metadata or "action_space" not in metadata:
            raise DatasetError(f"{folder}: its spaces are only to be had by running its environment, which genie does not do.")
        if metadata.get("data_format") != "hdf5":
            raise DatasetError(f"{folder}: its data are {metadata.get('data_format')}, genie reads hdf5.")
        return storage_class.read(folder), metadata
    except (ValueError, KeyError, TypeError, AssertionError, OSError, NotImplementedError) as error:
        raise DatasetError(f"{folder} is not a Minari data set that can be read ({error}).") from error


def _own_info(metadata: dict[str, Any], source: Path) -> DatasetInfo | None:
    if INFO_KEY not in metadata:
        return None
    try:
        info = DatasetInfo.model_validate_json(metadata[INFO_KEY])
        check_resolution(info.resolution)
    except (ValidationError, GenieError) as error:
        raise DatasetError(f"{source}: {INFO_KEY} is damaged ({error}); export it again.") from error
    if info.frames.keys() != set(SPLITS) or len(info.action_names) > UNKNOWN_ACTION:
        raise DatasetError(f"{source}: {INFO_KEY} is damaged (other splits, or too many actions); export it again.")
    return info


def _note(metadata: dict[str, Any], number: int, source: Path) -> _Note:
    try:
        return _Note.model_validate(metadata)
    except ValidationError as error:
        first = error.errors()[0]
        raise DatasetError(
            f"{source}: the metadata of episode {number} are damaged ({'.'.join(map(str, first['loc']))}: {first['msg']})."
        ) from error


def _picture_key(space: Any, source: Path) -> str | None:
    """Where the pictures are: the observation itself (None), or one entry of a dictionary."""
    found = [(None, space)] if getattr(space, "shape", None) else list(getattr(space, "spaces", {}).items())
    for key, inner in found:
        shape = getattr(inner, "shape", None)
        if shape is not None and len(shape) == 3 and shape[2] == 3 and inner.dtype == np.uint8:
            return key
    raise DatasetError(f"{source}: its observations {space} are not colour pictures, so there is nothing to learn a world from.")


def _hold_out(lengths: list[int], share: float, rng: np.random.Generator, source: Path) -> list[str]:
    if len(lengths) < 2:
        raise DatasetError(f"{source} has {len(lengths)} episodes; two or more are needed, so that one can be held out.")
    splits = ["train"] * len(lengths)
    for number in _until(rng.permutation(len(lengths))[:-1], lengths, share * sum(lengths)):
        splits[number] = "held_out"
    return splits


def _until(order: np.ndarray, lengths: list[int], wanted: float) -> Iterator[int]:
    taken = 0.0
    for number in order.tolist():
        yield number
        taken += lengths[number]
        if taken >= wanted:
            return


def _minari() -> tuple[Any, Any, Any]:
    try:
        import minari
        from minari.data_collector.episode_buffer import EpisodeBuffer
        from minari.dataset.minari_storage import MinariStorage
    except ImportError as error:
        raise MissingDependencyError("Minari needs minari and h5py: pip install 'genie-worlds[exchange]'.") from error
    return minari, MinariStorage, EpisodeBuffer
