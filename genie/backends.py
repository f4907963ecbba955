"""Which back end runs a world: all that can, the one that was asked for, or the fastest as measured here once.

On a CPU `auto` never imports torch for a world that carries graphs: it takes a second to try ONNX Runtime in the precisions that
the world offers, and remembers the answer for this machine (`genie bench` measures longer and remembers too). The torch back ends
are to be asked for.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shutil
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import platformdirs

from genie.bundle import Bundle, Manifest, Precision
from genie.errors import GenieError, WorldFormatError
from genie.machine import cores, gpu_present, processor
from genie.runtime.engine import Engine

TORCH_BACKENDS = ("torch", "torch-bf16", "torch-compiled", "torch-compiled-bf16")
ONNX_BACKENDS = ("onnx", "onnx-int8")
BACKENDS = ("auto", *TORCH_BACKENDS, *ONNX_BACKENDS)
TRIAL_SECONDS = 0.4  # a back end, after its first frames
MEMORY_FILE = "backends.json"
_measured: dict[str, dict[str, float]] = {}  # in this process: the choice stays the same also where nothing can be written


def available(manifest: Manifest, device: str = "cpu") -> tuple[str, ...]:
    """The back ends that can run a world on a device of this machine, "cpu" or "cuda"."""
    found = _onnx_backends(manifest)
    if find_spec("torch") is not None:
        from genie.runtime.torch_engine import gains_by_bf16

        bf16 = ["-bf16"] if "bf16" in _precisions(manifest) and gains_by_bf16(device) else []
        compiled = ["-compiled"] if device == "cpu" and compiler_present() else []
        found += [f"torch{part}{precision}" for part in ("", *compiled) for precision in ("", *bf16)]
    return tuple(found)


def compiler_present() -> bool:
    """Whether `torch.compile` can build for the CPU here."""
    return any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++", "cl"))


def resolve_device(device: str) -> str:
    """The device, cpu or cuda, for what was asked for: `auto` is the GPU where torch can use one.

    Raises:
        GenieError: an unknown device, or no GPU here.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise GenieError(f"device {device!r} is unknown; choose auto, cpu or cuda (CUDA_VISIBLE_DEVICES chooses among several).")
    if device == "auto":
        return "cuda" if gpu_present() and _torch_has_cuda() else "cpu"
    if device == "cuda" and not gpu_present():
        raise GenieError("device 'cuda' cannot be used here: there is no NVIDIA GPU with its driver.")
    return device


def _torch_has_cuda() -> bool:
    if find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


def open_engine(bundle: Bundle, device: str = "auto", backend: str = "auto") -> Engine:
    """The engine that runs a world.

    Args:
        device: "auto", "cpu" or "cuda".
        backend: one of `BACKENDS`.

    Raises:
        GenieError: the back end or device is unknown or not to be had here.
    """
    if backend not in BACKENDS:
        raise GenieError(f"backend {backend!r} is unknown; choose one of {', '.join(BACKENDS)}.")
    device = resolve_device(device)
    if backend == "auto":
        return _chosen(bundle, device)
    manifest = bundle.manifest
    if backend in ONNX_BACKENDS:
        from genie.runtime.onnx_engine import OnnxEngine

        precision = backend.partition("-")[2] or "fp32"
        if manifest.graphs is None:
            raise GenieError(f"{manifest.name} carries no ONNX graphs; make them with `genie export {bundle.path}`.")
        if manifest.graphs.made_for != manifest.weights_digest:
            raise WorldFormatError(
                f"{bundle.path}: its ONNX graphs were made for other weights or another configuration; "
                f"run `genie export {bundle.path}` or get the world again."
            )
        _must_offer(manifest, precision)
        return OnnxEngine(manifest.tokenizer, manifest.dynamics, bundle.read, precision, device)
    if find_spec("torch") is None:
        raise GenieError(f"the back end {backend} needs torch: pip install 'genie-worlds[torch]'.")
    if device == "cuda" and not _torch_has_cuda():
        raise GenieError("device 'cuda': the torch that is installed cannot use the GPU; install a CUDA build, or choose cpu.")
    if backend.endswith("bf16"):
        _must_offer(manifest, "bf16")
    from genie.runtime.torch_engine import TorchEngine
    from genie.weights import load_models

    return TorchEngine(
        *load_models(bundle),
        device=device,
        precision="bf16" if backend.endswith("bf16") else "fp32",
        compiled="compiled" in backend,
    )


