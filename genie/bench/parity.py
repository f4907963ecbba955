"""Do two back ends make the same world? Codes under the same noise: step by step from equal contexts, and left alone.

Two back ends add in another order, so the last bits of a float differ. From equal contexts that changes a code only where the noise
falls between two sums that differ in the last bit. Left alone, a pixel on the edge between two bytes falls either way once in a
few frames, is fed back, and the two drift apart: the report says where, and by how little it began.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from genie.runtime.engine import Engine, Memory, State
from genie.runtime.noise import uniform
from genie.world import World

SCRIPT = 8  # frames that each action is held


def parity(
    world: World, other: Engine, frames: int = 200, prompts: int = 8, progress: Callable[[str], None] = lambda part: None
) -> dict[str, Any]:
    """Compare a world's engine with another engine of the same world.

    Returns:
        `codes` drawn from equal contexts, how many are `different` and the `first` of them; for each prompt `alone`: the first frame
        with another pixel (and how many, by how much at most) and the first with another code, None where all `frames` agree.
    """
    shipped = [prompt.frames[-1:] for prompt in world.prompts[:prompts]]
    found: dict[str, Any] = {"backends": [world.engine.name, other.name], "frames": frames, "codes": 0, "different": 0, "first": None}
    for number, first_frame in enumerate(shipped):
        progress(f"equal contexts, prompt {number + 1} of {len(shipped)}")
        for t, (codes, theirs, _) in enumerate(_together(world, other, first_frame, number, frames, follow=True)):
            wrong = np.argwhere(codes != theirs)
            found["codes"] += codes.size
            found["different"] += len(wrong)
            if len(wrong) and found["first"] is None:
                found["first"] = {"prompt": number, "frame": t, "position": int(wrong[0][1]), "code": int(wrong[0][2])}
    found["alone"] = []
    for number, first_frame in enumerate(shipped):
        progress(f"left alone, prompt {number + 1} of {len(shipped)}")
        row: dict[str, Any] = {"prompt": number, "first_pixel": None, "pixels": 0, "levels": 0, "first_code": None}
        for t, (codes, theirs, difference) in enumerate(_together(world, other, first_frame, number, frames, follow=False)):
            if row["first_code"] is None and (codes != theirs).any():
                row["first_code"] = t
            if row["first_pixel"] is None and difference.any():
                row |= {"first_pixel": t, "pixels": int((difference > 0).any(-1).sum()), "levels": int(difference.max())}
            if row["first_code"] is not None:
                break
        found["alone"].append(row)
    return found


def _together(world: World, other: Engine, frame: np.ndarray, seed: int, frames: int, follow: bool) -> Any:
    """Codes int [1, N, G] of both engines and the difference of their frames, step by step; with `follow` the other goes on from what
    the first made."""
    engine, sampling = world.engine, world.sampling
    actions = np.random.default_rng(seed).integers(len(world.actions), size=-(-frames // SCRIPT)).repeat(SCRIPT)
    states: list[State] = [maker.start(frame) for maker in (engine, other)]
    for t in range(frames):
        noise = uniform(seed, 0, t, (1, sampling.passes, *engine.noise_shape))
        mine, theirs = (
            maker.step(state, actions[t : t + 1], noise, sampling) for maker, state in zip((engine, other), states, strict=True)
        )
        yield mine, theirs, np.abs(states[0].frame.astype(np.int16) - states[1].frame)
        if follow:
            states[1].shown, states[1].trail = states[0].shown, states[0].trail
            copy_ring(states[0].memory, states[1].memory)


def copy_ring(source: Memory, target: Memory) -> None:
    """Keys and values of one back end's ring into another's; a ring on a device is a list of OrtValues."""
    for name in ("keys", "values"):
        rings = np.asarray(getattr(source, name))
        held = getattr(target, name)
        if isinstance(held, list):
            for ring, value in zip(rings, held, strict=True):
                value.update_inplace(np.ascontiguousarray(ring))
        else:
            held[...] = rings
