"""The same world on every back end: the same tokens where the arithmetic is the same, nearly the same pictures where it is not.

Two back ends round differently in the last bit of a float, so a pixel on the edge between two bytes falls either way once in a
few frames, and a rollout fed its own pixels drifts from its twin. Parity is therefore asked of every single step, from equal contexts.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import genie
from genie.bench.parity import parity
from genie.machine import gpu_present
from genie.runtime.onnx_engine import OnnxEngine
from genie.world import open_bundle

FRAMES = 25  # of each of the 8 prompts: 200 steps in all; `genie bench --parity` makes 200 of each


@pytest.fixture(scope="module")
def onnx() -> genie.World:
    return genie.load_world("coinrun", device="cpu", backend="onnx")


@pytest.fixture(scope="module")
def torch_world() -> genie.World:
    return genie.load_world("coinrun", device="cpu", backend="torch")


def test_torch_and_onnx_draw_the_same_tokens(torch_world: genie.World, onnx: genie.World) -> None:
    found = parity(torch_world, onnx.engine, FRAMES)
    assert found["codes"] == 8 * FRAMES * np.prod(onnx.engine.codec.token_shape)
    # A draw differs only when its noise falls between two cumulative probabilities that differ in the last bit.
    assert found["different"] <= 3, found["first"]
    for row in found["alone"]:  # left alone, what drifts apart began with a level or two in a few pixels
        assert row["first_pixel"] is None or (row["pixels"] <= 40 and row["levels"] <= 2) or row["first_code"] <= row["first_pixel"]


def test_torch_and_onnx_make_nearly_the_same_pictures(torch_world: genie.World, onnx: genie.World) -> None:
    codes = torch_world.encode(torch_world.prompts[0].frames)
    assert (codes == onnx.encode(onnx.prompts[0].frames)).mean() > 0.99
    painted = [world.decode(world.prompts[0].frames[0], codes).astype(int) for world in (torch_world, onnx)]
    assert np.abs(painted[0] - painted[1]).max() <= 2
    clip = torch_world.prompts[1].frames
    assert np.array_equal(torch_world.infer_actions(clip), onnx.infer_actions(clip))


def test_reduced_precisions_are_offered_because_they_were_measured(onnx: genie.World) -> None:
    graphs = onnx.manifest.graphs
    assert graphs is not None
    assert graphs.precisions == ("fp32", "int8", "bf16")
    assert all(loss <= 0.2 for loss in graphs.psnr_loss.values())
    assert graphs.psnr_loss.keys() == {"int8", "bf16"}


@pytest.mark.parametrize("backend", ["onnx", "onnx-int8", "torch", "torch-bf16"])
def test_every_back_end_restores_to_the_bit(backend: str) -> None:
    rollout = genie.load_world("coinrun", device="cpu", backend=backend).start(seed=5)
    for _ in range(14):  # past the end of the ring
        rollout.step("right")
    snapshot = rollout.snapshot()
    straight = [rollout.step(action) for action in ("jump", "left", "noop")]
    rollout.restore(snapshot)
    again = [rollout.step(action) for action in ("jump", "left", "noop")]
    assert np.array_equal(straight, again)
    frame = rollout.frame
    rollout.edit(255 - frame, stick=3)
    assert np.array_equal(rollout.frame, 255 - frame)
    assert rollout.step("right").shape == frame.shape


def test_rows_of_an_fp32_batch_draw_what_lone_rollouts_draw(onnx: genie.World) -> None:
    frames = [prompt.frames[-1] for prompt in onnx.prompts[:3]]
    batch = onnx.start_batch(frames, [1, 2, 3])
    batch.step(["right", "left", "noop"])
    for row, action in enumerate(("right", "left", "noop")):
        alone = onnx.start(frames[row], row + 1)
        alone.step(action)
        assert np.array_equal(alone.tokens, batch.tokens[row])


def test_a_ring_on_the_device_is_the_ring_on_the_host(smoke_run: Path) -> None:
    """What a GPU does, with the same graphs on the CPU: rings that are written by a graph and change places."""
    bundle = open_bundle(smoke_run / "world")
    manifest = bundle.manifest
    made = []
    for device_ring in (False, True):
        engine = OnnxEngine(manifest.tokenizer, manifest.dynamics, bundle.read, device_ring=device_ring)
        state = engine.start(bundle.prompt(manifest.prompts[0])[-1:])
        noise = np.random.default_rng(0).random((12, 1, 2, *engine.noise_shape), dtype=np.float32)
        codes = [engine.step(state, np.array([t % 3]), noise[t], manifest.sampling) for t in range(9)]
        kept = state.copy()
        codes += [engine.step(state, np.array([1]), noise[t], manifest.sampling) for t in range(9, 12)]
        again = [engine.step(kept, np.array([1]), noise[t], manifest.sampling) for t in range(9, 12)]
        assert np.array_equal(codes[9:], again)
        made.append(codes)
    assert np.array_equal(made[0], made[1])


@pytest.mark.skipif(not gpu_present(), reason="no GPU here: ONNX Runtime on CUDA is tested where one is")
def test_onnx_on_cuda_draws_the_same_tokens(onnx: genie.World) -> None:
    cuda = genie.load_world("coinrun", device="cuda", backend="onnx")
    found = parity(onnx, cuda.engine, FRAMES, prompts=2)
    assert found["different"] < 0.02 * found["codes"]  # CUDA multiplies in TF32
