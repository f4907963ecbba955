"""The figures of one back end, measured in a process of its own: speed, latency, memory, batches, and whether they stay flat."""

from __future__ import annotations

import mmap
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from genie.bundle import Bundle
from genie.runtime.actions import Action
from genie.runtime.engine import Laps
from genie.runtime.rollout import Rollout
from genie.world import World

WARM_FRAMES = 20
BATCH_SECONDS = 1.0  # at each batch size, two steps at least
WINDOW = 500  # frames at the start and the end of a long run that are compared
AGED_FRAMES = 1000  # from here on a rollout is compared with a fresh one
CURVE_POINTS = 50


def measure_world(
    open_world: Callable[[], World],
    key_to_frame: Callable[[World], float | None],
    started: float,
    frames: int,
    batches: Sequence[int],
    progress: Callable[[str], None] = lambda part: None,
) -> dict[str, Any]:
    """Everything about one back end.

    Args:
        open_world: loads the world with the back end.
        key_to_frame: milliseconds from a key to its frame, in the player's loop.
        started: `time.time()` when the process was asked for.
        frames: of the single rollout.
        batches: sizes to measure the throughput at.
    """
    progress("first frame")
    world = open_world()
    idle = world.action_table.idle
    world.start().step(idle)
    cold = time.time() - started
    found: dict[str, Any] = {"backend": world.backend}
    progress(f"{frames} frames")
    found |= single(world, frames)
    found["peak_memory_mib"] = peak_memory()
    found["key_to_frame_milliseconds"] = key_to_frame(world)
    found["batches"] = []
    for batch in batches:
        progress(f"batch of {batch}")
        found["batches"].append(throughput(world, batch))
    began = time.perf_counter()
    open_world().start().step(idle)
    found["first_frame_seconds"] = {"cold": cold, "warm": time.perf_counter() - began}
    return found


def single(world: World, frames: int) -> dict[str, Any]:
    """One rollout: frames a second, milliseconds of a step and of its parts, and how time and memory go over the run."""
    rollout = world.start(seed=0)
    actions = [world.actions[i] for i in np.random.default_rng(0).integers(len(world.actions), size=64)]
    for k in range(WARM_FRAMES):
        rollout.step(actions[k % len(actions)])
    laps = world.engine.laps = Laps()
    seconds = np.empty(frames)
    every = max(1, frames // CURVE_POINTS)
    memory = [resident_memory()]
    for k in range(frames):
        began = time.perf_counter()
        rollout.step(actions[k // 8 % len(actions)])
        seconds[k] = time.perf_counter() - began
        if (k + 1) % every == 0:
            memory.append(resident_memory())
    world.engine.laps = None
    aged = _aged_over_fresh(world, rollout, actions) if frames >= AGED_FRAMES else None
    window = min(WINDOW, max(1, frames // 4))
    milliseconds = seconds * 1000
    mean = float(milliseconds.mean())
    parts = {part: 1000 * total / frames for part, total in laps.seconds.items()}
    parts["rest"] = mean - sum(value for part, value in parts.items() if part != "rest")
    return {
        "frames": frames,
        "passes": world.sampling.passes,
        "frames_per_second": 1000 / mean,
        "step_milliseconds": {"p50": float(np.percentile(milliseconds, 50)), "p99": float(np.percentile(milliseconds, 99)), **parts},
        "flatness": {
            "first_milliseconds": float(np.median(milliseconds[:window])),
            "last_milliseconds": float(np.median(milliseconds[-window:])),
            "aged_over_fresh": aged,
            "memory_growth_mib": memory[-1] - memory[min(2, len(memory) - 1)],
            "curve": {
                "frame": [int(k) for k in range(every, frames + 1, every)],
                "milliseconds": [float(np.median(milliseconds[k - every : k])) for k in range(every, frames + 1, every)],
                "memory_mib": memory[1:],
            },
        },
    }


def _aged_over_fresh(world: World, aged: Rollout, actions: Sequence[Action]) -> float:
    """Time of a step of this rollout by that of one that began 100 frames ago, taken in turns: whatever else the machine does
    hits both."""
    fresh = world.start(seed=1)
    for k in range(100):
        fresh.step(actions[k % len(actions)])
    seconds = np.empty((WINDOW, 2))
    for k in range(WINDOW):
        for number, rollout in enumerate((aged, fresh)):
            began = time.perf_counter()
            rollout.step(actions[k % len(actions)])
            seconds[k, number] = time.perf_counter() - began
    return float(np.median(seconds[:, 0]) / np.median(seconds[:, 1]))


def throughput(world: World, batch: int) -> dict[str, float]:
    """B rollouts in one forward pass: frames a second of all together, and how many times the world's own rate that is."""
    rollouts = world.start_batch([world.prompts[i % len(world.prompts)] for i in range(batch)], list(range(batch)))
    actions = [world.actions[i % len(world.actions)] for i in range(batch)]
    rollouts.step(actions)
    steps, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < BATCH_SECONDS or steps < 2:
        rollouts.step(actions)
        steps += 1
    rate = batch * steps / spent
    return {"batch": batch, "frames_per_second": rate, "real_time_factor": rate / world.frame_rate}


def measure_reference(bundle: Bundle, frame: np.ndarray, frames: int, device: str) -> dict[str, Any]:
    """The sampler without a cache: the same figures of one rollout as far as it has them."""
    from genie.bench.reference import ReferenceSampler

    sampler = ReferenceSampler(bundle, frame, device=device)
    for _ in range(2):
        sampler.step(0)
    seconds = np.empty(frames)
    for k in range(frames):
        began = time.perf_counter()
        sampler.step(k // 8 % len(bundle.manifest.actions))
        seconds[k] = time.perf_counter() - began
    return {
        "backend": "reference",
        "frames": frames,
        "passes": bundle.manifest.sampling.passes,
        "frames_per_second": 1 / float(seconds.mean()),
        "step_milliseconds": {"p50": float(np.percentile(seconds, 50) * 1000), "p99": float(np.percentile(seconds, 99) * 1000)},
        "peak_memory_mib": peak_memory(),
    }


def peak_memory() -> float:
    """MiB that this process held at most (0 where the system does not tell)."""
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def resident_memory() -> float:
    """MiB that this process holds now (0 where /proc is not to be had)."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123 (read often: no Path)
            return int(file.read().split()[1]) * mmap.PAGESIZE / 2**20
    except OSError:
        return 0.0
