"""The engine: a step over the ring of past slots equals the whole sequence, on every back end that runs here."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genie.configs import DynamicsConfig, LatentActionConfig
from genie.dynamics import Dynamics
from genie.latent_actions import LatentActionModel
from genie.runtime.engine import Engine, Memory
from genie.runtime.sampling import Sampling
from genie.runtime.torch_engine import TorchEngine
from tokenizer import TokenizerConfig
from tokenizer.model import VideoTokenizer, to_float
from tokenizer.motion import move

TOKENIZER = TokenizerConfig(codes=4, levels=(5, 5, 5), width=16, reach_rows=6, reach_columns=3)
CONFIG = DynamicsConfig(actions=5, width=32, layers=2, heads=4, context=4, frame_width=16, trail=3)


def models() -> tuple[VideoTokenizer, LatentActionModel, Dynamics]:
    torch.manual_seed(0)
    dynamics = Dynamics(CONFIG, TOKENIZER)
    for parameter in dynamics.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return VideoTokenizer(TOKENIZER), LatentActionModel(LatentActionConfig(width=16)), dynamics


def clip(batch: int = 2, frames: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return (
        rng.integers(0, 256, (batch, frames, 64, 64, 3), dtype=np.uint8),
        rng.integers(0, 125, (batch, frames - 1, 16, 4)),
        rng.integers(0, 5, (batch, frames - 1)),
    )


@torch.inference_mode()
def test_steps_over_the_ring_equal_the_whole_sequence_also_when_it_wraps() -> None:
    tokenizer, latent, dynamics = models()
    engine = TorchEngine(tokenizer, latent, dynamics)
    frames, codes, actions = clip()
    floats = to_float(torch.from_numpy(frames))
    before = torch.cat([floats[:, :1], floats[:, :-2]], dim=1)
    pairs = torch.cat([before, floats[:, :-1]], dim=2)
    given, known = torch.from_numpy(codes), torch.ones(codes.shape, dtype=torch.bool)
    motion = torch.from_numpy(np.random.default_rng(3).integers(-3, 4, (*actions.shape, 2)))
    moved = move(floats[:, :-1].flatten(0, 1), motion.flatten(0, 1)).unflatten(0, actions.shape)
    whole = dynamics(pairs, given, known, torch.from_numpy(actions), moved)
    state = engine.start(frames[:, 0])
    for t in range(codes.shape[1]):
        slot, memory = engine._slot(state.memory), state.memory
        trail = torch.from_numpy(state.trail)
        before_and_now = torch.from_numpy(state.before), torch.from_numpy(state.frame)
        embedding, modulation, _ = engine._embed(*before_and_now, torch.from_numpy(actions[:, t]), motion[:, t], torch.tensor(True), trail)
        logits, _, _ = engine._step.logits(
            embedding, given[:, t], known[:, t], modulation, memory.keys.unbind(), memory.values.unbind(),
            torch.from_numpy(slot.mask), torch.from_numpy(slot.rope),
        )  # fmt: skip
        torch.testing.assert_close(logits, whole[:, t], atol=2e-5, rtol=1e-4)
        engine.commit(state, actions[:, t], engine.codec.pack(codes[:, t], motion[:, t].numpy()), frames[:, t + 1])


def test_the_ring_hides_what_is_not_written_yet_and_what_was_pushed_out() -> None:
    tokenizer, latent, dynamics = models()
    engine: Engine = TorchEngine(tokenizer, latent, dynamics)
    memory = Memory(None, None)

    def shown() -> list[bool]:
        return (engine._slot(memory).mask == 0).tolist()

    assert shown() == [False, False, False]
    memory.close_slot(3)
    memory.close_slot(3)
    assert shown() == [True, True, False]
    for _ in range(3):
        memory.close_slot(3)
    assert shown() == [True, True, True]  # slots 3, 4 and 2
    memory.rewind(1)
    assert shown() == [True, False, True]  # slot 4 is gone, slot 1, which it pushed out, is lost


def test_a_million_frames_on_time_is_as_exact_as_at_the_start() -> None:
    engine = TorchEngine(*models())
    pairs = CONFIG.head_width // 2

    def turned(index: int) -> np.ndarray:
        rope = engine._slot(Memory(None, None, index)).rope
        return rope[0, :pairs] + 1j * rope[1, pairs:]

    early, late = turned(3) / turned(0), turned(10**6 + 3) / turned(10**6)
    np.testing.assert_allclose(early, late, atol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_rows_of_a_batch_agree_with_lone_rollouts(precision: str) -> None:
    engine = TorchEngine(*models(), precision=precision)
    frames, _, actions = clip(batch=3)
    noise = np.random.default_rng(2).random((3, 2, *engine.noise_shape), dtype=np.float32)
    together = engine.start(frames[:, 0])
    codes = engine.step(together, actions[:, 0], noise, Sampling())
    for row in range(3):
        alone = engine.start(frames[row : row + 1, 0])
        assert (engine.step(alone, actions[row : row + 1, 0], noise[row : row + 1], Sampling())[0] == codes[row]).mean() > 0.9


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here: CUDA graphs are tested where one is")
def test_a_captured_step_equals_an_eager_one() -> None:
    frames, _, actions = clip()
    engines = [TorchEngine(*models()), TorchEngine(*models(), device="cuda")]
    noise = np.random.default_rng(2).random((6, 2, 2, *engines[0].noise_shape), dtype=np.float32)
    made = []
    for engine in engines:
        state = engine.start(frames[:, 0])
        first = engine.step(state, actions[:, 0], noise[0], Sampling())
        kept = state.copy()
        rest = [engine.step(state, actions[:, t], noise[t], Sampling()) for t in range(1, 4)]
        again = [engine.step(kept, actions[:, t], noise[t], Sampling()) for t in range(1, 4)]
        assert all(np.array_equal(a, b) for a, b in zip(rest, again, strict=True))
        made.append(first)
    assert (made[0] == made[1]).mean() > 0.9


def test_where_the_picture_scrolls_is_part_of_the_tokens() -> None:
    engine = TorchEngine(*models())
    codes, motion = np.random.default_rng(4).integers(0, 125, (3, 16, 4)), np.array([[-6, 3], [0, 0], [5, -2]])
    tokens = engine.codec.pack(codes, motion)
    assert tokens.shape == (3, *engine.codec.token_shape) == (3, 17, 4)
    assert tokens.min() >= 0
    for given, found in zip((codes, motion), engine.codec.unpack(tokens), strict=True):
        assert np.array_equal(given, found)


def test_a_step_says_how_it_scrolled_and_painting_its_tokens_gives_its_frame() -> None:
    engine = TorchEngine(*models())
    frames, _, actions = clip()
    state = engine.start(frames[:, 0])
    noise = np.random.default_rng(2).random((2, 2, *engine.noise_shape), dtype=np.float32)
    tokens = engine.step(state, actions[:, 0], noise, Sampling())
    assert np.array_equal(engine.codec.paint(engine.codec.shown(frames[:, 0]), tokens), state.frame)


def test_a_given_scroll_is_followed_and_the_trail_remembers_it() -> None:
    engine = TorchEngine(*models())
    frames, _, actions = clip()
    state = engine.start(frames[:, 0])
    assert not state.trail.any()
    rng = np.random.default_rng(2)
    motion = np.array([[[-6, 3], [0, 0]], [[2, -3], [6, 1]]])
    for t in range(2):
        noise = rng.random((2, 2, *engine.noise_shape), dtype=np.float32)
        tokens = engine.step(state, actions[:, t], noise, Sampling(), motion[:, t])
        assert np.array_equal(engine.codec.motion(tokens), motion[:, t])
    newest = np.concatenate([motion[:, 1] + [6, 3], actions[:, 1:2]], axis=1) + 1
    assert np.array_equal(state.trail[:, 0], newest)
    assert state.trail[:, 1].any() and not state.trail[:, 2].any()
    committed = engine.start(frames[:, 0])
    for t in range(2):
        engine.commit(
            committed, actions[:, t], engine.codec.pack(np.zeros((2, *engine.codec.code_shape), np.int64), motion[:, t]), frames[:, t]
        )
    assert np.array_equal(committed.trail, state.trail)
