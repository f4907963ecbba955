"""Back ends on torch: eager, compiled, in bf16, and captured as a CUDA graph. One frame function over static buffers serves them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genie.dynamics import Dynamics
from genie.latent_actions import LatentActionModel
from genie.runtime.codec import Codec
from genie.runtime.engine import Engine, Made, Memory, Passes, Slot, State
from genie.runtime.graphs import ActGraph, EmbedGraph, EncodeGraph, PaintGraph, StepGraph
from tokenizer.model import VideoTokenizer


def gains_by_bf16(device: str | torch.device) -> bool:
    """Whether bfloat16 is quicker than float32 there: on CPUs that have instructions for it, AMX or those of AVX-512 (without them
    it took 1.5 times as long)."""
    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and (torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


class TorchCodec(Codec):
    """The autoencoders in torch, eager, without gradients. Without a latent action model `act` is not to be called."""

    def __init__(
        self, tokenizer: VideoTokenizer, latent_actions: LatentActionModel | None = None, paint: Callable[..., Tensor] | None = None
    ) -> None:
        super().__init__(tokenizer.config)
        self._device = next(tokenizer.parameters()).device
        self._painter = PaintGraph(tokenizer) if paint is None else paint  # `or` would ask a compiled module for its length
        self._encode = EncodeGraph(tokenizer)
        self._act = ActGraph(latent_actions) if latent_actions is not None else None

    def _paint(self, around: np.ndarray, codes: np.ndarray, motion: np.ndarray) -> np.ndarray:
        return self._run(self._painter, around, codes, motion)[0]

    def _describe(self, around: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes, motion = self._run(self._encode, around, frames)
        return codes, motion

    def act(self, before: np.ndarray, frames: np.ndarray, after: np.ndarray) -> np.ndarray:
        if self._act is None:
            raise TypeError("this codec has no latent action model")
        return self._run(self._act, before, frames, after)[0]

    @torch.no_grad()
    def _run(self, graph: Callable[..., Any], *arrays: np.ndarray) -> list[np.ndarray]:
        inputs = [torch.from_numpy(np.ascontiguousarray(array)).to(self._device) for array in arrays]
        made = graph(*inputs)
        return [part.cpu().numpy() for part in (made if isinstance(made, tuple) else (made,))]


class _Buffers:
    """What a frame of B rollouts in P passes reads, at fixed addresses, so that a captured graph can be replayed."""

    def __init__(
        self, batch: int, passes: int, noise_shape: tuple[int, ...], resolution: tuple[int, int], engine: Engine, device: Any
    ) -> None:
        def empty(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        config = engine.config
        self.before = empty(batch, *resolution, 3, dtype=torch.uint8)
        self.frame = empty(batch, *engine.codec.config.around, 3, dtype=torch.uint8)
        self.actions = empty(batch, dtype=torch.int64)
        self.motion, self.forced = empty(batch, 2, dtype=torch.int64), empty(dtype=torch.bool)
        self.trail = empty(batch, config.trail, 3, dtype=torch.int64)
        self.codes = empty(batch, *noise_shape[1:], dtype=torch.int64)
        self.known = empty(batch, *noise_shape[1:], dtype=torch.bool)
        self.noise = empty(batch, passes, *noise_shape)
        self.place = empty(1, dtype=torch.int64)
        self.mask = empty(config.context - 1)
        self.rope = empty(2, config.head_width)
        self.temperature = empty()
        self.keep = empty(passes, dtype=torch.int64)
        self.order = empty(passes)

    def fill(self, **arrays: Any) -> None:
        """Copy numpy arrays and numbers in."""
        for name, value in arrays.items():
            getattr(self, name).copy_(torch.from_numpy(value) if isinstance(value, np.ndarray) else torch.tensor(value))


class TorchEngine(Engine):
    """Runs the graphs on one device, without gradients.

    Args:
        precision: "fp32", or "bf16" for the matrix products of the dynamics.
        compiled: through `torch.compile`; the first frame of a batch size takes a minute.
    """

    def __init__(
        self,
        tokenizer: VideoTokenizer,
        latent_actions: LatentActionModel,
        dynamics: Dynamics,
        device: str | torch.device = "cpu",
        precision: str = "fp32",
        compiled: bool = False,
    ) -> None:
        self.device = torch.device(device)
        for model in (tokenizer, latent_actions, dynamics):
            model.to(self.device).eval()
        graphs: list[Callable[..., Any]] = [
            EmbedGraph(dynamics),
            StepGraph(dynamics, dtype=torch.bfloat16 if precision == "bf16" else torch.float32),
            PaintGraph(tokenizer),
        ]
        self._embed, self._step, self._paint = (torch.compile(graph) for graph in graphs) if compiled else graphs
        super().__init__(dynamics.config, TorchCodec(tokenizer, latent_actions, self._paint))
        parts = {"cuda": self.device.type == "cuda", "compiled": compiled, precision: precision != "fp32"}
        self.name = "-".join(["torch", *(part for part, there in parts.items() if there)])
        self._resolution = tokenizer.config.resolution
        self._buffers: dict[tuple[int, int], _Buffers] = {}
        self._captured: dict[tuple[int, int], _Captured] = {}

    def _memory(self, batch: int) -> Memory:
        c = self.config
        shape = (c.layers, batch, self.codec.code_shape[0], c.heads)
        keys = torch.zeros((*shape, c.head_width, c.context - 1), device=self.device)
        return Memory(keys, torch.zeros((*shape, c.context - 1, c.head_width), device=self.device))

    @torch.inference_mode()
    def _make(
        self, state: State, slot: Slot, actions: np.ndarray, noise: np.ndarray, passes: Passes, motion: np.ndarray | None = None
    ) -> Made:
        buffers = self._filled(state, slot, actions, len(passes.keep))
        buffers.fill(
            forced=motion is not None,
            motion=0 if motion is None else motion,
            noise=noise,
            temperature=passes.temperature,
            keep=passes.keep,
            order=passes.order,
        )
        if self.device.type == "cuda":
            key = (len(actions), len(passes.keep))
            if key not in self._captured:
                self._captured[key] = _Captured(self, buffers, state.memory)
            made = self._captured[key].replay(state.memory)
        else:
            made = self._frame(buffers, state.memory.keys, state.memory.values)
        return Made(*(part.cpu().numpy() for part in made))

    @torch.inference_mode()
    def _force(self, state: State, slot: Slot, actions: np.ndarray, codes: np.ndarray, known: np.ndarray, motion: np.ndarray) -> None:
        buffers = self._filled(state, slot, actions, 1)
        buffers.fill(motion=motion, forced=True)
        given = torch.from_numpy(np.ascontiguousarray(codes, np.int64)).to(self.device)
        fixed = torch.from_numpy(np.ascontiguousarray(known, np.bool_)).to(self.device)
        keys, values = state.memory.keys, state.memory.values
        *embedded, _ = self._embed(buffers.before, buffers.frame, buffers.actions, buffers.motion, buffers.forced, buffers.trail)
        _, _, new_keys, new_values = self._pass(buffers, embedded, given, fixed, keys, values, 0)
        _store(keys, values, new_keys, new_values, buffers.place)

    def _filled(self, state: State, slot: Slot, actions: np.ndarray, passes: int) -> _Buffers:
        key = (len(actions), passes)
        if key not in self._buffers:
            self._buffers[key] = _Buffers(*key, self.noise_shape, self._resolution, self, self.device)
        buffers = self._buffers[key]
        buffers.fill(before=state.before, frame=state.shown.around, actions=actions, trail=state.trail)
        buffers.fill(place=slot.place, mask=slot.mask, rope=slot.rope)
        return buffers

    def _frame(self, b: _Buffers, keys: Tensor, values: Tensor) -> tuple[Tensor, ...]:
        """The whole step over static buffers: nothing in it looks at a value."""
        *embedded, motion = self._embed(b.before, b.frame, b.actions, b.motion, b.forced, b.trail)
        self._lap("embed")
        codes, known = b.codes, b.known
        for done in range(b.noise.shape[1]):
            settled = known
            codes, known, new_keys, new_values = self._pass(b, embedded, codes, known, keys, values, done)
        _store(keys, values, new_keys, new_values, b.place)
        self._lap("sampling")
        frame = self._paint(b.frame, codes, motion)
        self._lap("decode")
        return codes, motion, settled, frame

    def _pass(
        self, b: _Buffers, embedded: list[Tensor], codes: Tensor, known: Tensor, keys: Tensor, values: Tensor, done: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        past = keys.unbind(), values.unbind()
        chance = b.noise[:, done], b.temperature, b.order[done], b.keep[done]
        embedding, modulation = embedded
        return self._step(embedding, codes, known, modulation, *past, b.mask, b.rope, *chance)


def _store(keys: Tensor, values: Tensor, new_keys: Tensor, new_values: Tensor, place: Tensor) -> None:
    """Write a slot's keys and values [L, B, N, H, 1, d] at its place in the ring."""
    keys.index_copy_(-1, place, new_keys.mT)
    values.index_copy_(-2, place, new_values)


class _Captured:
    """One frame of B rollouts as a CUDA graph. It owns a ring; the memory in use lives there until another one is needed."""

    def __init__(self, engine: TorchEngine, buffers: _Buffers, memory: Memory) -> None:
        self._keys, self._values = memory.keys.clone(), memory.values.clone()
        self._resident: Memory | None = None
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries set themselves up outside the capture
            for _ in range(3):
                engine._frame(buffers, self._keys, self._values)
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._made = engine._frame(buffers, self._keys, self._values)

    def replay(self, memory: Memory) -> tuple[Tensor, ...]:
        """Make the frame that the buffers describe."""
        if memory.keys is not self._keys:
            resident = self._resident
            if resident is not None and resident.keys is self._keys:  # make room: it moves out
                resident.keys, resident.values = self._keys.clone(), self._values.clone()
            self._keys.copy_(memory.keys)
            self._values.copy_(memory.values)
            memory.keys, memory.values = self._keys, self._values
            self._resident = memory
        self._graph.replay()
        return self._made
