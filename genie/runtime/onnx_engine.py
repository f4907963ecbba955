"""The back end on ONNX Runtime: no torch in the process. It runs the graphs that the bundle carries, over buffers bound once.

The graphs hold no large weights: they refer into the bundle's safetensors files (float16), which are given to ONNX Runtime
from memory after their sha256 was checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnxruntime as ort
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors

from genie.configs import GRAPHS, DynamicsConfig
from genie.errors import GenieError, WorldFormatError
from genie.machine import cores
from genie.runtime.codec import Codec
from genie.runtime.engine import Engine, Made, Memory, Passes, Slot, State
from tokenizer import TokenizerConfig

_pool_made = False


def graph_file(graph: str) -> str:
    """Name of a graph in the bundle."""
    return f"{graph}.onnx"


class Sessions:
    """A bundle's graphs as ONNX Runtime sessions on one device, opened when first used."""

    def __init__(self, read: Callable[[str], bytes], device: str = "cpu") -> None:
        global _pool_made
        if not _pool_made:
            ort.set_global_thread_pool_sizes(cores(), 1)  # one pool serves all graphs
            _pool_made = True
        self.device = device
        self._read = read
        self._weights: dict[str, bytes] = {}
        self._open: dict[str, ort.InferenceSession] = {}

    def __getitem__(self, graph: str) -> ort.InferenceSession:
        if graph not in self._open:
            self._open[graph] = self._session(graph)
        return self._open[graph]

    def _session(self, graph: str) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.use_per_session_threads = False
        options.log_severity_level = 3
        model = GRAPHS[graph]
        file = f"{model}.safetensors"
        weights = self.check(model)
        options.add_external_initializers_from_files_in_memory([file], [weights], [len(weights)])
        providers: list[Any] = ["CPUExecutionProvider"]
        if self.device == "cuda":
            ort.preload_dlls()
            providers.insert(0, "CUDAExecutionProvider")
        try:
            session = ort.InferenceSession(self._read(graph_file(graph)), options, providers=providers)
        except Exception as error:  # ONNX Runtime's own exceptions have no common base
            raise WorldFormatError(
                f"{graph_file(graph)} cannot be opened ({str(error).splitlines()[0]}); export the world again."
            ) from error
        if self.device == "cuda" and "CUDAExecutionProvider" not in session.get_providers():
            raise GenieError("ONNX Runtime finds no usable CUDA here; choose device cpu, or install its CUDA libraries.")
        return session

    def check(self, model: str) -> bytes:
        """The bytes of a model's weights; refuses NaNs."""
        if model not in self._weights:
            file = f"{model}.safetensors"
            data = self._read(file)
            try:
                tensors = load_safetensors(data)
            except (SafetensorError, ValueError, KeyError) as error:
                raise WorldFormatError(f"{file} is not a safetensors file ({error}); get the world again.") from error
            for key, value in tensors.items():
                if value.dtype.kind == "f" and not np.isfinite(value).all():
                    raise WorldFormatError(f"{file}: {key} has NaN or infinite weights; train or export the world again.")
            self._weights[model] = data
        return self._weights[model]


class OnnxCodec(Codec):
    """The autoencoders on ONNX Runtime."""

    def __init__(self, sessions: Sessions, config: TokenizerConfig) -> None:
        super().__init__(config)
        self._sessions = sessions

    def _paint(self, around: np.ndarray, codes: np.ndarray, motion: np.ndarray) -> np.ndarray:
        return self._run("paint", frame=around, codes=codes, motion=motion)[0]

    def _describe(self, around: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        codes, motion = self._run("describe", previous=around, frame=frames)
        return codes, motion

    def act(self, before: np.ndarray, frames: np.ndarray, after: np.ndarray) -> np.ndarray:
        return self._run("act", before=before, frame=frames, after=after)[0]

    def _run(self, graph: str, **arrays: np.ndarray) -> list[np.ndarray]:
        return self._sessions[graph].run(None, {name: np.ascontiguousarray(array) for name, array in arrays.items()})


class _Buffer:
    """An array at a fixed address, in main memory or on the GPU."""

    def __init__(self, shape: Sequence[int], dtype: Any, device: str) -> None:
        self._host = np.zeros(shape, dtype)
        self._on_host = device == "cpu"
        self.value = ort.OrtValue.ortvalue_from_numpy(self._host, device, 0)

    def write(self, array: Any) -> None:
        """Copy an array or a number in."""
        self._host[...] = array
        if not self._on_host:
            self.value.update_inplace(self._host)

    def view(self) -> np.ndarray:
        """What is in it now, not to be kept."""
        return self._host if self._on_host else self.value.numpy()


class _DeviceMemory(Memory):
    """A ring that stays on the device: an OrtValue for each layer instead of one array."""

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.keys), *self.keys[0].shape())

    def copy(self) -> Memory:
        return replace(self, keys=_copies(self.keys), values=_copies(self.values))


def _copies(rings: list[ort.OrtValue]) -> list[ort.OrtValue]:
    return _on_device([ring.numpy() for ring in rings], rings[0].device_name())


