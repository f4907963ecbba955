"""Stage one: the video tokenizer, trained unrolled on its own output.

Each batch row walks along a long clip: three steps a batch with gradients through all of them, and its last frame carried into
the next batch, so the tokenizer meets the errors that it piles up itself and its codes learn to mend them. If asked, pieces
planted where the game never has them come, stay and go: then it keeps what a designer paints, and its own slips too. A tokenizer of single
frames with local codes, under a still camera, learns from windows around what stands before the background instead.

Trained further, its decoder can learn from rollouts of the world too (`genie.training.own_rollouts`), in every second batch: from frames
that the world has made and the codes that it drew for the next, or in half of the rows those that would be right, to the real next frame.
So it meets what it is to paint at play time, and mends it. The encoder then stays as it is, so that those codes keep their meaning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genie.data.clips import Clips, ClipSampler, ClipStream
from genie.data.store import Dataset
from genie.horizons import PROMPT_FRAMES
from genie.metrics import CHANGED_LEVELS, changed_error, perplexity, psnr, squared_error
from genie.pictures import grid
from genie.runtime.torch_engine import TorchCodec
from genie.training.chance import normal_like
from genie.training.foreground import Foreground
from genie.training.loop import Validation
from genie.training.own_rollouts import OwnSteps, RolloutReader, where_a_figure_is
from genie.training.pieces import planted
from tokenizer import TokenizerConfig
from tokenizer.layers import kept
from tokenizer.model import VideoTokenizer, round_to_uint8_grid, to_float, to_uint8
from tokenizer.mosaic import Mosaic
from tokenizer.motion import move

ABSOLUTE_WEIGHT = 0.2  # of the absolute error beside the squared one
QUARTIC_WEIGHT = 1.0  # of the error to the fourth: a lost coin is a few pixels, each wrong by a lot
KEEP_WEIGHT = 0.002  # of the nats by which a decoder misses whether the frame before or its own paint is nearer to the truth
NOISE = 0.1  # largest standard deviation of the noise on the first context frame, frames in [-1, 1]
NOISE_SHARE = 0.3  # of the rows
WINDOW = 32  # pixels a side of what a local tokenizer learns from, under a still camera: around what stands before the background
WINDOWS = 2  # of each frame
WHOLE_SHARE = 0.1  # of its batches are whole frames all the same
HEARSAY = 0.3  # largest share of the cells whose codes the decoder's summary gets wrong
HEARSAY_SHARE = 0.5  # of the rows
OWN_WEIGHT = 0.15  # of the loss over steps of rollouts: its gradients are ten times as long as those of a walk
RIGHT_SHARE = 0.5  # of the steps of rollouts are painted from the codes that would be right
AROUND = 7  # pixels a side of what a pixel stands out from
STANDING_OUT = 12.0  # how much more an error in a step of a rollout costs, for each unit that the true pixel stands out


@dataclass(frozen=True)
class TokenizerData:
    """What the stage reads."""

    rows: int = 6
    unroll: int = 3  # steps a batch, with gradients through all
    walk: int = 16  # batches a row goes on before it jumps
    skip: int = 2
    seed: int = 0
    validation_clips: int = 24
    validation_frames: int = 33
    code_cost: float = 0.0  # of the mean size of code values, beside the loss over pixels
    planted_share: float = 0.0  # of the batches have pieces planted that come, stay and go


class TokenizerObjective:
    """Reconstruct frames from codes and the model's own last frame."""

    name = "tokenizer"
    key_metric = "psnr"

    def __init__(
        self,
        dataset: Dataset,
        config: TokenizerConfig,
        data: TokenizerData,
        rollouts: Sequence[Path] = (),
        device: str | torch.device = "cpu",
    ) -> None:
        torch.manual_seed(data.seed)
        self.model = VideoTokenizer(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._data, self._device = data, device
        self._stream = ClipStream(dataset.split("train"), data.rows, data.unroll, data.walk, data.skip, data.seed)
        self._held_out = ClipSampler(dataset.split("held_out"), data.validation_frames, data.skip, data.seed)
        self._foreground = Foreground.of(ClipSampler(dataset.split("train"), 1, data.skip, data.seed), device)
        self._in_windows = self._foreground.still and config.local and config.mode == "per-frame"
        self._carried = torch.zeros(data.rows, 3, *config.resolution, device=device)
        self._shown = Mosaic.of(np.zeros((data.rows, *config.resolution, 3), np.uint8), config)
        self._own = RolloutReader(rollouts) if rollouts else None
        if self._own is not None:
            self._real = ClipSampler(dataset.split("train"), PROMPT_FRAMES, data.skip, data.seed)
            self._figure = where_a_figure_is(self._real, TorchCodec(self.model))
            self.model.encoder.requires_grad_(False)
            self.model.to_codes.requires_grad_(False)

    def batch(self, step: int) -> tuple[Clips, np.ndarray] | OwnSteps:
        if self._own is None:
            return self._stream.batch(step)
        if step % 2:
            return self._own.steps(np.random.default_rng([self._data.seed, 15, step]), self._real, self._data.rows * self._data.unroll)
        return self._stream.batch(step // 2)

    def loss(self, batch: tuple[Clips, np.ndarray] | OwnSteps, generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:
        if isinstance(batch, OwnSteps):
            return self._own_loss(batch, generator)
        clips, fresh = batch
        frames = to_float(torch.from_numpy(clips.frames).to(self._device))
        previous = torch.where(torch.from_numpy(fresh).to(self._device)[:, None, None, None], frames[:, 0], self._carried)
        shown = self._shown.renewed(fresh, clips.frames[:, 0])
        amount = torch.rand((len(frames), 2, 1, 1, 1), generator=generator)
        amount = torch.where(amount[:, 0] < NOISE_SHARE, amount[:, 1] * NOISE, 0.0)
        previous = previous + amount.to(self._device) * normal_like(previous, generator)
        if self._data.planted_share and torch.rand((), generator=generator) < self._data.planted_share:
            frames, previous = self._planted(frames, previous, generator)
        if self._in_windows and torch.rand((), generator=generator) >= WHOLE_SHARE:
            return self._window_loss(frames.flatten(0, 1), generator)
        loss = torch.zeros((), device=self._device)
        squared, squared_changed = [], []
        for t in range(1, frames.shape[1]):
            motion = self.model.measure(previous.detach(), frames[:, t])
            previous = move(self._with_margin(previous, shown), motion, self.model.config.margin)
            previous = previous.contiguous(memory_format=torch.channels_last)
            values, codes = self.model.quantize(previous, frames[:, t])
            fresh_paint, keep = self.model.decoder.parts(values, previous, hearsay(values, generator))
            painted = kept(previous, fresh_paint, keep)
            error = painted.float() - frames[:, t]
            squared.append(error.square().mean())
            changed = (frames[:, t] - frames[:, t - 1]).abs().amax(dim=1, keepdim=True) > CHANGED_LEVELS / 127.5
            squared_changed.append((error.detach().square() * changed).sum() / (3 * changed.sum()).clamp_min(1))
            loss = loss + (self._foreground.weight(frames[:, t], painted) * penalty(error)).mean()
            loss = loss + self._data.code_cost * values.abs().mean()
            if keep is not None:
                loss = loss + KEEP_WEIGHT * keep_loss(keep, previous, fresh_paint, frames[:, t])
            previous = round_to_uint8_grid(painted.float())
            if any(shown.margin):
                shown = shown.after(motion.cpu().numpy(), to_uint8(previous.detach()).cpu().numpy())
        self._carried, self._shown = previous.detach(), shown
        steps = frames.shape[1] - 1
        used = np.mean([len(torch.unique(codes[..., g])) for g in range(codes.shape[-1])])
        numbers = {
            "psnr": psnr(127.5**2 * torch.stack(squared).mean().item()),
            "psnr_changed_pixels": psnr(127.5**2 * torch.stack(squared_changed).mean().item()),
            "codes_used_in_batch": float(used),
        }
        return loss / steps, numbers, steps * len(frames)

    def _own_loss(self, steps: OwnSteps, generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:
        """The loss over steps of rollouts, where they can be compared with the real game."""
        codec = TorchCodec(self.model)
        there = [torch.from_numpy(part).to(self._device) for part in (*codec.unpack(steps.tokens), steps.counts | self._figure)]
        codes, motion, counts = there
        before, frame = (to_float(torch.from_numpy(frames).to(self._device)) for frames in (steps.before, steps.after))
        previous = move(before, motion, self.model.config.margin).contiguous(memory_format=torch.channels_last)
        right = (torch.rand(len(frame), generator=generator) < RIGHT_SHARE).to(self._device)
        with torch.no_grad(), torch.autocast(torch.device(self._device).type, enabled=False):  # in full precision, as in play
            codes = torch.where(right[:, None, None], self.model.encode(previous, frame), codes)
        fresh_paint, keep = self.model.decoder.parts(self.model.values(codes), previous)
        painted = kept(previous, fresh_paint, keep)
        error = painted.float() - frame
        mask = F.interpolate(counts[:, None].float(), frame.shape[2:])
        counted = (3 * mask.sum()).clamp_min(1)  # values of colours
        weight = mask * (1 + STANDING_OUT * standing_out(frame)) * self._foreground.weight(frame, painted)
        loss = (weight * penalty(error)).sum() / counted
        if keep is not None:
            loss = loss + KEEP_WEIGHT * keep_loss(keep, previous, fresh_paint, frame, mask)
        squared = (mask * error.detach().square()).sum() / counted
        return OWN_WEIGHT * loss, {"psnr_own": psnr(127.5**2 * squared.item())}, len(frame)

    def _with_margin(self, frames: Tensor, shown: Mosaic) -> Tensor:
        """Frames [B, 3, H, W] in the middle of what is around them, [B, 3, H', W']; gradients pass through the frames."""
        rows, columns = shown.margin
        if not rows and not columns:
            return frames
        sides = (columns, columns, rows, rows)
        inside = F.pad(torch.ones_like(frames[:1, :1], dtype=torch.bool), sides)
        return torch.where(inside, F.pad(frames, sides), to_float(torch.from_numpy(shown.around).to(self._device)))

    def _window_loss(self, frames: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:
        """The loss over windows of frames [B, 3, H, W], `WINDOWS` of each."""
        side = min(WINDOW, *frames.shape[2:])
        cut, background = self._foreground.windows(frames.repeat(WINDOWS, 1, 1, 1), side, self.model.config.code_stride, generator)
        cut = cut.contiguous(memory_format=torch.channels_last)
        values, codes = self.model.cells(cut, cut)
        painted = self.model.decoder(values, None)
        error = painted.float() - cut
        weight = self._foreground.weight(cut, painted, background=background)
        loss = (weight * penalty(error)).mean() + self._data.code_cost * values.abs().mean()
        used = np.mean([len(torch.unique(codes[..., g])) for g in range(codes.shape[-1])])
        numbers = {"psnr_windows": psnr(127.5**2 * error.detach().square().mean().item()), "codes_used_in_batch": float(used)}
        return loss, numbers, len(frames)

    @torch.no_grad()
    def _planted(self, frames: Tensor, previous: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pieces in float [B, T, 3, H, W]; those that are there from the first frame on are in the frame before, [B, 3, H, W], too."""
        scroll = self.model.measure(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1)).unflatten(0, (len(frames), -1))
        seen = torch.cat([previous[:, None], frames[:, 1:]], dim=1)
        frames, seen, _ = planted(frames, seen, scroll, generator)
        return frames, seen[:, 0]

    def validate(self) -> Validation:
        truth = self._held_out.spread(self._data.validation_clips).frames
        codec = TorchCodec(self.model)
        made, tokens = codec.unrolled(truth)
        codes = codec.codes(tokens)
        truth_after, made_after = truth[:, 1:], made[:, 1:]
        error = squared_error(made_after, truth_after)
        still = truth[:, :-1]
        counts = [np.bincount(codes[..., g].ravel(), minlength=self.model.config.vocabulary) for g in range(codes.shape[-1])]
        metrics = {
            "psnr": psnr(error),
            "psnr_first_step": psnr(error[:, 0]),
            "psnr_last_8": psnr(error[:, -8:]),
            "psnr_changed_pixels": psnr(changed_error(made_after, truth_after, still)),
            "psnr_copy": psnr(squared_error(still, truth_after)),
            "code_perplexity": float(np.mean([perplexity(c) for c in counts])),
            "codes_used": float(np.mean([(c > 0).mean() for c in counts])),
        }
        rows = [clip[::4] for pair in zip(truth[:6], made[:6], strict=True) for clip in pair]
        return Validation(metrics, grid(rows))

    def carried(self) -> dict[str, Tensor]:
        mosaic = {"mosaic": torch.from_numpy(self._shown.picture), "known": torch.from_numpy(self._shown.known)}
        return {"frames": self._carried, **(mosaic if any(self._shown.margin) else {})}

    def restore(self, carried: dict[str, Tensor]) -> None:
        self._carried = carried["frames"].to(self._device)
        frame = to_uint8(self._carried).cpu().numpy()
        shown = self._shown.showing(frame)
        if "mosaic" in carried:
            shown = replace(shown, picture=carried["mosaic"].numpy(), known=carried["known"].numpy())
        self._shown = shown


def penalty(error: Tensor) -> Tensor:
    """What an error costs, pixel by pixel."""
    return error.square() + ABSOLUTE_WEIGHT * error.abs() + QUARTIC_WEIGHT * error.pow(4)


def standing_out(frames: Tensor) -> Tensor:
    """By how much each pixel differs from those around it, float [B, 3, H, W] in [-1, 1] -> [B, 1, H, W], at most 1.

    By the squared error a coin that may be gone is best half gone, and so it would fade.
    """
    around = F.avg_pool2d(frames, AROUND, stride=1, padding=AROUND // 2, count_include_pad=False)
    return (frames - around).abs().amax(dim=1, keepdim=True).clamp_max(1)


def keep_loss(keep: Tensor, previous: Tensor, painted: Tensor, frame: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy, in nats a pixel, of the logits of what a decoder keeps, [B, 1, H, W], and whether the frame before, [B, 3, H, W], is
    nearer to the truth than what it paints.

    Where both are nearly the same the error alone says nothing to the gate: it stays half open, and each frame is painted over a little
    more softly than the one before. `weight`, [B, 1, H, W]: what each pixel counts.
    """
    missed = [(image.detach().float() - frame).abs().mean(dim=1, keepdim=True) for image in (previous, painted)]
    return F.binary_cross_entropy_with_logits(keep.float(), (missed[0] <= missed[1]).float(), weight)


def hearsay(values: Tensor, generator: torch.Generator) -> Tensor:
    """Code values [B, D, h, w] with those of some cells taken from other rows and places.

    The summary modulates every block, and codes that a dynamics draws come together as none of the real frames' did: it must not hang on
    any few of them.
    """
    rows, _, height, width = values.shape
    amount = torch.rand((rows, 2), generator=generator)
    amount = torch.where(amount[:, 0] < HEARSAY_SHARE, amount[:, 1] * HEARSAY, 0.0)
    wrong = (torch.rand((rows, height, width), generator=generator) < amount[:, None, None]).to(values.device)
    cells = values.detach().permute(0, 2, 3, 1).flatten(0, 2)
    other = cells[torch.randperm(len(cells), generator=generator).to(cells.device)].unflatten(0, (rows, height, width)).permute(0, 3, 1, 2)
    return torch.where(wrong[:, None], other, values)
