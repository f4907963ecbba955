"""Chance in training. Every choice is drawn on the CPU, so that a step makes the same ones wherever it runs; noise, of which there is much,
is drawn where it is needed."""

from __future__ import annotations

import torch
from torch import Tensor


def normal_like(x: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal noise of the shape and on the device of `x`; `generator` is one of the CPU."""
    if x.device.type == "cpu":
        return torch.randn(x.shape, generator=generator)
    seed = int(torch.randint(2**62, (), generator=generator))
    return torch.randn(x.shape, generator=torch.Generator(x.device).manual_seed(seed), device=x.device)