def _must_offer(manifest: Manifest, precision: str) -> None:
    offered = _precisions(manifest)
    if precision not in offered:
        raise GenieError(
            f"{manifest.name} offers {', '.join(offered) or 'fp32'}, not {precision}; "
            f"`genie export --data` measures it and adds it if it is good."
        )


def _chosen(bundle: Bundle, device: str) -> Engine:
    manifest = bundle.manifest
    if device != "cpu" or manifest.graphs is None:
        return open_engine(bundle, device, "torch")
    if known := remembered(manifest):
        return open_engine(bundle, device, known[0])
    trials = [open_engine(bundle, device, name) for name in _onnx_backends(manifest)]
    if len(trials) == 1:
        return trials[0]
    rates = {engine.name: trial(engine, manifest) for engine in trials}
    remember(manifest, rates)
    return max(trials, key=lambda engine: rates[engine.name])


def trial(engine: Engine, manifest: Manifest, seconds: float = TRIAL_SECONDS) -> float:
    """Frames a second of one rollout under the world's own sampling."""
    state = engine.start(np.zeros((1, *manifest.tokenizer.resolution, 3), np.uint8))
    noise = np.full((1, manifest.sampling.passes, *engine.noise_shape), 0.5, np.float32)
    action = np.zeros(1, np.int64)
    for _ in range(5):
        engine.step(state, action, noise, manifest.sampling)
    frames, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        engine.step(state, action, noise, manifest.sampling)
        frames += 1
    return frames / spent


def memory_path() -> Path:
    """Where the choice is remembered."""
    return Path(os.environ.get("GENIE_CACHE_DIR") or platformdirs.user_cache_dir("genie-worlds")) / MEMORY_FILE


def remembered(manifest: Manifest) -> list[str]:
    """The world's ONNX back ends that were measured here, fastest first; empty if none were."""
    known = measured_rates(manifest)
    return sorted(known, key=lambda name: -known[name])


def measured_rates(manifest: Manifest) -> dict[str, float]:
    """Frames a second of the world's ONNX back ends, as measured on this machine; empty before the world was opened once."""
    situation = _situation(manifest)
    rates = _memory().get(situation, _measured.get(situation))
    if not isinstance(rates, dict):
        return {}
    return {name: rates[name] for name in _onnx_backends(manifest) if isinstance(rates.get(name), int | float)}


def _onnx_backends(manifest: Manifest) -> list[str]:
    return [name for name in ONNX_BACKENDS if (name.partition("-")[2] or "fp32") in _precisions(manifest)]


def _precisions(manifest: Manifest) -> tuple[Precision, ...]:
    return manifest.graphs.precisions if manifest.graphs is not None else ()


def remember(manifest: Manifest, rates: dict[str, float]) -> None:
    """Note frames a second by back end for this machine; a cache that cannot be written is no error."""
    memory = _memory()
    _measured[_situation(manifest)] = memory[_situation(manifest)] = {name: round(rate, 1) for name, rate in rates.items()}
    path = memory_path()
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(memory, indent=1))
        os.replace(partial, path)
    except OSError:
        with suppress(OSError):
            partial.unlink()


def _memory() -> dict[str, object]:
    try:
        found = json.loads(memory_path().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _situation(manifest: Manifest) -> str:
    """This machine, these versions, a world of this shape."""
    versions = []
    for package in ("onnxruntime-gpu", "onnxruntime", "torch"):
        try:
            versions.append(importlib.metadata.version(package))
        except importlib.metadata.PackageNotFoundError:
            versions.append("")
    shape = [manifest.dynamics.model_dump(), manifest.tokenizer.model_dump(), manifest.sampling.model_dump()]
    facts = [platform.node(), platform.machine(), processor(), cores(), versions, shape]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