def _on_device(rings: Iterable[np.ndarray], device: str) -> list[ort.OrtValue]:
    return [ort.OrtValue.ortvalue_from_numpy(ring.copy(), device, 0) for ring in rings]


class _Bound:
    """Buffers and bindings for B rollouts: made once, then a frame allocates nothing of ours."""

    def __init__(self, engine: OnnxEngine, batch: int) -> None:
        c, device = engine.config, engine.sessions.device
        positions, groups = engine.codec.code_shape
        image, around = ((batch, *size, 3) for size in (engine.resolution, engine.codec.config.around))
        tokens = (batch, positions, groups)

        def buffer(*shape: int, dtype: Any = np.float32) -> _Buffer:
            return _Buffer(shape, dtype, device)

        self.before, self.painted = (buffer(*image, dtype=np.uint8) for _ in range(2))
        self.frame = buffer(*around, dtype=np.uint8)  # with its margin
        self.embedding, self.modulation = buffer(batch, positions, c.width), buffer(batch, 6 * c.layers, c.width)
        self.codes = [buffer(*tokens, dtype=np.int64) for _ in range(2)]  # a pass reads one and writes the other
        self.known = [buffer(*tokens, dtype=np.bool_) for _ in range(2)]
        self.actions, self.keep = buffer(batch, dtype=np.int64), buffer(dtype=np.int64)
        self.given_motion, self.motion = (buffer(batch, 2, dtype=np.int64) for _ in range(2))
        self.forced, self.trail = buffer(dtype=np.bool_), buffer(batch, c.trail, 3, dtype=np.int64)
        self.mask, self.rope = buffer(c.context - 1), buffer(2, c.head_width)
        self.noise, self.temperature, self.order = buffer(batch, *engine.noise_shape), buffer(), buffer()
        slot = (c.layers, batch, positions, c.heads, 1, c.head_width)
        self.new_keys, self.new_values = buffer(*slot), buffer(*slot)
        self.place = buffer(dtype=np.int64)
        self._held: Any = None
        self._spare: tuple[list[ort.OrtValue], list[ort.OrtValue]] | None = None  # where the next ring is written
        self._sessions = engine.sessions

        self.embed = engine.sessions["embed"].io_binding()
        _bind(
            self.embed,
            {
                "before": self.before,
                "frame": self.frame,
                "actions": self.actions,
                "motion": self.given_motion,
                "forced": self.forced,
                **({"trail": self.trail} if c.trail else {}),
            },
            {"embedding": self.embedding, "modulation": self.modulation, "chosen": self.motion},
        )
        self.session = engine.sessions[engine.step_graph if batch == 1 else "step"]
        self.step = [self.session.io_binding() for _ in range(2)]
        same = ("embedding", "modulation", "mask", "rope", "noise", "temperature", "order", "keep")
        self.paint = [engine.sessions["paint"].io_binding() for _ in range(2)]
        for i in range(2):
            inputs = {name: getattr(self, name) for name in same} | {"codes": self.codes[i], "known": self.known[i]}
            outputs = {"codes_after": self.codes[1 - i], "known_after": self.known[1 - i]}
            _bind(self.step[i], inputs, outputs | {"new_keys": self.new_keys, "new_values": self.new_values})
            _bind(self.paint[i], {"frame": self.frame, "codes": self.codes[i], "motion": self.motion}, {"painted": self.painted})

    def hold(self, memory: Memory) -> None:
        """Let the passes read this memory's ring."""
        if self._held is memory.keys:
            return
        self._held = memory.keys
        for name in ("keys", "values"):
            for layer, ring in enumerate(getattr(memory, name)):
                for binding in self.step:
                    if isinstance(memory, _DeviceMemory):
                        binding.bind_ortvalue_input(f"{name}_{layer}", ring)
                    else:
                        binding.bind_cpu_input(f"{name}_{layer}", ring)

    def store(self, memory: Memory, place: int) -> None:
        """Write the slot's keys and values [L, B, N, H, 1, d] at its place in the ring."""
        if not isinstance(memory, _DeviceMemory):
            memory.keys[..., place] = self.new_keys.view()[..., 0, :]
            memory.values[..., place, :] = self.new_values.view()[..., 0, :]
            return
        if self._spare is None:
            self._spare = _copies(memory.keys), _copies(memory.values)
        self.place.write(place)
        session = self._sessions["store"]
        binding = session.io_binding()
        _bind(binding, {"new_keys": self.new_keys, "new_values": self.new_values, "place": self.place}, {})
        for name, rings, spare in zip(("keys", "values"), (memory.keys, memory.values), self._spare, strict=True):
            for layer, (ring, other) in enumerate(zip(rings, spare, strict=True)):
                binding.bind_ortvalue_input(f"{name}_{layer}", ring)
                binding.bind_ortvalue_output(f"{name}_{layer}_after", other)
        session.run_with_iobinding(binding)
        (memory.keys, memory.values), self._spare = self._spare, (memory.keys, memory.values)


