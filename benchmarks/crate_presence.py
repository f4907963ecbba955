"""Do CoinRun's crates and coins stay? How much of those that the prompt showed is still in its place, in rollouts under the recorded keys.

Moving: clips that are in motion when the prompt ends. Still: noop held for 64 frames. Beside the world stand the world told where the
picture scrolls (so its jumps end where the real ones do), what its tokenizer keeps when it sees every real frame, and the world under
random keys.

That asks for obedience too: a jump that ends elsewhere counts as lost. So also, "along its own scrolls": how much of what the prompt
showed is where the world itself has scrolled it to. The real game along its measured scrolls stands beside it, since figures hide
things and measuring errs.

    python benchmarks/crate_presence.py coinrun --data data/coinrun

Data of hard mode is judged by a judge that learns its looks first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import genie
from genie.data.clips import Clips, ClipSampler
from genie.data.store import Dataset
from genie.evaluation.permanence import LEARNED, PROBES, Probe, carried, in_place, learned, train_looks
from genie.evaluation.protocols import Sizes
from genie.horizons import PROMPT_FRAMES, by_rollout, clips_in_motion, roll, roll_along, seen_since
from genie.world import World

MOVING, STILL = (1, 4, 10, 32), (1, 16, 64)


def main(world: str, data: Annotated[Path, typer.Option()], clips: int = 192, seed: int = 0, backend: str = "onnx") -> None:
    """Print the shares, moving and still."""
    opened = genie.load_world(world, device="cpu", backend=backend)
    dataset = Dataset(data)
    held_out, probe = dataset.split("held_out"), probe_of(dataset, opened, seed)
    rng = np.random.default_rng([seed, 5])

    moving = clips_in_motion(ClipSampler(held_out, PROMPT_FRAMES + max(MOVING), opened.frame_skip, seed), clips)
    keys = np.array([action.id for action in opened.actions if action.kind == "recorded"])
    recorded = keys[moving.actions[:, PROMPT_FRAMES - 1 :]]
    report(probe, opened, moving, recorded, rng.choice(keys, recorded.shape), MOVING)

    everywhere = ClipSampler(held_out, PROMPT_FRAMES, opened.frame_skip, seed).spread(4 * clips).frames
    still = (everywhere[:, -1] != everywhere[:, -2]).any(axis=-1).mean(axis=(-1, -2)) < 0.02
    lasting = np.concatenate([everywhere[still], np.repeat(everywhere[still, -1:], max(STILL), axis=1)], axis=1)
    noop = np.full((len(lasting), max(STILL)), opened.action_table.idle.id)
    report(probe, opened, Clips(lasting, noop, noop), noop, None, STILL)


def probe_of(dataset: Dataset, world: World, seed: int) -> Probe:
    """What tells crates and coins in the game's pictures."""
    if known := PROBES.get(dataset.info.name):
        return known
    if LEARNED.get(dataset.info.name) != world.resolution:
        raise typer.BadParameter(f"what crates and coins look like in {dataset.info.name} is not known here.")
    sizes = Sizes.of(64)
    weights = train_looks(dataset.info, sizes.painted_frames, sizes.segment_steps, world.frame_skip, seed)
    return learned(weights, world.resolution)


def report(probe: Probe, world: World, clips: Clips, actions: np.ndarray, others: np.ndarray | None, steps: tuple[int, ...]) -> None:
    """Print a line a thing: shares at each of the steps."""
    codec, prompts, truth = world.engine.codec, clips.frames[:, :PROMPT_FRAMES], clips.frames[:, PROMPT_FRAMES:]
    motion = codec.motion(codec.encode(clips.frames))
    seen = seen_since(motion, PROMPT_FRAMES, world.resolution, 1)[:, PROMPT_FRAMES:]
    dice = world.engine, world.action_table, world.sampling
    steps_made: list[np.ndarray] = []
    made = {"world": roll(*dice, prompts, actions, each=lambda batch: steps_made.append(codec.motion(batch.tokens)))}
    made["world, told the scrolls"] = roll_along(*dice, prompts, actions, motion[:, PROMPT_FRAMES - 1 :])[0]
    made["tokenizer"] = codec.unrolled(clips.frames)[0][:, PROMPT_FRAMES:]
    if others is not None:
        made["random keys"] = roll(*dice, prompts, others)
    title = "moving" if others is not None else "still"
    moments = np.array(steps) - 1
    scrolls = {"world": by_rollout(steps_made, actions.shape[1]), "real game": motion[:, PROMPT_FRAMES - 1 :]}
    found = {label: probe.pixels(frames[:, moments], probe.things) for label, frames in {"real game": truth, **made}.items()}
    prompted = probe.pixels(prompts[:, -1], probe.things)
    for thing in probe.things:
        real = found["real game"][thing]
        for label in made:
            shares = [in_place(real[:, at], found[label][thing][:, at], seen[:, moment]) for at, moment in enumerate(moments)]
            show(f"{title}, {thing}s, {label}", shares, steps)
        for label, scroll in scrolls.items():
            places = carried(prompted[thing], scroll)[:, moments]
            shares = [in_place(places[:, at], found[label][thing][:, at], np.ones_like(places[:, at])) for at in range(len(steps))]
            show(f"{title}, {thing}s, {label} along its own scrolls", shares, steps)


def show(title: str, shares: list[np.ndarray], steps: tuple[int, ...]) -> None:
    """Print one line."""
    counts = [int(np.isfinite(share).sum()) for share in shares]
    found = (f"{step}: {np.nanmean(share):.0%} of {count}" for step, share, count in zip(steps, shares, counts, strict=True) if count)
    print(f"{title}: {'  '.join(found)}", flush=True)


if __name__ == "__main__":
    typer.run(main)
