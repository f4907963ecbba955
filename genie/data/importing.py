"""From a folder of videos to a dataset without actions.

Three steps: each file is decoded once into a spool beside the dataset (`NAME.importing`; a file that is done is not decoded again after an
interruption), shots are planned over all of them, and what is kept is written. A cut ends an episode; stills and footage that is there
already are left out; whole videos, or whole scenes where there are few videos, are held out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.codecs import ZstdCodec

from genie.data.scenes import Footage, cuts, lively, thumbnails
from genie.data.store import CHUNK_FRAMES, UNKNOWN_ACTION, DatasetInfo, DatasetWriter, write_json
from genie.data.video import Shaping, VideoError, look_at, read_video
from genie.errors import DatasetError

STATE_FILE = "import.json"
SKIPPED_FILE = "skipped.txt"  # in the dataset: files that were not used, and why
LONGEST_EPISODE = 4096  # frames; a longer scene becomes several episodes, all of one split
COPIED_SHARE = 0.5  # of a scene's windows are there already: it is a copy
FEW = 5  # groups; with fewer there is nothing to hold out whole
VALIDATED = 48  # frames that one held-out scene at least should have: training validates on clips of 33
LISTED_VIDEOS = 500  # in the recipe, which travels with every world
GAP_SECONDS = 2.0  # left out between training and held-out parts of one scene


@dataclass(frozen=True)
class ImportPlan:
    """What is asked for."""

    name: str
    shaping: Shaping
    licence: str
    source: str = "videos"
    consent: str = "unknown"  # of the people whose play the videos show
    held_out: float = 0.05  # share of the frames, about
    longest_still: float = 2.0  # seconds in which nothing may move
    shortest: float = 2.0  # seconds that a scene must have
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    """A stretch of one video: frames start … end-1 of its spool."""

    video: int
    start: int
    end: int
    level: int = 0  # what is never in both splits: the video or the scene

    def __len__(self) -> int:
        return self.end - self.start


@dataclass
class Report:
    """What became of the videos."""

    skipped: dict[str, str] = field(default_factory=dict)  # file -> why
    notes: dict[str, list[str]] = field(default_factory=dict)  # file -> what was done about it
    cuts: int = 0
    still_frames: int = 0
    short_frames: int = 0
    copied_frames: int = 0
    split_by: str = "video"
    frames: dict[str, int] = field(default_factory=dict)
    episodes: dict[str, int] = field(default_factory=dict)


def import_videos(
    files: Sequence[Path], path: Path, plan: ImportPlan, progress: Callable[[str, int, int], None] = lambda part, done, total: None
) -> Report:
    """Make a dataset of these videos.

    Args:
        progress: called with what is being worked on, what is done of it and how much there is (files, then frames).

    Raises:
        DatasetError: nothing usable in the files, other settings than those of the interrupted import, or the dataset is there already.
    """
    if (path / "zarr.json").exists() and not (path / "recording.json").exists():
        raise DatasetError(f"{path} is already a finished dataset; choose another --out or remove the folder.")
    files = sorted({file.resolve(): file for file in files}.values())
    whole = path.resolve()
    spool = _Spool(whole.with_name(whole.name + ".importing"), plan)
    report = Report()
    kept = []
    for number, file in enumerate(files):
        progress(file.name, number, len(files))
        entry = spool.decode(file)
        if "skipped" in entry:
            report.skipped[str(file)] = entry["skipped"]
        else:
            kept.append(file)
        if entry.get("notes"):
            report.notes[str(file)] = entry["notes"]
    progress("scenes", len(files), len(files))
    scenes = _scenes([spool.shots(file) for file in kept], plan, report)
    splits = _split(scenes, plan, report)
    report.frames = {name: sum(map(len, found)) for name, found in splits.items()}
    report.episodes = {name: len(found) for name, found in splits.items()}
    info = DatasetInfo(
        name=plan.name,
        resolution=plan.shaping.resolution,
        game_rate=plan.shaping.fps,
        frame_skip=1,
        action_names=(),
        frames=report.frames,
        recipe={
            "source": plan.source,
            "consent": plan.consent,
            "policy": "unknown: whoever played in the videos",
            "video_count": len(kept),
            "videos": [{"file": file.name, **spool.decode(file)["about"]} for file in kept[:LISTED_VIDEOS]],
            "import": {**asdict(plan.shaping), "longest_still": plan.longest_still, "shortest": plan.shortest},
            "left_out": {"still": report.still_frames, "short": report.short_frames, "copied": report.copied_frames},
            "cuts": report.cuts,
            "held_out_by": report.split_by,
            "seed": plan.seed,
        },
        licence=plan.licence,
    )
    writer = DatasetWriter(path, info)
    if report.skipped:
        lines = "".join(f"{file}: {why}\n" for file, why in report.skipped.items())
        (path / SKIPPED_FILE).write_text(lines, encoding="utf-8", errors="backslashreplace")
    for name, found in splits.items():
        written = 0
        for number, scene in enumerate(found):
            written += len(scene)
            if written > writer.committed[name]:  # else it was written before the interruption
                frames = spool.frames(kept[scene.video])[scene.start : scene.end]
                unknown = np.full(len(frames), UNKNOWN_ACTION, np.uint8)
                writer.add(name, np.asarray(frames), unknown, np.zeros(len(frames), np.float32), scene.level)
            progress(f"writing {name}", number + 1, len(found))
    writer.close()
    spool.remove()
    return report


class _Spool:
    """Decoded videos on disk, by what they were decoded from and how."""

    def __init__(self, folder: Path, plan: ImportPlan) -> None:
        self._folder, self._plan = folder, plan
        self._state: dict[str, Any] = {"plan": json.loads(json.dumps(asdict(plan))), "files": {}}
        path = folder / STATE_FILE
        if path.exists():
            try:
                found = json.loads(path.read_text())
                if not isinstance(found["files"], dict):
                    raise ValueError("no table of files")
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise DatasetError(f"{path} is damaged ({error}); remove {folder} and import again.") from error
            if found["plan"] != self._state["plan"]:
                raise DatasetError(f"{folder} holds an interrupted import with other settings; give the same ones, or remove that folder.")
            self._state = found
        folder.mkdir(parents=True, exist_ok=True)

    def decode(self, file: Path) -> dict[str, Any]:
        """What became of a file; decodes it unless that was done before."""
        key = self._key(file)
        if key not in self._state["files"]:
            self._state["files"][key] = self._decode(file)
            write_json(self._folder / STATE_FILE, self._state)
        entry: dict[str, Any] = self._state["files"][key]
        return entry

    def frames(self, file: Path) -> Any:
        """uint8 [T, H, W, 3], read when sliced."""
        return zarr.open_array(self._folder / self._key(file) / "frames", mode="r")

    def shots(self, file: Path) -> tuple[np.ndarray, np.ndarray]:
        """Thumbnails uint8 [T, 16, 16, 3], and the frames after a jump in time."""
        folder = self._folder / self._key(file)
        return np.load(folder / "thumbs.npy", allow_pickle=False), np.load(folder / "jumps.npy", allow_pickle=False)

    def remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _key(self, file: Path) -> str:
        facts = file.stat()
        return hashlib.sha256(f"{file.resolve()} {facts.st_size} {facts.st_mtime_ns}".encode()).hexdigest()[:16]

    def _decode(self, file: Path) -> dict[str, Any]:
        shaping = self._plan.shaping
        notes: list[str] = []
        try:
            about = look_at(file, shaping)
        except VideoError as error:
            return {"skipped": str(error)}
        folder = self._folder / self._key(file)
        shape = (*shaping.resolution, 3)
        frames = zarr.create_array(
            folder / "frames",
            shape=(0, *shape),
            dtype="uint8",
            chunks=(CHUNK_FRAMES, *shape),
            compressors=[ZstdCodec(level=1)],
            overwrite=True,
        )
        thumbs: list[np.ndarray] = []
        jumps: list[int] = []
        block: list[np.ndarray] = []
        count = 0

        def put() -> None:
            if block:
                thumbs.append(thumbnails(np.stack(block)))
                frames.append(np.stack(block))
                block.clear()

        try:
            for picture, jumped in read_video(file, shaping, about):
                if jumped:
                    jumps.append(count)
                block.append(picture)
                count += 1
                if len(block) == CHUNK_FRAMES:
                    put()
        except VideoError as error:
            notes.append(f"{error}: used up to {count / shaping.fps:.1f} s")
        put()
        if count < self._plan.shortest * shaping.fps:
            shutil.rmtree(folder, ignore_errors=True)
            return {"skipped": notes[0] if notes else f"it has {count / shaping.fps:.1f} s, less than {self._plan.shortest:g} s"}
        np.save(folder / "thumbs.npy", np.concatenate(thumbs))
        np.save(folder / "jumps.npy", np.array(jumps, np.int64))
        height, width = about.size
        if about.box != (0, 0, height, width):
            top, left, bottom, right = about.box
            notes.append(f"black borders removed: {top} above, {height - bottom} below, {left} left, {width - right} right")
        if 0 < about.rate < 0.95 * shaping.fps:
            notes.append(f"it shows {about.rate:.3g} frames a second, fewer than the {shaping.fps:g} asked for: frames are repeated")
        return {"about": {"frames": count, "size": [width, height], "rate": round(about.rate, 3), "box": list(about.box)}, "notes": notes}


def _scenes(shots: list[tuple[np.ndarray, np.ndarray]], plan: ImportPlan, report: Report) -> list[Scene]:
    """What is kept of each video, in order: between cuts, in motion, long enough, and not there already."""
    fps = plan.shaping.fps
    longest, keep, shortest = (round(seconds * fps) for seconds in (plan.longest_still, 0.5, plan.shortest))
    found: list[Scene] = []
    known = _Known(fps)
    for video, (thumbs, jumps) in enumerate(shots):
        cut = cuts(thumbs)
        report.cuts += len(cut)
        bounds = np.unique(np.concatenate([[0], cut, jumps, [len(thumbs)]])).astype(int)
        for start, end in itertools.pairwise(bounds):
            parts = lively(thumbs[start:end], longest, keep)
            report.still_frames += int(end - start) - sum(b - a for a, b in parts)
            for a, b in parts:
                part = thumbs[start + a : start + b]
                if b - a < shortest:
                    report.short_frames += b - a
                elif known.has(part):
                    report.copied_frames += b - a
                else:
                    found.append(Scene(video, int(start) + a, int(start) + b))
                    known.add(part)
    if not found:
        why = "; ".join(f"{file}: {reason}" for file, reason in list(report.skipped.items())[:3])
        raise DatasetError(
            f"nothing usable in these videos: no scene of {plan.shortest:g} s or more in which something moves; "
            f"{len(report.skipped)} files skipped{': ' + why if why else ''}."
        )
    return found


class _Known:
    """The footage kept so far, in blocks of a bounded size."""

    BLOCK = 20_000  # frames

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._full: list[Footage] = []
        self._open: list[np.ndarray] = []

    def has(self, part: np.ndarray) -> bool:
        """Whether most of a scene, given as thumbnails, is in it."""
        mine = Footage.of([part])
        windows = mine.windows(self._fps, most=16)
        found = np.zeros(len(windows), bool)
        for block in (*self._full, Footage.of(self._open)):
            found |= mine.copies(windows, block) >= 0
        return bool(len(windows) and found.mean() > COPIED_SHARE)

    def add(self, part: np.ndarray) -> None:
        self._open.append(part)
        if sum(map(len, self._open)) >= self.BLOCK:
            self._full.append(Footage.of(self._open))
            self._open = []


def _split(scenes: list[Scene], plan: ImportPlan, report: Report) -> dict[str, list[Scene]]:
    """Whole videos held out where there are enough; else whole scenes; else the end of the longest scene."""
    wanted = plan.held_out * sum(map(len, scenes))
    used = sorted({scene.video for scene in scenes})
    report.split_by = "video" if len(used) >= FEW else "scene" if len(scenes) >= FEW else "time"
    levelled = [replace(scene, level=scene.video if report.split_by == "video" else number) for number, scene in enumerate(scenes)]
    if report.split_by == "time":
        return _split_in_time(levelled, 2 * wanted, plan)
    held: set[int] = set()
    levels = np.unique([scene.level for scene in levelled])
    for level in np.random.default_rng(plan.seed).permutation(levels)[:-1]:
        held.add(int(level))
        lengths = [len(scene) for scene in levelled if scene.level in held]
        if sum(lengths) >= wanted and max(lengths) >= min(VALIDATED, max(map(len, scenes))):
            break
    return {
        "train": _pieces([scene for scene in levelled if scene.level not in held]),
        "held_out": _pieces([scene for scene in levelled if scene.level in held]),
    }


def _split_in_time(scenes: list[Scene], wanted: float, plan: ImportPlan) -> dict[str, list[Scene]]:
    """The end of the longest scene is held out, with a gap before it."""
    fps = plan.shaping.fps
    last = max(scenes, key=len)
    gap, least = round(GAP_SECONDS * fps), round(plan.shortest * fps)
    tail = max(round(wanted), least, VALIDATED)
    if len(last) < tail + gap + least:
        raise DatasetError(
            f"{sum(map(len, scenes)) / fps:.0f} s in {len(scenes)} scenes are too little to hold some out; import more or longer videos."
        )
    rest = [replace(last, end=last.end - tail - gap) if scene is last else scene for scene in scenes]
    return {"train": _pieces(rest), "held_out": _pieces([replace(last, start=last.end - tail, level=len(scenes))])}


def _pieces(scenes: list[Scene]) -> list[Scene]:
    """Scenes cut into parts of equal length that fit into memory."""
    found = []
    for scene in scenes:
        edges = np.linspace(scene.start, scene.end, -(-len(scene) // LONGEST_EPISODE) + 1).astype(int)
        found += [replace(scene, start=int(a), end=int(b)) for a, b in itertools.pairwise(edges)]
    return found
