"""What the dynamics makes of the dataset when it goes on by itself, so that it can be trained on its own mistakes.

As in DAgger (Ross, Gordon and Bagnell 2011): rollouts after real prompts under the true actions; the lesson is what leads from the model's
frame back to the real next one. The picture scrolls as the real one did, so that both show the same place; what scrolled in since the
prompt is the model's own invention and no mistake, so it is left out (`seen`; what is remembered from the prompt and shown again is not).
Not so a cell half of which comes into view just now: whatever the model has made of the level so far, it should go on as real levels do.
Nor where the model's frame has faded: one that shows next to nothing has nothing to keep, and the lesson is the whole real next frame.
Nor where the camera keeps a figure (`where_a_figure_is`): it is to be there wherever the model has brought it.

One file a block: frames with their margin uint8 [W, L, H', W', 3], the tokens that led to each int [W, L-1, N, G], actions int64
[W, L-1] (ids of the action table), seen bool [W, L, h, w] by cells of the tokenizer's code stride, alike [W, L, h, w] those of them that
the prompt has shown (all that a decoder can be asked for: what is new no drawn code foretells), starts int64 [W].
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from genie.data.clips import ClipSampler
from genie.data.store import Dataset
from genie.horizons import PROMPT_FRAMES, roll_along, seen_and_new
from genie.metrics import outlines
from genie.runtime.actions import ActionTable
from genie.runtime.codec import Codec
from genie.runtime.sampling import Sampling
from genie.runtime.torch_engine import TorchEngine
from genie.training.tokens import mixed_actions
from tokenizer.mosaic import moved

BLOCK = 64  # rollouts in step, and the unit of resuming
FORMAT = 2  # of the files
FIGURE = 3.0  # times as much as the median cell one must change by itself, on average, for a figure to be there
LOOKED_AT = 256  # real steps that are averaged for that
FADED = 0.5  # a frame has faded where it shows less than this share of the real one's outlines


@dataclass(frozen=True)
class RolloutPlan:
    """How much to make."""

    frames: int = 40_000
    length: int = 50  # frames of a rollout, the prompt's included
    skip: int = 2
    seed: int = 0
    models: str = ""  # digest of those that make them


def make_rollouts(
    dataset: Dataset,
    engine: TorchEngine,
    table: ActionTable,
    sampling: Sampling,
    plan: RolloutPlan,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Roll the dynamics out over the training split into `path`; goes on after an interruption, does nothing when done.

    Args:
        progress: called with the rollouts made and those wanted.

    Returns:
        The plan's files; there may be others, of another plan.
    """
    path.mkdir(parents=True, exist_ok=True)
    sampler = ClipSampler(dataset.split("train"), plan.length, plan.skip, plan.seed)
    blocks = -(-plan.frames // (BLOCK * plan.length))
    name = hashlib.sha256(repr((FORMAT, asdict(plan), dataset.fingerprint)).encode()).hexdigest()[:8]
    files = [path / f"{name}-{block:04}.npz" for block in range(blocks)]
    for block, file in enumerate(files):
        if not file.exists():
            made = _block(sampler, engine, table, sampling, np.random.default_rng([plan.seed, 12, block]))
            partial = file.with_suffix(".partial")
            with partial.open("wb") as out:
                np.savez(out, allow_pickle=False, **made)
            os.replace(partial, file)
        progress((block + 1) * BLOCK, blocks * BLOCK)
    return files


def _block(
    sampler: ClipSampler,
    engine: TorchEngine,
    table: ActionTable,
    sampling: Sampling,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    clips = sampler.read(sampler.start_of(rng.integers(sampler.choices, size=BLOCK)))
    codec = engine.codec
    actions = mixed_actions(rng, codec.infer_actions(clips.frames), clips.actions, table)
    real = codec.encode(clips.frames)
    motion = codec.motion(real)
    prompts = clips.frames[:, :PROMPT_FRAMES]
    along = (actions[:, PROMPT_FRAMES - 1 :], motion[:, PROMPT_FRAMES - 1 :])
    made, drawn = roll_along(engine, table, sampling, prompts, *along, seed=int(rng.integers(2**31)), margin=True)
    shown = [shown for shown, _ in codec.watch(prompts)]
    shown[-1] = shown[-1].guessing(codec.config.guess)  # as where a rollout begins
    frames = np.concatenate([np.stack([one.around for one in shown], axis=1), made], axis=1)
    seen, new = seen_and_new(motion, PROMPT_FRAMES, clips.frames.shape[2:4], codec.code_stride, shown[-1].known)
    return {
        "frames": frames,
        "tokens": np.concatenate([real[:, : PROMPT_FRAMES - 1], drawn.astype(real.dtype)], axis=1),
        "actions": actions,
        "alike": seen,
        "seen": seen | new | after_faded(codec.without_margin(frames), clips.frames)[..., None, None],
        "starts": clips.starts,
    }


def after_faded(frames: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Which frames of rollouts uint8 [B, T, H, W, 3] follow one that has faded, beside the real clips they should be: bool [B, T]."""
    faded = outlines(frames) < FADED * outlines(real)
    return np.concatenate([np.zeros_like(faded[:, :1]), faded[:, :-1]], axis=1)


def where_a_figure_is(sampler: ClipSampler, codec: Codec) -> np.ndarray:
    """The cells that a camera keeps a figure in, bool [h, w]: what they show changes by itself where all else moves along."""
    clips = sampler.spread(min(LOOKED_AT, sampler.choices)).frames[:, -2:]
    motion, side = codec.motion(codec.encode(clips))[:, 0], codec.code_stride
    before, after = clips.astype(np.float32).swapaxes(0, 1)
    there = moved(np.ones(before.shape, np.bool_), motion)
    changed = np.where(there, after - moved(before, motion), 0)
    cells = changed.reshape(len(changed), before.shape[1] // side, side, before.shape[2] // side, -1)
    mean = np.sqrt(np.square(cells).mean(axis=(2, 4))).mean(axis=0)
    return np.asarray(mean > FIGURE * np.median(mean))


@dataclass(frozen=True)
class OwnSteps:
    """Single steps of rollouts: the model's frame with its margin uint8 [B, H', W', 3], the tokens int [B, N, G] that it drew for the next,
    the real next frame uint8 [B, H, W, 3], and which cells of it show what the prompt did, bool [B, h, w]."""

    before: np.ndarray
    tokens: np.ndarray
    after: np.ndarray
    counts: np.ndarray


class RolloutReader:
    """What `make_rollouts` made, for the dynamics and for the decoder."""

    def __init__(self, files: Sequence[Path]) -> None:
        parts = []
        for file in files:
            with np.load(file, allow_pickle=False) as found:
                parts.append({key: found[key] for key in found.files})
        joined = {key: np.concatenate([part[key] for part in parts]) for key in ("frames", "tokens", "actions", "seen", "alike", "starts")}
        self.frames, self.tokens, self.actions = joined["frames"], joined["tokens"], joined["actions"]
        self.seen, self.alike, self.starts = joined["seen"], joined["alike"], joined["starts"]
        self.length = self.frames.shape[1]

    def steps(self, rng: np.random.Generator, real: ClipSampler, count: int) -> OwnSteps:
        """So many steps after the prompts, drawn at random; `real` reads the dataset that the rollouts were made from."""
        rows = rng.integers(len(self.starts), size=count)
        moments = rng.integers(PROMPT_FRAMES - 1, self.length - 1, size=count)
        after = real.read(self.starts[rows] + real.skip * (moments + 1), 1).frames[:, 0]
        return OwnSteps(self.frames[rows, moments], self.tokens[rows, moments], after, self.alike[rows, moments + 1])
