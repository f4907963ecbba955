"""Datasets in the layout of LeRobot v3.0: all episodes end to end in a few video and parquet files, told apart by tables under meta/.

Held-out episodes come after the training ones, as the split `test`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from genie.data.exchange.mp4 import SCALE, Mp4, episodes
from genie.data.store import SPLITS, UNKNOWN_ACTION, Dataset
from genie.errors import MissingDependencyError
from genie.files import replacing

CAMERA = "observation.images.main"
FRAMES_A_FILE = 50_000
CHUNK_FILES = 1000
FILE = "chunk-{chunk:03d}/file-{file:03d}"


def export_lerobot(dataset: Dataset, out: Path, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
    """Write the dataset; the folder is there whole or not at all.

    Args:
        progress: called with the episodes done and those there are.
    """
    arrow, parquet = _pyarrow()
    info = dataset.info
    height, width = info.resolution
    rate = int(info.game_rate) if float(info.game_rate).is_integer() else info.game_rate
    task = f"play {info.name}"
    total = sum(len(dataset.split(name).episode_starts) for name in SPLITS)
    rows: list[dict[str, Any]] = []  # of the table of episodes
    steps: dict[str, list[Any]] = {}  # columns of the file that is being filled
    numbers = _Numbers()
    file = frame = filled = 0
    video: Mp4 | None = None
    with replacing(out) as folder:

        def put() -> None:
            nonlocal video, steps, filled
            if video is not None:
                video.close()
                parquet.write_table(arrow.table(steps, schema=_schema(arrow)), _place(folder / "data", file, ".parquet"))
            video, steps, filled = None, {}, 0

        for split in SPLITS:
            for frames, actions, rewards, _ in episodes(dataset, split):
                count, number = len(frames), len(rows)
                if filled and filled + count > FRAMES_A_FILE:
                    put()
                    file += 1
                if video is None:
                    video = Mp4(_place(folder / "videos" / CAMERA, file, ".mp4"), (height * SCALE, width * SCALE), Fraction(rate))
                video.write(frames, SCALE)
                numbers.add(frames, actions)
                index = np.arange(count)
                done = np.zeros(count, bool)
                done[-1] = True
                told = np.where(actions == UNKNOWN_ACTION, -1, actions.astype(np.int64))
                for key, values in {
                    "action": told, "next.reward": rewards.astype(np.float32), "next.done": done,
                    "timestamp": (index / rate).astype(np.float32), "frame_index": index, "episode_index": np.full(count, number),
                    "index": frame + index, "task_index": np.zeros(count, np.int64),
                }.items():  # fmt: skip
                    steps.setdefault(key, []).extend(values.tolist())
                place = {"chunk_index": file // CHUNK_FILES, "file_index": file % CHUNK_FILES}
                rows.append(
                    {
                        "episode_index": number, "tasks": [task], "length": count,
                        **{f"data/{key}": value for key, value in place.items()},
                        "dataset_from_index": frame, "dataset_to_index": frame + count,
                        **{f"videos/{CAMERA}/{key}": value for key, value in place.items()},
                        f"videos/{CAMERA}/from_timestamp": filled / rate, f"videos/{CAMERA}/to_timestamp": (filled + count) / rate,
                        "meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0,
                    }
                )  # fmt: skip
                frame, filled = frame + count, filled + count
                progress(len(rows), total)
        put()
        parquet.write_table(arrow.Table.from_pylist(rows), _place(folder / "meta" / "episodes", 0, ".parquet"))
        parquet.write_table(_tasks(arrow, task), folder / "meta" / "tasks.parquet")
        trained = len(dataset.split("train").episode_starts)
        about = {
            "codebase_version": "v3.0", "robot_type": info.name, "total_episodes": total, "total_frames": frame, "total_tasks": 1,
            "chunks_size": CHUNK_FILES, "data_files_size_in_mb": 100, "video_files_size_in_mb": 500, "fps": rate,
            "splits": {"train": f"0:{trained}", "test": f"{trained}:{total}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
            "features": _features((height * SCALE, width * SCALE), rate),
            "genie": {"action_names": info.action_names, "licence": info.licence, "recipe": info.recipe},
        }  # fmt: skip
        (folder / "meta" / "info.json").write_text(json.dumps(about, indent=1))
        (folder / "meta" / "stats.json").write_text(json.dumps(numbers.stats(), indent=1))


class _Numbers:
    """Statistics of pictures (from every sixteenth, in 0 … 1, by colour) and actions."""

    def __init__(self) -> None:
        self._pictures = np.zeros((4, 3))  # least, most, sum, sum of squares
        self._pictures[0] = 1.0
        self._pixels = self._shown = 0
        self._actions: list[np.ndarray] = []

    def add(self, frames: np.ndarray, actions: np.ndarray) -> None:
        pixels = frames[::16].reshape(-1, 3) / 255.0
        self._pictures[0] = np.minimum(self._pictures[0], pixels.min(0))
        self._pictures[1] = np.maximum(self._pictures[1], pixels.max(0))
        self._pictures[2:] += pixels.sum(0), np.square(pixels).sum(0)
        self._pixels += len(pixels)
        self._shown += len(frames[::16])
        self._actions.append(np.where(actions == UNKNOWN_ACTION, -1, actions.astype(np.int64)))

    def stats(self) -> dict[str, Any]:
        least, most, total, squares = self._pictures
        mean = total / self._pixels
        spread = np.sqrt(np.maximum(0.0, squares / self._pixels - mean**2))
        colours = {"min": least, "max": most, "mean": mean, "std": spread}
        told = np.concatenate(self._actions)
        return {
            CAMERA: {**{key: [[[v]] for v in value.tolist()] for key, value in colours.items()}, "count": [self._shown]},
            "action": {
                "min": [int(told.min())], "max": [int(told.max())], "mean": [float(told.mean())], "std": [float(told.std())],
                "count": [len(told)],
            },
        }  # fmt: skip


def _features(size: tuple[int, int], rate: float) -> dict[str, Any]:
    height, width = size
    one = {"shape": [1], "names": None}
    return {
        CAMERA: {
            "dtype": "video", "shape": [height, width, 3], "names": ["height", "width", "channels"],
            "info": {"video.height": height, "video.width": width, "video.codec": "h264", "video.pix_fmt": "yuv420p",
                     "video.is_depth_map": False, "video.fps": rate, "video.channels": 3, "has_audio": False},
        },
        "action": {"dtype": "int64", "shape": [1], "names": ["action"]},
        "next.reward": {"dtype": "float32", **one},
        "next.done": {"dtype": "bool", **one},
        "timestamp": {"dtype": "float32", **one},
        **{key: {"dtype": "int64", **one} for key in ("frame_index", "episode_index", "index", "task_index")},
    }  # fmt: skip


def _schema(arrow: Any) -> Any:
    types = {"next.reward": arrow.float32(), "next.done": arrow.bool_(), "timestamp": arrow.float32()}
    keys = ("action", "next.reward", "next.done", "timestamp", "frame_index", "episode_index", "index", "task_index")
    return arrow.schema([(key, types.get(key, arrow.int64())) for key in keys])


def _tasks(arrow: Any, task: str) -> Any:
    """The table of tasks, its index as pandas keeps it."""
    kinds = {"task_index": ("int64", "int64"), "task": ("unicode", "object")}
    columns = [{"name": k, "field_name": k, "pandas_type": a, "numpy_type": b, "metadata": None} for k, (a, b) in kinds.items()]
    pandas = {"index_columns": ["task"], "column_indexes": [], "columns": columns, "pandas_version": "2.0.0"}
    return arrow.table({"task_index": [0], "task": [task]}).replace_schema_metadata({"pandas": json.dumps(pandas)})


def _place(folder: Path, file: int, suffix: str) -> Path:
    path = folder / (FILE.format(chunk=file // CHUNK_FILES, file=file % CHUNK_FILES) + suffix)
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError("LeRobot's layout needs pyarrow: pip install 'genie-worlds[lerobot]'.") from error
    return pyarrow, parquet
