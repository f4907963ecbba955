"""Exports of a recording, always after play: videos, pictures, arrays, text, and datasets to train on.

A path is exported from the prompt to a branch's end; of a tree, every branch that is not pruned is exported once, from the frame it starts
at.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from genie.data.store import UNKNOWN_ACTION, DatasetInfo, DatasetWriter
from genie.errors import SessionError
from genie.files import replacing
from genie.sessions.format import NO_TIME, png
from genie.sessions.frames import Frames
from genie.sessions.recording import Recording
from genie.sessions.video import SCALE, write_video

Kind = Literal["mp4", "lossless", "gif", "png", "npz", "ndjson", "dataset", "minari"]
SUFFIXES: dict[Kind, str] = {
    "mp4": ".mp4", "lossless": ".mkv", "gif": ".gif", "png": "-frames", "npz": ".npz", "ndjson": ".ndjson",
    "dataset": "-dataset", "minari": "-minari",
}  # fmt: skip
VIDEOS: frozenset[Kind] = frozenset({"mp4", "lossless", "gif"})  # a file for each take
NEED_FRAMES: frozenset[Kind] = frozenset({"mp4", "lossless", "gif", "png", "dataset", "minari"})
EPISODE_FRAMES = 1024  # of a dataset; a longer take becomes several episodes
LEAST_EPISODE = 64
HELD_OUT_EVERY = 5  # by length, so that both splits have long episodes

Progress = Callable[[int, int], None]  # frames done, frames in all


@dataclass(frozen=True)
class Take:
    """The frames first … last on the path to a branch."""

    branch: int
    first: int
    last: int

    @property
    def frames(self) -> int:
        """How many."""
        return self.last - self.first + 1


def takes(recording: Recording, branch: int | None = None, tree: bool = False) -> list[Take]:
    """What to export: the path to a branch (default: the cursor's), or every branch of the tree that has frames.

    Raises:
        SessionError: no such branch.
    """
    if not tree:
        number = recording.cursor[0] if branch is None else branch
        return [Take(number, 0, recording.branch(number).end)]
    found = [Take(branch.id, branch.start, branch.end) for branch in recording.tree if not branch.pruned and branch.length]
    return found or [Take(0, 0, 0)]


def export(
    recording: Recording,
    frames: Frames | None,
    kind: Kind,
    out: Path,
    wanted: list[Take],
    scale: int | None = None,
    gif_rate: float | None = None,
    progress: Progress = lambda done, total: None,
) -> list[Path]:
    """Write takes in one of the `Kind`s; returns the files or folders that were written.

    Args:
        frames: the recording's pictures; None will do for npz and ndjson.
        out: a file, or a folder that is new or empty (png, dataset, minari, and several takes as videos).
        scale: pixels a side of one pixel in a video; default: 6, lossless 1.

    Raises:
        SessionError: `out` is taken, or there is too little to make a dataset of.
        MissingDependencyError: Minari is wanted and not installed.
    """
    if kind in ("npz", "ndjson"):
        _check_folder(out.parent)
        (_write_npz if kind == "npz" else _write_ndjson)(recording, wanted, out)
        return [out]
    if frames is None:
        raise TypeError(f"{kind} needs frames")
    pictures = _Pictures(frames, progress, sum(take.frames for take in wanted))
    single = len(wanted) == 1 and kind in VIDEOS
    if single:
        _write_video(recording, pictures, kind, out, wanted[0], scale, gif_rate)
        return [out]
    _check_new(out)
    if kind == "dataset":
        _write_dataset(recording, pictures, wanted, out)
    elif kind == "minari":
        _write_minari(recording, pictures, wanted, out)
    elif kind == "png":
        _write_pngs(pictures, wanted, out)
    else:
        with replacing(out) as fresh:
            for take in wanted:
                _write_video(recording, pictures, kind, _file_of(fresh, take, SUFFIXES[kind]), take, scale, gif_rate)
        return [_file_of(out, take, SUFFIXES[kind]) for take in wanted]
    return [out]


class _Pictures:
    """Frames of takes, counted as they are read."""

    def __init__(self, frames: Frames, progress: Progress, total: int) -> None:
        self._frames, self._progress, self._total = frames, progress, total
        self._done = 0

    def __call__(self, take: Take) -> Iterator[np.ndarray]:
        for index in range(take.first, take.last + 1):
            yield self._frames.at(take.branch, index)
            self._done += 1
            self._progress(self._done, max(self._done, self._total))


def _file_of(folder: Path, take: Take, suffix: str) -> Path:
    return folder / f"branch-{take.branch}{suffix}"


def _write_video(
    recording: Recording, pictures: _Pictures, kind: Kind, out: Path, take: Take, scale: int | None, gif_rate: float | None
) -> None:
    if out.suffix.lower() != SUFFIXES[kind]:
        raise SessionError(f"{out}: a {kind} video is a {SUFFIXES[kind]} file.")
    size = scale if scale is not None else 1 if kind == "lossless" else SCALE
    write_video(out, pictures(take), recording.header.world.frame_rate, size, gif_rate)


def _write_pngs(pictures: _Pictures, wanted: list[Take], out: Path) -> None:
    with replacing(out) as fresh:
        for take in wanted:
            folder = fresh if len(wanted) == 1 else _file_of(fresh, take, "")
            folder.mkdir(exist_ok=True)
            for index, frame in enumerate(pictures(take), start=take.first):
                (folder / f"{index:06d}.png").write_bytes(png(frame))


def _rows(recording: Recording, take: Take) -> tuple[np.ndarray, np.ndarray]:
    """The steps that made the frames first+1 … last of a take, and the branch of each."""
    path = recording.path(take.branch, take.last)
    owners = np.concatenate([np.full(last - first, number) for number, first, last in path.line])
    return path.rows[take.first :], owners[take.first :]


def _times(column: np.ndarray) -> np.ndarray:
    """Milliseconds, NaN where there is none."""
    return np.where(column == NO_TIME, np.float32(np.nan), column.astype(np.float32) / 10)


def _write_npz(recording: Recording, wanted: list[Take], out: Path) -> None:
    parts = [_rows(recording, take) for take in wanted]
    rows, owners = (np.concatenate([part[i] for part in parts]) for i in range(2))
    world, header = recording.header.world, recording.header
    numbers = np.concatenate([np.arange(take.first + 1, take.last + 1) for take in wanted])
    lines = [part for take in wanted for part in recording.line(take.branch, take.last) if part[1] >= take.first]
    edits = sorted({number for number, _, _ in lines} & recording.edits.keys())
    pictures = [np.zeros((0, *world.resolution, 3), np.uint8), *(recording.edits[number][None] for number in edits)]
    settled = np.unpackbits(rows["settled"], axis=1, count=world.positions * world.codes).astype(np.bool_)
    partial = out.with_name(f".{out.name}.partial.npz")
    np.savez_compressed(
        partial,
        branch=owners, frame=numbers, action=rows["action"], tokens=rows["tokens"],
        settled=settled.reshape(len(rows), world.positions, world.codes), pixel_hash=rows["pixels"],
        step_ms=_times(rows["step"]), latency_ms=_times(rows["latency"]), controls=rows["controls"],
        salt=np.array([branch.salt for branch in recording.tree], np.int64)[owners],
        keys=np.array(["+".join(controls) for controls in recording.controls], np.str_),
        action_names=np.array([action.name for action in world.actions], np.str_),
        edit_branch=np.array(edits, np.int64), edit_frame=np.array([recording.branch(number).start for number in edits], np.int64),
        edits=np.concatenate(pictures), prompt=recording.prompt,
        seed=np.uint64(header.seed % 2**64), world=np.str_(world.name), weights=np.str_(world.weights),
        frame_rate=np.float64(world.frame_rate),
    )  # fmt: skip
    os.replace(partial, out)


def _write_ndjson(recording: Recording, wanted: list[Take], out: Path) -> None:
    def lines() -> Iterator[dict[str, Any]]:
        yield {"type": "session", **recording.header.model_dump(mode="json")}
        numbers = {part[0] for take in wanted for part in recording.line(take.branch, take.last)}
        for number in sorted(numbers):
            yield {"type": "branch", **recording.branch(number).model_dump(mode="json")}
        for take in wanted:
            for step in recording.path(take.branch, take.last)[take.first :]:  # type: ignore[union-attr]
                yield {
                    "type": "step", "branch": step.branch, "frame": step.index, "action": step.action, "name": step.action_name,
                    "keys": step.keys, "tokens": step.tokens.tolist(), "pixel_hash": f"{step.pixels:016x}",
                    "step_ms": step.step_ms, "latency_ms": step.latency_ms,
                }  # fmt: skip

    partial = out.with_name(f".{out.name}.partial")
    with partial.open("w", encoding="utf-8") as file:
        for line in lines():
            file.write(json.dumps(line, separators=(",", ":")) + "\n")
    os.replace(partial, out)


def _episodes(wanted: list[Take]) -> list[Take]:
    """Takes cut into episodes, each of which begins with the last frame of the one before."""
    total = sum(take.frames for take in wanted)
    length = min(EPISODE_FRAMES, max(LEAST_EPISODE, total // 10))
    parts = []
    for take in (take for take in wanted if take.frames > 1):
        count = max(1, (take.frames - 1) // (length - 1))
        ends = np.linspace(take.first, take.last, count + 1).round().astype(int).tolist()
        parts += [Take(take.branch, *pair) for pair in itertools.pairwise(ends)]
    return parts


def _write_dataset(recording: Recording, pictures: _Pictures, wanted: list[Take], out: Path) -> None:
    """Episodes as `genie record` writes them; every frame stands for as many game steps as the world skips."""
    episodes = _episodes(wanted)
    if len(episodes) < 2 or sum(take.frames for take in wanted) < 2 * LEAST_EPISODE:
        raise SessionError(f"a dataset needs {2 * LEAST_EPISODE} frames or more, for a training and a held-out split; play longer.")
    world, skip = recording.header.world, recording.header.world.frame_skip
    named = [action for action in world.actions if action.kind == "recorded"][:UNKNOWN_ACTION]
    numbers = np.full(len(world.actions), UNKNOWN_ACTION, np.uint8)
    numbers[[action.id for action in named]] = np.arange(len(named))
    longest_first = sorted(episodes, key=lambda episode: -episode.frames)
    held_out = longest_first[1::HELD_OUT_EVERY]
    splits = {"train": [episode for episode in episodes if episode not in held_out], "held_out": held_out}
    info = DatasetInfo(
        name=world.name,
        resolution=world.resolution,
        game_rate=world.frame_rate * skip,
        action_names=tuple(action.name for action in named),
        action_keys=tuple(action.keys for action in named),
        frames={split: skip * sum(episode.frames for episode in parts) for split, parts in splits.items()},
        recipe={"session": recording.header.model_dump(mode="json"), "branches": [take.branch for take in wanted]},
        licence=f"played in the world {world.name} ({world.licence or 'terms unknown'})",
    )
    with replacing(out) as fresh:
        writer = DatasetWriter(fresh, info)
        for split, parts in splits.items():
            for episode in parts:
                frames = np.stack(list(pictures(episode))).repeat(skip, axis=0)
                done = numbers[_rows(recording, episode)[0]["action"]]
                actions = np.append(done, np.uint8(UNKNOWN_ACTION)).repeat(skip)
                writer.add(split, frames, actions, np.zeros(len(frames), np.float32), recording.header.seed % 2**63)
        writer.close()


def _write_minari(recording: Recording, pictures: _Pictures, wanted: list[Take], out: Path) -> None:
    from genie.data.exchange.minari import MinariWriter

    world = recording.header.world
    dataset_id = f"genie/{''.join(letter if letter.isalnum() else '-' for letter in world.name)}-v0"
    with replacing(out) as fresh:
        folder = fresh / dataset_id
        folder.mkdir(parents=True)
        writer = MinariWriter(folder, world.resolution, len(world.actions))
        for episode in _episodes(wanted):
            actions = _rows(recording, episode)[0]["action"]
            writer.add(np.stack(list(pictures(episode))), actions, np.zeros(len(actions), np.float32), recording.header.seed)
        writer.close(
            dataset_id,
            description=f"A genie session in the world {world.name}; actions: {', '.join(action.name for action in world.actions)}.",
            algorithm_name="played by hand",
        )


def _check_folder(folder: Path) -> None:
    if not folder.resolve().is_dir():
        raise SessionError(f"the folder {folder.resolve()} does not exist; make it first.")


def _check_new(folder: Path) -> None:
    _check_folder(folder.parent)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SessionError(f"{folder} is there already; choose another --out or remove it.")
