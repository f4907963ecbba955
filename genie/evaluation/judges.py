"""How the judges learn: small networks, trained as an evaluation needs them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from genie.data.clips import Prefetch
from genie.runtime.torch_engine import gains_by_bf16

B = TypeVar("B")


def fit(
    model: nn.Module,
    batch: Callable[[int], B],
    loss_of: Callable[[B], Tensor | None],
    steps: int,
    learning_rate: float,
    weight_decay: float,
    rising: float,
    progress: Callable[[int], None],
) -> dict[str, np.ndarray]:
    """Train a model in place, in bfloat16 where the processor gains by it; returns its weights.

    Args:
        batch: what is learned from in a step.
        loss_of: of a batch; None where there is nothing to be learned from it.
        rising: share of the steps in which the learning rate still rises.
    """
    optimiser = torch.optim.AdamW(model.parameters(), learning_rate, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=max(2, steps), pct_start=rising)
    batches, bf16 = Prefetch(batch, 0), gains_by_bf16("cpu")
    try:
        for step in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                loss = loss_of(next(batches))
            if loss is not None:
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            schedule.step()
            progress(step + 1)
    finally:
        batches.close()
    return {key: value.numpy() for key, value in model.state_dict().items()}
