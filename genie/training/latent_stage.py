"""Stage two: the latent action model, from frames alone; recorded actions, where there are any, only judge it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from genie.configs import LatentActionConfig
from genie.data.clips import Clips, ClipSampler
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.latent_actions import LatentActionModel
from genie.metrics import majority_accuracy, mutual_information, perplexity, psnr, squared_error
from genie.pictures import grid
from genie.training.foreground import Foreground
from genie.training.loop import Validation
from tokenizer.model import to_float, to_uint8

ABSOLUTE_WEIGHT = 0.2  # of the absolute error beside the squared one
DIRECTION_WEIGHT = 0.2  # of the nats by which codes miss where the picture goes


@dataclass(frozen=True)
class LatentData:
    """What the stage reads."""

    rows: int = 16
    skip: int = 2
    seed: int = 0
    validation_clips: int = 128
    validation_frames: int = 17


class LatentObjective:
    """Reconstruct frame t+1 from frames t-1, t and one code of what happened."""

    name = "latent_actions"
    key_metric = "codes_in_use"

    def __init__(self, dataset: Dataset, config: LatentActionConfig, data: LatentData, device: str | torch.device = "cpu") -> None:
        torch.manual_seed(data.seed)
        self.model = LatentActionModel(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._data, self._device = data, device
        self._names = dataset.info.action_names
        self._sampler = ClipSampler(dataset.split("train"), 3, data.skip, data.seed + 1)
        self._held_out = ClipSampler(dataset.split("held_out"), data.validation_frames, data.skip, data.seed)
        self._foreground = Foreground.of(self._sampler, device)

    def batch(self, step: int) -> Clips:
        return self._sampler.batch(step, self._data.rows)

    def loss(self, batch: Clips, generator: torch.Generator) -> tuple[Tensor, dict[str, float], int]:
        before, frame, after = to_float(torch.from_numpy(batch.frames).to(self._device)).unbind(1)
        painted, codes, commitment, direction = self.model(before, frame, after)
        error = painted.float() - after
        squared = error.square().mean()
        weight = self._foreground.weight(after, painted)
        loss = (weight * (error.square() + ABSOLUTE_WEIGHT * error.abs())).mean() + commitment + DIRECTION_WEIGHT * direction
        numbers = {
            "psnr": psnr(127.5**2 * squared.item()),
            "commitment": commitment.item(),
            "codes_in_batch": float(len(torch.unique(codes))),
        }
        if self.model.motion:
            numbers["direction_nats"] = direction.item()
        return loss, numbers, len(after)

    @torch.no_grad()
    def validate(self) -> Validation:
        clips = self._held_out.spread(self._data.validation_clips)
        frames = to_float(torch.from_numpy(clips.frames).to(self._device))
        length = frames.shape[1]
        codes, error, swapped, directions = [], [], [], []
        for t in range(1, length - 1):
            before, frame, after = frames[:, t - 1], frames[:, t], frames[:, t + 1]
            painted, code, _, direction = self.model(before, frame, after)
            other = self.model.quantizer.codebook[(code + 1) % self.model.config.actions]
            codes.append(code.cpu().numpy())
            directions.append(direction.item())
            error.append(squared_error(to_uint8(painted).cpu().numpy(), clips.frames[:, t + 1]))
            swapped.append(squared_error(to_uint8(self.model.decode(before, frame, other)).cpu().numpy(), clips.frames[:, t + 1]))
        found = np.stack(codes, axis=1)
        counts = np.bincount(found.ravel(), minlength=self.model.config.actions)
        metrics = {
            "psnr": psnr(np.stack(error)),
            "psnr_gain_over_wrong_code": psnr(np.stack(error)) - psnr(np.stack(swapped)),
            "codes_in_use": perplexity(counts),
            "rarest_code_share": float(counts.min() / counts.sum()),
            **({"direction_nats": float(np.mean(directions))} if self.model.motion else {}),
            **agreement(found, clips.actions[:, 1:], self._names),
        }
        return Validation(metrics, self._every_code(frames))

    def _every_code(self, frames: Tensor) -> np.ndarray:
        """A few moments, each followed by what every code makes of it: truth, then code 0 … A-1."""
        rows = []
        for clip in frames[:: max(1, len(frames) // 6)][:6]:
            before, frame, after = clip[7:8], clip[8:9], clip[9:10]
            made = [self.model.decode(before, frame, code[None]) for code in self.model.quantizer.codebook]
            rows.append(to_uint8(torch.cat([frame, after, *made])).cpu().numpy())
        return grid(rows)

    def carried(self) -> dict[str, Tensor]:
        return {}

    def restore(self, carried: dict[str, Tensor]) -> None:
        return None


def agreement(codes: np.ndarray, actions: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """How much latent codes int [B, T] say about recorded actions int [B, T]; empty where those are unknown.

    Accuracies count each code as its most frequent label: over all actions, over left / neither / right, and over
    jump / no jump; each beside its base (always the most frequent label).
    """
    known = actions != UNKNOWN_ACTION
    if not names or not known.any():
        return {}
    codes, actions = codes[known], actions[known]
    side = np.array([("right" in n.split("+")) - ("left" in n.split("+")) + 1 for n in names])[actions]
    jump = np.array(["jump" in n.split("+") for n in names]).astype(np.int64)[actions]
    moving = side != 1
    found = {"mutual_information_bits": mutual_information(codes, actions)}
    judged = {"action": (codes, actions), "side": (codes, side), "jump": (codes, jump), "left_or_right": (codes[moving], side[moving])}
    for label, (code, truth) in judged.items():
        if len(np.unique(truth)) > 1:  # a game without jumps has nothing to tell apart
            found[f"{label}_accuracy"] = majority_accuracy(code, truth)
            found[f"{label}_base"] = float(np.bincount(truth).max() / len(truth))
    return found
