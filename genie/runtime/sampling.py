"""How a frame's codes are drawn with MaskGIT (Chang et al. 2022, section 3.2): a few passes, surest codes first."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

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
