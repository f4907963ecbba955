"""Random and streaming clips out of a dataset split: uint8 [B, T, H, W, 3] and the actions between their frames.

A clip never crosses an episode's bounds, and starts on a multiple of the frame skip, so that the recorded action of a
transition is the one that was held through it. What comes out is a function of (seed, step) alone: a resumed training sees the
clips it would have seen. Frames are decompressed chunk by chunk and kept (least recently used out first).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Generic, TypeVar

import numpy as np
import zarr

from genie.data.store import CHUNK_FRAMES, SplitData
from genie.errors import DatasetError


def _memory() -> int:
    """Bytes of main memory; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


T_ = TypeVar("T_")
CACHE_BYTES = 7 * 2**30 if _memory() > 20 * 2**30 else 2**30  # the whole of half a million frames where there is room


class FrameReader:
    """Frames by number out of a chunked array, with the chunks kept up to `max_bytes`."""

    def __init__(self, frames: zarr.Array, max_bytes: int = CACHE_BYTES) -> None:
        self.shape = frames.shape
        chunk_bytes = CHUNK_FRAMES * int(np.prod(frames.shape[1:]))

        def read(chunk: int) -> np.ndarray:
            return np.asarray(frames[chunk * CHUNK_FRAMES : (chunk + 1) * CHUNK_FRAMES])

        self._chunk = lru_cache(maxsize=max(8, max_bytes // chunk_bytes))(read)

    def read(self, start: int, length: int, skip: int = 1) -> np.ndarray:
        """uint8 [length, H, W, 3]: frames start, start + skip, …"""
        out = np.empty((length, *self.shape[1:]), np.uint8)
        numbers = start + skip * np.arange(length)
        chunks = numbers // CHUNK_FRAMES
        for chunk in range(int(chunks[0]), int(chunks[-1]) + 1):
            here = chunks == chunk
            out[here] = self._chunk(chunk)[numbers[here] - chunk * CHUNK_FRAMES]
        return out


@dataclass(frozen=True)
class Clips:
    """A batch of clips."""

    frames: np.ndarray  # uint8 [B, T, H, W, 3]
    actions: np.ndarray  # int64 [B, T-1]: recorded action from frame t to t+1; 255 where unknown
    starts: np.ndarray  # int64 [B]: number of each clip's first frame in the split


def longest_clip(data: SplitData, skip: int) -> int:
    """Frames of the longest clip that an episode has room for."""
    return int((data.episode_ends - data.episode_starts).max() - 1) // skip + 1


class ClipSampler:
    """Random clips of `length` frames, `skip` game steps apart.

    Raises:
        DatasetError: no episode of the split is long enough.
    """

    def __init__(self, data: SplitData, length: int, skip: int, seed: int, max_bytes: int = CACHE_BYTES) -> None:
        self.length, self.skip, self.seed = length, skip, seed
        self._actions = data.actions
        self._reader = FrameReader(data.frames, max_bytes)
        room = (data.episode_ends - data.episode_starts - 1) // skip + 2 - length  # starts an episode offers
        usable = room > 0
        if not usable.any():
            raise DatasetError(
                f"no episode has {length} frames at skip {skip} (the longest has "
                f"{int((data.episode_ends - data.episode_starts).max(initial=0))} game steps); record more frames."
            )
        self._first = data.episode_starts[usable]
        self._until = np.cumsum(room[usable])

    @property
    def choices(self) -> int:
        """Different clips the split offers."""
        return int(self._until[-1])

    def start_of(self, choice: np.ndarray) -> np.ndarray:
        """int [B] in 0 … choices-1 -> int [B], number of the clip's first frame."""
        episode = np.searchsorted(self._until, choice, side="right")
        before = np.where(episode > 0, self._until[episode - 1], 0)
        return self._first[episode] + (choice - before) * self.skip

    def read(self, starts: np.ndarray, length: int | None = None) -> Clips:
        """The clips that begin at these frame numbers."""
        length = length or self.length
        frames = np.stack([self._reader.read(int(s), length, self.skip) for s in starts])
        numbers = starts[:, None] + self.skip * np.arange(length - 1)
        return Clips(frames, self._actions[numbers].astype(np.int64), starts)

    def batch(self, step: int, size: int) -> Clips:
        """The clips of one training step."""
        rng = np.random.default_rng([self.seed, step])
        return self.read(self.start_of(rng.integers(self.choices, size=size)))

    def spread_starts(self, count: int) -> np.ndarray:
        """int [count]: starts spread evenly over the split, the same on every call."""
        return self.start_of(np.linspace(0, self.choices - 1, count).astype(np.int64))

    def spread(self, count: int) -> Clips:
        """`count` clips spread evenly over the split, the same on every call: for validation."""
        return self.read(self.spread_starts(count))


class ClipStream:
    """B rows that each walk along a long clip, `stride` frames a step, then jump to another one.

    Row r is ahead of row 0 by a share of the walk, so that rows jump at different steps. Used to train a model unrolled on
    its own output for longer than one step's gradient reaches.
    """

    def __init__(self, data: SplitData, rows: int, stride: int, walk: int, skip: int, seed: int) -> None:
        self.rows, self.stride, self.walk = rows, stride, walk
        self._sampler = ClipSampler(data, stride * walk + 1, skip, seed)

    def batch(self, step: int) -> tuple[Clips, np.ndarray]:
        """Clips of stride + 1 frames, and bool [B]: the row begins a new walk here."""
        ahead = step + np.arange(self.rows) * self.walk // self.rows
        choices = [
            np.random.default_rng([self._sampler.seed, row, int(lap)]).integers(self._sampler.choices)
            for row, lap in enumerate(ahead // self.walk)
        ]
        place = ahead % self.walk
        starts = self._sampler.start_of(np.asarray(choices)) + place * self.stride * self._sampler.skip
        return self._sampler.read(starts, self.stride + 1), (place == 0) | (step == 0)


class Prefetch(Generic[T_]):
    """Makes the next steps' batches in one background thread while the current one trains."""

    def __init__(self, make: Callable[[int], T_], first: int, ahead: int = 2) -> None:
        self._make = make
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clips")
        self._next = first
        self._waiting: list[Future[T_]] = []
        for _ in range(ahead):
            self._submit()

    def _submit(self) -> None:
        self._waiting.append(self._pool.submit(self._make, self._next))
        self._next += 1

    def __iter__(self) -> Iterator[T_]:
        return self

    def __next__(self) -> T_:
        batch = self._waiting.pop(0).result()
        self._submit()
        return batch

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
