"""A world's weights as torch models: read from its bundle with every shape checked, and made ready to be written there."""

from __future__ import annotations

import math
import struct

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from torch import Tensor, nn

from genie.bundle import MODELS, Bundle, Manifest
from genie.dynamics import Dynamics
from genie.errors import WorldFormatError
from genie.latent_actions import LatentActionModel
from tokenizer.model import VideoTokenizer

BYTES_OF_WEIGHT = 2  # float16, the smallest that is written


def load_models(bundle: Bundle) -> tuple[VideoTokenizer, LatentActionModel, Dynamics]:
    """The three models with their weights, float32, in evaluation mode."""
    manifest = bundle.manifest
    for name, least in _least_parameters(manifest).items():  # a small file must not ask for a huge model to be built
        if manifest.files[f"{name}.safetensors"].size < BYTES_OF_WEIGHT * least:
            raise WorldFormatError(f"{bundle.path}/{name}.safetensors is smaller than its configuration needs; get the world again.")
    models = (
        VideoTokenizer(manifest.tokenizer),
        LatentActionModel(manifest.latent_actions),
        Dynamics(manifest.dynamics, manifest.tokenizer),
    )
    for name, model in zip(MODELS, models, strict=True):
        model.load_state_dict(_weights(bundle, name, model))
        model.eval()
    return models


def _weights(bundle: Bundle, name: str, model: nn.Module) -> dict[str, Tensor]:
    """One model's tensors, checked against the configured shapes."""
    file = f"{name}.safetensors"
    wanted = {key: (tuple(value.shape), value.dtype) for key, value in model.state_dict().items()}
    limit = sum(8 * math.prod(shape) for shape, _ in wanted.values()) + 2**20
    if bundle.manifest.files[file].size > limit:
        raise WorldFormatError(f"{bundle.path}/{file} is larger than its configuration allows; get the world again.")
    try:
        tensors = load_safetensors(bundle.read(file))
    except (SafetensorError, ValueError, struct.error) as error:
        raise WorldFormatError(f"{bundle.path}/{file} is not a safetensors file ({error}); get the world again.") from error
    if tensors.keys() != wanted.keys():
        odd = sorted(tensors.keys() ^ wanted.keys())
        raise WorldFormatError(f"{bundle.path}/{file}: tensors missing or unknown: {', '.join(odd[:3])}; export the world again.")
    for key, (shape, dtype) in wanted.items():
        if tuple(tensors[key].shape) != shape:
            raise WorldFormatError(
                f"{bundle.path}/{file}: {key} has shape {list(tensors[key].shape)}, its configuration needs {list(shape)}; "
                f"export the world again."
            )
        tensors[key] = tensors[key].to(dtype)
        if not torch.isfinite(tensors[key]).all():
            raise WorldFormatError(f"{bundle.path}/{file}: {key} has NaN or infinite weights; train or export the world again.")
    return tensors


def _least_parameters(manifest: Manifest) -> dict[str, int]:
    """Parameters that each model has at the very least: those of its layers that a configuration can make large."""
    tokenizer, latent, dynamics = manifest.tokenizer, manifest.latent_actions, manifest.dynamics
    summary = 0 if tokenizer.local else 2 * tokenizer.width * tokenizer.codes * len(tokenizer.levels) * tokenizer.positions
    latent_positions = 1 if latent.pooled else latent.resolution[0] // 16 * (latent.resolution[1] // 16)
    tables = 2 * tokenizer.codes * tokenizer.vocabulary * dynamics.width
    return {
        "tokenizer": summary + 9 * tokenizer.width**2 * tokenizer.blocks,
        "latent_actions": 4 * latent.code_width * latent.width * latent_positions + 9 * latent.width**2 * latent.blocks,
        "dynamics": 16 * dynamics.layers * dynamics.width**2 + tables,
    }


def half_weights(model: nn.Module) -> dict[str, np.ndarray]:
    """A model's tensors for a bundle; float weights as float16."""
    small = {key: value.half() if value.is_floating_point() else value for key, value in model.state_dict().items()}
    return {key: value.contiguous().cpu().numpy() for key, value in small.items()}