def _bind(binding: Any, inputs: dict[str, _Buffer], outputs: dict[str, _Buffer]) -> None:
    for name, buffer in inputs.items():
        binding.bind_ortvalue_input(name, buffer.value)
    for name, buffer in outputs.items():
        binding.bind_ortvalue_output(name, buffer.value)


class OnnxEngine(Engine):
    """Runs a bundle's graphs.

    Args:
        read: gives the verified bytes of a file of the bundle.
        precision: "fp32", or "int8" for the matrix products of the dynamics, where the bundle offers it. Batches run in fp32 all the same:
            in int8 their rows would share the range of their activations, and the worst row would set it.
        device: "cpu" or "cuda".
        device_ring: keep keys and values in the device's own buffers, as a GPU does; on a CPU it is slower and good for tests.
    """

    def __init__(
        self,
        tokenizer: TokenizerConfig,
        dynamics: DynamicsConfig,
        read: Callable[[str], bytes],
        precision: str = "fp32",
        device: str = "cpu",
        device_ring: bool | None = None,
    ) -> None:
        self.sessions = Sessions(read, device)
        self.device_ring = device != "cpu" if device_ring is None else device_ring
        self.resolution = tokenizer.resolution
        self.step_graph = "step" if precision == "fp32" else f"step-{precision}"
        self.name = "-".join(["onnx", *(part for part, default in ((device, "cpu"), (precision, "fp32")) if part != default)])
        super().__init__(dynamics, OnnxCodec(self.sessions, tokenizer))
        self._bound: dict[int, _Bound] = {}
        for graph in ("embed", self.step_graph, "paint"):  # what cannot be opened is known now, not in the first step
            _ = self.sessions[graph]
        self.sessions.check("latent_actions")
        self._check_inputs()

    def _check_inputs(self) -> None:
        """The step graph must take what the configuration says, before anything of that size is made."""
        c, (positions, groups) = self.config, self.codec.code_shape
        rings = {f"{kind}_{layer}" for kind in ("keys", "values") for layer in range(c.layers)}
        shapes = {entry.name: entry.shape[1:] for entry in self.sessions[self.step_graph].get_inputs()}
        wanted = {"embedding": [positions, c.width], "modulation": [6 * c.layers, c.width], "codes": [positions, groups]}
        wanted |= {name: [positions, c.heads, c.head_width, c.context - 1] for name in rings if name.startswith("keys")}
        if not rings <= shapes.keys() or any(shapes.get(name) != shape for name, shape in wanted.items()):
            raise WorldFormatError(f"{graph_file(self.step_graph)} does not fit the world's configuration; export the world again.")

    def _memory(self, batch: int) -> Memory:
        c = self.config
        shape = (c.layers, batch, self.codec.code_shape[0], c.heads)
        keys = np.zeros((*shape, c.head_width, c.context - 1), np.float32)
        values = np.zeros((*shape, c.context - 1, c.head_width), np.float32)
        if not self.device_ring:
            return Memory(keys, values)
        return _DeviceMemory(_on_device(keys, self.sessions.device), _on_device(values, self.sessions.device))

    def _make(
        self, state: State, slot: Slot, actions: np.ndarray, noise: np.ndarray, passes: Passes, motion: np.ndarray | None = None
    ) -> Made:
        bound = self._filled(state, slot, actions, motion)
        self._lap("embed")
        bound.temperature.write(passes.temperature)
        bound.codes[0].write(0)
        bound.known[0].write(False)
        turn = 0
        for done, (keep, order) in enumerate(zip(passes.keep, passes.order, strict=True)):
            bound.noise.write(noise[:, done])
            bound.keep.write(keep)
            bound.order.write(order)
            turn = done % 2
            bound.session.run_with_iobinding(bound.step[turn])
        bound.store(state.memory, slot.place)
        self._lap("sampling")
        self.sessions["paint"].run_with_iobinding(bound.paint[1 - turn])
        self._lap("decode")
        return Made(*(buffer.view().copy() for buffer in (bound.codes[1 - turn], bound.motion, bound.known[turn], bound.painted)))

    def _force(self, state: State, slot: Slot, actions: np.ndarray, codes: np.ndarray, known: np.ndarray, motion: np.ndarray) -> None:
        bound = self._filled(state, slot, actions, motion)
        bound.codes[0].write(codes)
        bound.known[0].write(known)
        bound.temperature.write(1.0)
        bound.session.run_with_iobinding(bound.step[0])
        bound.store(state.memory, slot.place)

    def _filled(self, state: State, slot: Slot, actions: np.ndarray, motion: np.ndarray | None = None) -> _Bound:
        batch = len(actions)
        if batch not in self._bound:
            self._bound[batch] = _Bound(self, batch)
        bound = self._bound[batch]
        bound.given_motion.write(0 if motion is None else motion)
        bound.forced.write(motion is not None)
        for name, array in (
            ("before", state.before),
            ("frame", state.shown.around),
            ("actions", actions),
            ("trail", state.trail),
            ("mask", slot.mask),
            ("rope", slot.rope),
        ):
            getattr(bound, name).write(array)
        bound.hold(state.memory)
        self.sessions["embed"].run_with_iobinding(bound.embed)
        return bound
