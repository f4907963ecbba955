"""Clips: inside one episode, a function of (seed, step), and never what training waits for."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from genie.data.clips import ClipSampler, ClipStream, FrameReader, Prefetch
from genie.data.store import CHUNK_FRAMES, Dataset, SplitData
from genie.errors import DatasetError


def numbered(lengths: list[int]) -> SplitData:
    """A split whose frames carry their episode and their place in it."""
    frames = [(episode, place % 256, place // 256) for episode, length in enumerate(lengths) for place in range(length)]
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    pixels = np.array(frames, np.uint8).reshape(-1, 1, 1, 3)
    actions = np.arange(len(pixels), dtype=np.uint8)
    return SplitData(pixels, actions, np.zeros(len(pixels), np.float32), starts, np.arange(len(lengths)))  # type: ignore[arg-type]


@given(st.lists(st.integers(1, 60), min_size=1, max_size=8), st.integers(2, 9), st.integers(1, 4))
def test_a_clip_never_crosses_an_episode_and_keeps_the_skip(lengths: list[int], length: int, skip: int) -> None:
    data = numbered(lengths)
    if max(lengths) < (length - 1) * skip + 1:
        with pytest.raises(DatasetError, match="record more frames"):
            ClipSampler(data, length, skip, seed=0)
        return
    sampler = ClipSampler(data, length, skip, seed=0)
    expected = sum(max(0, (n - 1) // skip + 2 - length) for n in lengths)
    assert sampler.choices == expected
    clips = sampler.read(sampler.start_of(np.arange(sampler.choices)))
    assert (clips.frames[..., 0] == clips.frames[:, :1, ..., 0]).all()  # one episode
    places = clips.frames[..., 1].astype(int).reshape(len(clips.frames), -1)
    assert (np.diff(places, axis=1) == skip).all()
    assert (places[:, 0] % skip == 0).all()
    assert len(np.unique(clips.starts)) == expected


def test_actions_are_those_taken_in_the_earlier_frame(dataset: Dataset) -> None:
    data = dataset.split("train")
    clips = ClipSampler(data, length=5, skip=2, seed=0).batch(step=3, size=4)
    for start, actions in zip(clips.starts, clips.actions, strict=True):
        assert actions.tolist() == data.actions[start : start + 8 : 2].tolist()


def test_batches_are_a_function_of_seed_and_step(dataset: Dataset) -> None:
    data = dataset.split("train")
    first, again, other = (ClipSampler(data, 5, 2, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.batch(7, 4).frames, again.batch(7, 4).frames)
    assert not np.array_equal(first.batch(7, 4).frames, other.batch(7, 4).frames)
    assert not np.array_equal(first.batch(7, 4).frames, first.batch(8, 4).frames)


def test_a_stream_goes_on_where_the_last_batch_ended(dataset: Dataset) -> None:
    stream = ClipStream(dataset.split("train"), rows=4, stride=3, walk=5, skip=2, seed=0)
    before, _ = stream.batch(0)
    for step in range(1, 12):
        clips, fresh = stream.batch(step)
        assert fresh.sum() <= 1  # rows jump at different steps
        assert np.array_equal(clips.frames[~fresh, 0], before.frames[~fresh, -1])
        before = clips


def test_the_frame_reader_reads_across_chunks(dataset: Dataset) -> None:
    frames = dataset.split("train").frames
    reader = FrameReader(frames, max_bytes=1)
    assert np.array_equal(reader.read(CHUNK_FRAMES - 5, 20, skip=3), frames[CHUNK_FRAMES - 5 : CHUNK_FRAMES + 55 : 3])


def test_reading_is_far_faster_than_training(dataset: Dataset) -> None:
    """The shipped tokenizer trains at 200 frames/s or less; a reader ten times as fast never holds it up."""
    sampler = ClipSampler(dataset.split("train"), length=16, skip=2, seed=0)
    sampler.batch(0, 8)
    began = time.perf_counter()
    for step in range(20):
        sampler.batch(step, 8)
    assert 20 * 8 * 16 / (time.perf_counter() - began) > 2000


def test_prefetch_keeps_the_order_and_starts_where_asked() -> None:
    batches = Prefetch(lambda step: step * step, first=3)
    assert [next(batches) for _ in range(4)] == [9, 16, 25, 36]
    batches.close()
