"""MaskGIT sampling of one frame's codes (Chang et al. 2022, section 3.2): a few passes, surest codes first."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from genie.errors import GenieError


class Sampling(BaseModel):
    """How a frame's codes are drawn; a world has defaults, a rollout may override them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    passes: int = Field(default=2, ge=1, le=64)
    temperature: float = Field(default=0.25, ge=0.0, le=10.0)  # 0 = the most likely code
    schedule: Literal["cosine", "linear"] = "cosine"
    confidence_noise: float = Field(default=0.0, ge=0.0, le=100.0)  # Gumbel noise on the order of unmasking, annealed

    def override(self, values: dict[str, Any]) -> Sampling:
        """The same sampling with some values replaced.

        Raises:
            GenieError: an unknown name or a value out of range.
        """
        try:
            return Sampling.model_validate({**self.model_dump(), **values})
        except ValidationError as error:
            first = error.errors()[0]
            raise GenieError(f"sampling: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error

    def kept_after(self, done: int, total: int) -> int:
        """How many of `total` codes are fixed after `done` passes."""
        if done >= self.passes:
            return total
        part = done / self.passes
        hidden = math.cos(part * math.pi / 2) if self.schedule == "cosine" else 1 - part
        return max(1, min(total, round(total * (1 - hidden))))


def draw(logits: Tensor, noise: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Codes by inverse CDF and their probabilities: logits [..., V], noise [...] in [0, 1) -> int64 [...], float [...]."""
    if temperature == 0.0:
        probability, codes = logits.softmax(-1).max(-1)
        return codes, probability
    probabilities = (logits / temperature).softmax(-1)
    cumulative = probabilities.cumsum(-1)
    codes = torch.searchsorted(cumulative, (noise * cumulative[..., -1])[..., None], right=True)[..., 0]
    codes = codes.clamp(max=logits.shape[-1] - 1)
    return codes, probabilities.gather(-1, codes[..., None])[..., 0]


def unmask(
    codes: Tensor, known: Tensor, drawn: Tensor, probability: Tensor, noise: Tensor, sampling: Sampling, done: int
) -> tuple[Tensor, Tensor]:
    """Fix the surest drawn codes: int64, bool, int64, float, float, each [B, N, G] -> new codes and known."""
    b, n, g = codes.shape
    confidence = probability.clamp_min(1e-9).log()
    if sampling.confidence_noise > 0:
        gumbel = -(-noise.clamp(1e-6, 1 - 1e-6).log()).log()
        confidence = confidence + sampling.confidence_noise * (1 - done / sampling.passes) * gumbel
    confidence = confidence.masked_fill(known, torch.inf)
    keep = sampling.kept_after(done, n * g)
    chosen = torch.zeros((b, n * g), dtype=torch.bool, device=codes.device)
    chosen.scatter_(1, confidence.reshape(b, -1).topk(keep, dim=1).indices, True)
    chosen = chosen.reshape(b, n, g)
    return torch.where(known, codes, drawn), chosen | known
