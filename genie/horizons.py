"""Rollouts against the truth: from a few real frames, how far is the model's frame from the real one, step by step.

Clips are uint8 `[B, T, H, W, 3]` of held-out levels; the first `PROMPT_FRAMES` are the prompt. Beside every figure stands "copy the
last frame", since on a slow game that scores well too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from genie.data.clips import Clips, ClipSampler
from genie.metrics import changed_pixels, mean_psnr, squared_error
from genie.runtime.actions import ActionTable
from genie.runtime.engine import Engine
from genie.runtime.noise import uniform
from genie.runtime.rollout import BatchRollout
from genie.runtime.sampling import Sampling
from tokenizer.mosaic import moved

PROMPT_FRAMES = 4
MOVING_SHARE = 0.1  # of the pixels must have changed in the prompt's last step for a clip to be "in motion"
BATCH = 32  # rollouts in one forward pass
DELTA_STEPS = 4  # Δ_t PSNR (Genie, section 3) is reported at t = 4


def clips_in_motion(sampler: ClipSampler, count: int) -> Clips:
    """`count` clips spread over the split whose prompt ends in motion, the same on every call.

    Where too few are in motion, those that move most.
    """
    starts = np.unique(sampler.spread_starts(4 * count))
    moving = moving_share(sampler, starts)
    found = np.flatnonzero(moving >= MOVING_SHARE)
    if len(found) < count:
        found = np.sort(np.argsort(-moving, kind="stable")[:count])
    return sampler.read(starts[found[np.linspace(0, len(found) - 1, min(count, len(found))).astype(np.int64)]])


def moving_share(sampler: ClipSampler, starts: np.ndarray) -> np.ndarray:
    """Which share of the pixels the last step of a prompt changes that begins at each of these frames: int [N] -> float [N]."""
    share = np.empty(len(starts))
    for i, start in enumerate(starts):
        before, last = sampler.read(np.array([start]), PROMPT_FRAMES).frames[0, -2:]
        share[i] = changed_pixels(last, before).mean()
    return share


@dataclass(frozen=True)
class Horizon:
    """Squared errors float [B, steps] of rollouts under the true actions, under random ones, and of copying."""

    error: np.ndarray
    random_error: np.ndarray
    copy_error: np.ndarray
    frames: np.ndarray  # uint8 [B, steps, H, W, 3]: the rollouts under the true actions

    def psnr_at(self, step: int) -> float:
        """Mean PSNR in dB of the frame `step` frames on (1 = the next)."""
        return mean_psnr(self.error[:, step - 1])

    def copy_at(self, step: int) -> float:
        """Mean PSNR in dB of the last prompt frame against the frame `step` frames on."""
        return mean_psnr(self.copy_error[:, step - 1])

    @property
    def delta(self) -> float:
        """Δ_4 PSNR in dB: how much better the frame is under the true actions than under random ones."""
        return self.psnr_at(DELTA_STEPS) - mean_psnr(self.random_error[:, DELTA_STEPS - 1])


def measure(
    engine: Engine,
    table: ActionTable,
    sampling: Sampling,
    clips: np.ndarray,
    actions: np.ndarray,
    pool: np.ndarray,
    seed: int = 0,
) -> Horizon:
    """Roll every clip out after its prompt, under its own actions and under random ones from `pool`.

    Args:
        clips: uint8 [B, T, H, W, 3]; the first `PROMPT_FRAMES` are the prompt.
        actions: int [B, T-1], action ids of the table between neighbouring frames.
        pool: int [K], the ids that random actions are drawn from.
    """
    prompts, truth = clips[:, :PROMPT_FRAMES], clips[:, PROMPT_FRAMES:]
    chosen = actions[:, PROMPT_FRAMES - 1 :]
    random = np.random.default_rng([seed, 5]).choice(pool, size=chosen.shape)
    made = roll(engine, table, sampling, prompts, chosen, seed)
    made_random = roll(engine, table, sampling, prompts, random[:, :DELTA_STEPS], seed)
    return Horizon(
        error=squared_error(made, truth),
        random_error=squared_error(made_random, truth[:, :DELTA_STEPS]),
        copy_error=squared_error(np.broadcast_to(prompts[:, -1:], truth.shape), truth),
        frames=made,
    )


def roll(
    engine: Engine,
    table: ActionTable,
    sampling: Sampling,
    prompts: np.ndarray,
    actions: np.ndarray,
    seed: int = 0,
    each: Callable[[BatchRollout], None] = lambda batch: None,
) -> np.ndarray:
    """Frames under given actions: prompts uint8 [B, T, H, W, 3], actions int [B, S] -> uint8 [B, S, H, W, 3].

    Args:
        each: called with the batch of up to `BATCH` rollouts after every step of it.
    """

    def step(batch: BatchRollout, column: np.ndarray) -> np.ndarray:
        frames = batch.step([int(a) for a in column])
        each(batch)
        return frames

    made = []
    for i in range(0, len(prompts), BATCH):
        part = slice(i, i + BATCH)
        batch = BatchRollout.begin(engine, table, sampling, prompts[part], seeds=range(seed + i, seed + i + len(prompts[part])))
        made.append(np.stack([step(batch, column) for column in actions[part].T], axis=1))
    return np.concatenate(made)


def by_rollout(told: list[np.ndarray], steps: int) -> np.ndarray:
    """What `roll` told `each` of every step of every batch, [B', …] each -> [B, steps, …]."""
    return np.concatenate([np.stack(told[i : i + steps], axis=1) for i in range(0, len(told), steps)])


def roll_along(
    engine: Engine,
    table: ActionTable,
    sampling: Sampling,
    prompts: np.ndarray,
    actions: np.ndarray,
    motion: np.ndarray,
    seed: int = 0,
    margin: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Like `roll`, with the picture scrolling as it is told: motion int [B, S, 2], rows down and columns right. All in one batch.

    Args:
        margin: the frames come with their margin, uint8 [B, S, H', W', 3].

    Returns:
        The frames, and the tokens that each was made of.
    """
    batch = BatchRollout.begin(engine, table, sampling, prompts, seeds=range(seed, seed + len(prompts)))
    made, tokens = [], []
    for t in range(actions.shape[1]):
        noise = np.stack([uniform(own, 0, t, (sampling.passes, *engine.noise_shape)) for own in batch.seeds])
        tokens.append(engine.step(batch.state, actions[:, t], noise, sampling, motion[:, t]))
        made.append(batch.state.shown.around if margin else batch.state.frame)
    return np.stack(made, axis=1), np.stack(tokens, axis=1)


def seen_since(motion: np.ndarray, prompt: int, resolution: tuple[int, ...], side: int, known: np.ndarray | None = None) -> np.ndarray:
    """Which cells of every frame show only what the prompt's last frame showed.

    Args:
        motion: int [B, T-1, 2], how the picture scrolls from frame to frame.
        prompt: frames that are all known.
        resolution: (height, width) in pixels.
        side: of a cell, in pixels.
        known: bool [B, H', W'], what is remembered with the prompt's last frame, in the middle of which the picture is
            (`tokenizer.mosaic`): that counts too when it comes back.

    Returns:
        bool [B, T, height/side, width/side].
    """
    seen, _ = seen_and_new(motion, prompt, resolution, side, known)
    return seen


def seen_and_new(
    motion: np.ndarray, prompt: int, resolution: tuple[int, ...], side: int, known: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Like `seen_since`, and which cells of every frame are new in it: bool twice. At least half of such a cell has just come into view
    and is not remembered, neither with the prompt nor since."""
    batch, steps = motion.shape[:2]
    height, width = resolution
    known = np.ones((batch, height, width), np.bool_) if known is None else known
    top, left = (known.shape[1] - height) // 2, (known.shape[2] - width) // 2
    inside = np.s_[:, top : top + height, left : left + width]
    seen = np.ones((batch, steps + 1, height // side, width // side), np.bool_)
    new, shown = np.zeros_like(seen), known.copy()
    for t in range(prompt, steps + 1):
        known, shown = moved(known, motion[:, t - 1]), moved(shown, motion[:, t - 1])
        cells = [view[inside].reshape(batch, height // side, side, width // side, side) for view in (known, shown)]
        seen[:, t], new[:, t] = cells[0].all(axis=(2, 4)), cells[1].mean(axis=(2, 4)) <= 0.5
        shown[inside] = True
    return seen, new
