"""Training state on disk: tensors in safetensors, numbers in its metadata, written to a temporary name and renamed.

`kill -9` at any moment leaves the previous checkpoint whole.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from genie.errors import TrainingError


def save_tensors(path: Path, tensors: dict[str, Tensor], numbers: dict[str, Any]) -> None:
    """Write tensors and JSON numbers as one file, atomically."""
    partial = path.with_name(path.name + ".partial")
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(contiguous, partial, metadata={"numbers": json.dumps(numbers)})
    os.replace(partial, path)


def blended(trained: dict[str, Tensor], begun: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """share · trained + (1 - share) · begun, where both have a weight; what is new or no float stays as trained.

    Weights that lie between those of a model and of the same model trained further often do better than either (Wortsman et al. 2022,
    "Robust fine-tuning of zero-shot models", section 3).
    """
    both = {name for name, value in trained.items() if value.is_floating_point() and name in begun and begun[name].shape == value.shape}
    return {name: begun[name].to(value).lerp(value, share) if name in both else value for name, value in trained.items()}


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
            numbers = json.loads((file.metadata() or {})["numbers"])
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise TrainingError(f"{path} is damaged ({error}); remove it to start this stage again.") from error
    return tensors, numbers


def adopt(model: nn.Module, tensors: dict[str, Tensor]) -> list[str]:
    """Begin with another model's weights wherever they fit; returns the names of those that stay new.

    A convolution that sees more channels than the other one did ignores the new ones at first.
    """
    fresh = []
    with torch.no_grad():
        for name, own in model.state_dict().items():
            theirs = tensors.get(name)
            if theirs is not None and theirs.shape == own.shape:
                own.copy_(theirs)
            elif theirs is not None and own.ndim == 4 and theirs.shape[1] < own.shape[1] and theirs[:, 0].shape == own[:, 0].shape:
                own.zero_()[:, : theirs.shape[1]] = theirs
            else:
                fresh.append(name)
    return fresh


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's per-parameter state, under the parameters' names."""
    return {
        f"{name}.{key}": value for name, parameter in model.named_parameters() for key, value in optimizer.state.get(parameter, {}).items()
    }


def restore_optimizer(model: nn.Module, optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave.

    Moments take the parameter's own memory layout: the fused AdamW walks over memory, not over indices.
    """
    for name, parameter in model.named_parameters():
        if f"{name}.step" in tensors:
            state = optimizer.state[parameter]
            state["step"] = tensors[f"{name}.step"].to(parameter.device)
            for key in ("exp_avg", "exp_avg_sq"):
                state[key] = torch.empty_like(parameter).copy_(tensors[f"{name}.{key}"])
