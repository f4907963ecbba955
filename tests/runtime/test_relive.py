"""Steps taken again from their record leave the very state that they left when they were drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import genie
from genie.bundle import Bundle
from genie.dynamics import Dynamics
from genie.runtime.rollout import Recorded, Rollout
from genie.runtime.torch_engine import TorchEngine
from genie.weights import load_models
from tokenizer.mosaic import Mosaic


def played(rollout: Rollout, steps: int) -> tuple[list[Recorded], list[Mosaic]]:
    record, shown = [], [rollout.shown]
    for number in range(steps):
        frame = rollout.step(number // 3 % 6)
        record.append(Recorded(frame, number // 3 % 6, rollout.tokens, rollout.settled))
        shown.append(rollout.shown)
    return record, shown


@pytest.mark.parametrize(("backend", "passes"), [("onnx", 1), ("onnx", 2), ("onnx", 3), ("torch", 2)])
def test_a_lost_memory_is_whole_again_after_the_steps_it_recalls(bundle: Path, backend: str, passes: int) -> None:
    world = genie.load_world(bundle, device="cpu", backend=backend)
    rollout = world.start(seed=3, passes=passes)
    recall, past = rollout.recall
    assert recall == 2 * 7  # two layers that each look back over seven slots
    steps = past + recall + 5
    record, shown = played(rollout, steps)
    codes = record[4].settled[: world.manifest.tokenizer.positions]
    assert codes.sum() == (0 if passes == 1 else rollout.sampling.kept_after(passes - 1, codes.size))
    assert record[4].settled[world.manifest.tokenizer.positions :].all()  # how the picture scrolls is settled first
    state = rollout.snapshot()
    straight = [rollout.step(1) for _ in range(6)]
    begin = steps - recall
    rollout.jump(begin, record[begin - past : begin], shown[begin])
    for step in record[begin:]:
        rollout.relive(step)
    again = rollout.snapshot()
    assert (again.index, again.state.memory.index, again.state.memory.oldest) == (
        state.index,
        state.state.memory.index,
        state.state.memory.oldest,
    )
    assert np.array_equal(again.state.memory.keys, state.state.memory.keys)
    assert np.array_equal(again.state.memory.values, state.state.memory.values)
    assert all(np.array_equal(rollout.step(1), frame) for frame in straight)


def test_a_memory_that_looks_back_less_far_than_the_trail_recalls_the_trail(bundle: Path) -> None:
    tokenizer, latent_actions, dynamics = load_models(Bundle(bundle))
    short = dynamics.config.model_copy(update={"layers": 1, "context": 2, "trail": 4})
    assert TorchEngine(tokenizer, latent_actions, Dynamics(short, tokenizer.config), "cpu").recall == 4


def test_fewer_steps_than_it_recalls_do_not_make_it_whole(bundle: Path) -> None:
    """What the state is made of really reaches back so far."""
    rollout = genie.load_world(bundle, device="cpu", backend="onnx").start(seed=3)
    recall, past = rollout.recall
    record, shown = played(rollout, past + recall + 5)
    state = rollout.snapshot()
    begin = len(record) - recall + 1
    rollout.jump(begin, record[begin - past : begin], shown[begin])
    for step in record[begin:]:
        rollout.relive(step)
    assert not np.array_equal(rollout.snapshot().state.memory.values, state.state.memory.values)
