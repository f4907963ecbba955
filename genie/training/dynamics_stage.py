"""Stage three: the dynamics, on the tokenizer's unrolled frames and codes, under latent and recorded actions in equal parts, or one kind.

To be robust to its own mistakes the model sees noisy frames, frames with pieces out of place, wrong codes among the known ones, and
contexts of every kind that it will meet: the tokenizer's own frames (a rollout that goes well), real ones (a prompt) and, where a world is
trained further, its own rollouts (`genie.training.own_rollouts`).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from einops import rearrange
from torch import Tensor, nn

from genie.configs import DynamicsConfig
from genie.data.clips import ClipSampler
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.dynamics import Dynamics, masked_loss, random_known
from genie.errors import TrainingError
from genie.horizons import PROMPT_FRAMES, clips_in_motion, measure
from genie.latent_actions import LatentActionModel
from genie.motion import MotionHead, trails
from genie.pictures import grid
from genie.runtime.actions import ActionTable
from genie.runtime.sampling import Sampling
from genie.runtime.torch_engine import TorchCodec, TorchEngine
from genie.training.chance import normal_like
from genie.training.foreground import Foreground
from genie.training.loop import Validation
from genie.training.own_rollouts import RolloutReader, where_a_figure_is
from genie.training.pieces import damaged, planted
from genie.training.tokens import TokenReader, mixed_actions
from tokenizer import TokenizerConfig
from tokenizer.model import VideoTokenizer, to_float
from tokenizer.motion import move, within

FRAME_NOISE = 0.1  # largest standard deviation of the noise on context frames, frames in [-1, 1]
WRONG_CODES = 0.1  # largest share of the known codes replaced at random
CORRUPTED_SHARE = 0.7  # of the sequences get wrong codes
DAMAGED_SHARE = 0.5  # of the batches have pieces of their context frames replaced
MORE_SCROLLS = 64  # pairs of frames from anywhere that the motion head learns from in each step, beside the sequences
FLAT_WEIGHT = 0.1  # weight of a code whose cell is one grey, before the weights are brought to a mean of one
STILL_WEIGHT = 0.03  # likewise of one whose cell is as it was


@dataclass(frozen=True)
class DynamicsData:
    """What the stage reads."""

    rows: int = 2
    slots: int = 16
    skip: int = 2
    seed: int = 0
    real_share: float = 0.2  # of the batches come from real frames instead of the tokenizer's
    own_share: float = 0.4  # of the batches come from rollouts of the model, where there are any
    planted_share: float = 0.0  # of the batches have pieces planted that stay
    learns: Sequence[str] = ()  # patterns of the weights that learn (`fnmatch`); none: all do
    validation_clips: int = 32
    horizon: int = 10


@dataclass(frozen=True)
class Scrolls:
    """Single steps for the motion head, each with the K before it: the last two frames uint8 [M, 2, H, W, 3], motion int [M, K+1, 2] and
    ids [M, K+1]."""

    frames: np.ndarray
    motion: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True)
class Sequences:
    """A batch: frames uint8 [B, S+2, H, W, 3] (two before the first slot), what the model sees of them [B, S+2, H', W', 3], with its
    margin, tokens [B, S, N, G] or None, ids [B, S]."""

    frames: np.ndarray
    context: np.ndarray
    tokens: np.ndarray | None  # None: encoded on the fly
    actions: np.ndarray
    own: bool = False  # the context is what the model made instead of these frames
    seen: np.ndarray | None = None  # bool [B, S, h, w]: cells of its frames that can be compared
    scrolls: Scrolls | None = None


class DynamicsObjective:
    """Predict the hidden codes of every slot."""

    name = "dynamics"

    def __init__(
        self,
        dataset: Dataset,
        tokens: Path,
        tokenizer: VideoTokenizer,
        latent_actions: LatentActionModel,
        config: DynamicsConfig,
        table: ActionTable,
        data: DynamicsData,
        sampling: Sampling,
        rollouts: Sequence[Path] = (),
        device: str | torch.device = "cpu",
    ) -> None:
        torch.manual_seed(data.seed)
        self.model = Dynamics(config, tokenizer.config).to(device)
        only(self.model, data.learns)
        self._device = device
        self._tokenizer, self._latent_actions = tokenizer.to(device).eval(), latent_actions.to(device).eval()
        self._codec, self._margin = TorchCodec(tokenizer), tokenizer.config.margin
        self._data, self._table, self._sampling = data, table, sampling
        self.key_metric = "psnr_1" if table.latent else "psnr_1_recorded"
        self._tokens = TokenReader(tokens)
        self._own = RolloutReader(rollouts) if rollouts else None
        self._real = ClipSampler(dataset.split("train"), data.slots + 2, data.skip, data.seed)
        self._figure = where_a_figure_is(self._real, self._codec) if rollouts else None
        self._foreground = Foreground.of(ClipSampler(dataset.split("train"), 1, data.skip, data.seed), device)
        held_out = ClipSampler(dataset.split("held_out"), PROMPT_FRAMES + data.horizon, data.skip, data.seed)
        self._held_out = clips_in_motion(held_out, data.validation_clips)

    def batch(self, step: int) -> Sequences:
        rng = np.random.default_rng([self._data.seed, 3, step])
        sequences = self._sequences(rng)
        return sequences if self.model.motion is None else replace(sequences, scrolls=self._scrolls(rng))

    def _sequences(self, rng: np.random.Generator) -> Sequences:
        if self._own is not None and rng.random() < self._data.own_share:
            rows = rng.integers(len(self._own.starts), size=self._data.rows)
            first = rng.integers(self._own.length - self._data.slots - 1, size=self._data.rows)
            moments = first[:, None] + np.arange(self._data.slots + 2)
            real = self._real.read(self._own.starts[rows] + self._data.skip * first, self._data.slots + 2).frames
            rows = rows[:, None]
            own, seen = self._own.frames[rows, moments], self._own.seen[rows, moments[:, 2:]] | self._figure
            return Sequences(real, own, None, self._own.actions[rows, moments[:, 1:-1]], True, seen)
        walks = rng.integers(self._tokens.walks, size=self._data.rows)
        first = rng.integers(-1, self._tokens.length - self._data.slots - 1, size=self._data.rows)  # -1: no frame before
        moments = np.maximum(first[:, None] + np.arange(self._data.slots + 2), 0)
        slots = moments[:, 2:] - 1  # codes and actions of frame t stand at t-1
        latent, recorded = self._tokens.latent[walks[:, None], slots], self._tokens.recorded[walks[:, None], slots]
        actions = mixed_actions(rng, latent, recorded, self._table)
        context = self._tokens.frames[walks[:, None], moments]
        frames = self._codec.without_margin(context)
        if rng.random() < self._data.real_share:
            starts = self._tokens.starts[walks] + self._data.skip * np.maximum(first, 0)
            real = self._real.read(starts, self._data.slots + 2).frames
            frames[...] = real[np.arange(len(walks))[:, None], moments - np.maximum(first, 0)[:, None]]
            return Sequences(frames, context, None, actions)
        return Sequences(frames, context, self._tokens.tokens[walks[:, None], slots], actions)

    def _scrolls(self, rng: np.random.Generator) -> Scrolls:
        steps = self.model.config.trail
        walks = rng.integers(self._tokens.walks, size=(MORE_SCROLLS, 1))
        last = rng.integers(min(max(steps, 1), self._tokens.length - 2), self._tokens.length - 1, size=(MORE_SCROLLS, 1))
        slots = np.maximum(last + np.arange(-steps, 1), 0)
        motion = self._codec.motion(self._tokens.tokens[walks, slots])
        latent, recorded = self._tokens.latent[walks, slots], self._tokens.recorded[walks, slots]
        actions = mixed_actions(rng, latent, recorded, self._table)
        frames = self._codec.without_margin(self._tokens.frames[walks, last + np.array([-1, 0])])
        return Scrolls(np.ascontiguousarray(frames), motion, actions)

    def loss(self, batch: Sequences, generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:
        with torch.autocast(torch.device(self._device).type, enabled=False):  # in full precision, as in play
            frames, context, codes, motion, counts = self._lesson(batch, generator)
        actions = self._there(batch.actions)
        known = random_known(codes.shape, generator).to(self._device)
        amount = torch.rand((len(frames), 1, 1, 1, 1), generator=generator) * FRAME_NOISE
        noisy = context[:, :-1] + amount.to(self._device) * normal_like(context[:, :-1], generator)
        seen_frames = within(noisy, self._margin)
        pairs = torch.cat([seen_frames[:, :-1], seen_frames[:, 1:]], dim=2)
        logits = self.model(pairs, self._corrupt(codes, generator), known, actions, self._moved(noisy[:, 1:], motion))
        weight = self._weight(frames, context[:, 1:-1], motion)
        if counts is not None:
            weight = weight * by_code(counts, self._tokenizer.config)
        loss = masked_loss(logits, codes, known, weight)
        seen = codes.shape[0] * codes.shape[1]
        head = self.model.motion
        if head is None:
            return loss, {}, seen
        trail = trails(motion, actions, self.model.config.trail, head.reach)
        scrolling = head.loss(head(pairs.flatten(0, 1), actions.flatten(), trail.flatten(0, 1)), motion.flatten(0, 1))
        if batch.scrolls is not None:
            scrolling = (scrolling + self._scroll_loss(head, batch.scrolls)) / 2
        return loss + scrolling, {"loss_codes": loss.item(), "loss_motion": scrolling.item()}, seen

    def _weight(self, frames: Tensor, before: Tensor, motion: Tensor) -> Tensor:
        """What each code counts, [B, S, N, G] of mean 1: frames float [B, S+2, 3, H, W], what the model sees before each of the last S of
        them, with its margin [B, S, 3, H', W'], and how that scrolls, int [B, S, 2]."""
        config = self._tokenizer.config
        if not self._foreground.still:
            return (contrast(frames[:, 2:], config) + news(frames[:, 2:], self._moved(before, motion), config)) / 2
        cells = by_code(self._foreground.cells(frames[:, 1:], config.code_stride), config).float()
        return 0.5 + 0.5 * cells / cells.mean().clamp_min(1e-3)

    def _scroll_loss(self, head: MotionHead, scrolls: Scrolls) -> Tensor:
        motion, actions = self._there(scrolls.motion), self._there(scrolls.actions)
        trail = trails(motion, actions, self.model.config.trail, head.reach)[:, -1]
        return head.loss(head(to_float(self._there(scrolls.frames)).flatten(1, 2), actions[:, -1], trail), motion[:, -1])

    @torch.no_grad()
    def _lesson(self, batch: Sequences, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor | None]:
        """What is true, float [B, S+2, 3, H, W], and what the model sees, with its margin; what leads from one to the other: codes
        [B, S, N, G] and motion [B, S, 2]; cells that count, bool [B, S, h, w], or None where all do."""
        frames = to_float(self._there(batch.frames))
        context = to_float(self._there(batch.context))
        plant, damage = (torch.rand(2, generator=generator) < torch.tensor([self._data.planted_share, DAMAGED_SHARE])).tolist()
        if batch.tokens is not None and not plant and not damage:
            shape = batch.tokens.shape[:2]
            flat = self._codec.unpack(batch.tokens.reshape(-1, *batch.tokens.shape[2:]))
            codes, motion = (self._there(part).unflatten(0, shape) for part in flat)
            return frames, context, codes, motion, None
        scroll = self._scroll(frames[:, :-1], frames[:, 1:])
        counts = None if batch.seen is None else self._there(batch.seen)
        if plant:
            view = within(context, self._margin)
            frames, view[...], sudden = planted(frames, view, scroll, generator)
            side = self._codec.code_stride
            foreseen = rearrange(~sudden[:, 2:], "b t (h y) (w x) -> b t h w (y x)", y=side, x=side).all(-1)
            counts = foreseen if counts is None else counts & foreseen
        if damage:
            view = within(context, self._margin)
            view[...] = damaged(view, scroll, generator)
        before, after, motion = context[:, 1:-1], frames[:, 2:], scroll[:, 1:]
        if batch.own:
            # what the model made may stand a pixel off; more than that is a mistake in measuring on a picture that has gone wrong
            own = self._scroll(within(before, self._margin), after)
            motion = torch.where((own - motion).abs().amax(-1, keepdim=True) <= 1, own, motion)
        moved = self._moved(before, motion).flatten(0, 1)
        codes = self._tokenizer.encode(moved, after.flatten(0, 1)).unflatten(0, motion.shape[:2])
        return frames, context, codes, motion, counts

    def _moved(self, context: Tensor, motion: Tensor) -> Tensor:
        """Frames with their margin, float [B, T, 3, H', W'], moved by their offsets [B, T, 2] -> [B, T, 3, H, W]."""
        return move(context.flatten(0, 1), motion.flatten(0, 1), self._margin).unflatten(0, motion.shape[:2])

    def _scroll(self, before: Tensor, after: Tensor) -> Tensor:
        """How the picture moves, float [B, T, 3, H, W] twice -> int64 [B, T, 2]."""
        return self._tokenizer.measure(before.flatten(0, 1), after.flatten(0, 1)).unflatten(0, before.shape[:2])

    def _corrupt(self, codes: Tensor, generator: torch.Generator) -> Tensor:
        """Replace a share of the codes at random, in most of the sequences."""
        amount = torch.rand((len(codes), 2, 1, 1, 1), generator=generator)
        share = torch.where(amount[:, 0] < CORRUPTED_SHARE, amount[:, 1] * WRONG_CODES, 0.0)
        wrong = torch.rand(codes.shape, generator=generator) < share
        random = torch.randint(self._tokenizer.config.vocabulary, codes.shape, generator=generator)
        return torch.where(wrong.to(codes.device), random.to(codes.device), codes)

    def _there(self, array: np.ndarray) -> Tensor:
        """On the device that trains."""
        return torch.from_numpy(array).to(self._device)

    def validate(self) -> Validation:
        engine = TorchEngine(self._tokenizer, self._latent_actions, self.model, self._device)
        clips = self._held_out
        latent, kinds = self._table.latent, {}
        if latent:
            kinds[""] = (engine.codec.infer_actions(clips.frames), np.arange(latent))
        if self._table.recorded and (clips.actions != UNKNOWN_ACTION).all():
            kinds["_recorded"] = (clips.actions + latent, np.arange(latent, self.model.config.actions))
        metrics: dict[str, float] = {}
        shown: list[np.ndarray] = []
        for suffix, (actions, pool) in kinds.items():
            found = measure(engine, self._table, self._sampling, clips.frames, actions, pool)
            steps = sorted({1, min(4, self._data.horizon), self._data.horizon})
            metrics |= {f"psnr_{step}{suffix}": found.psnr_at(step) for step in steps}
            metrics[f"delta_4{suffix}"] = found.delta
            if suffix == next(iter(kinds)):
                metrics |= {f"copy_{step}": found.copy_at(step) for step in steps}
                for truth, made in zip(clips.frames[:6], found.frames[:6], strict=True):
                    shown += [truth, np.concatenate([truth[:PROMPT_FRAMES], made])]
        return Validation(metrics, grid(shown))

    def carried(self) -> dict[str, Tensor]:
        return {}

    def restore(self, carried: dict[str, Tensor]) -> None:
        return None


def only(model: nn.Module, patterns: Sequence[str]) -> None:
    """Let those weights alone learn whose names match one of the patterns; all where there are none.

    Raises:
        TrainingError: a pattern matches none.
    """
    names = {name for name, _ in model.named_parameters()}
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise TrainingError(
                f"dynamics_learns: no weights of the dynamics are called {pattern!r}; there are {', '.join(sorted(names))}."
            )
    for name, weight in model.named_parameters():
        weight.requires_grad_(not patterns or any(fnmatch.fnmatch(name, pattern) for pattern in patterns))


def contrast(frames: Tensor, config: TokenizerConfig) -> Tensor:
    """What each code counts in the loss, float [B, T, 3, H, W] -> [B, T, N, G], mean 1: more where its cell stands out.

    That is the deviation over the cell's pixels and colours: a strong colour counts as well as an edge. Most cells are a dull
    background, whose codes are hard to guess and matter little; a crate is a few cells, and is seen when it is gone.
    """
    deviation = _cells(frames, config).std(dim=-1) + FLAT_WEIGHT
    return (deviation / deviation.mean()).repeat_interleave(config.codes_of_cell, dim=-1)


def news(frames: Tensor, moved: Tensor, config: TokenizerConfig) -> Tensor:
    """What each code counts, float [B, T, 3, H, W] twice -> [B, T, N, G], mean 1: more where a frame shows what the one before, moved
    along, does not.

    A figure that walks, what it hid, a pale copy of it that is to be wiped: a few cells, often of little contrast, by which a world is
    judged. The root of the deviation, so that what comes into view, which is new as a whole and can only be guessed, does not take it all.
    """
    amount = _cells(frames - moved, config).square().mean(dim=-1).pow(0.25) + STILL_WEIGHT
    return (amount / amount.mean()).repeat_interleave(config.codes_of_cell, dim=-1)


def _cells(frames: Tensor, config: TokenizerConfig) -> Tensor:
    """float [B, T, 3, H, W] -> the pixels and colours of each cell [B, T, N, cells of a position, side · side · 3]."""
    side = config.code_stride
    return rearrange(frames, "b t c (h p y) (w q x) -> b t (h w) (p q) (c y x)", p=config.fold, q=config.fold, y=side, x=side)


def by_code(cells: Tensor, config: TokenizerConfig) -> Tensor:
    """What holds of cells, [B, T, h, w], said of their codes: [B, T, N, G]."""
    folded = rearrange(cells, "b t (h p) (w q) -> b t (h w) (p q)", p=config.fold, q=config.fold)
    return folded.repeat_interleave(config.codes_of_cell, dim=-1)
