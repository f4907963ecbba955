"""Between the stages: what the trained tokenizer and latent action model make of the dataset, ready for the dynamics.

The tokenizer runs unrolled on its own output along walks of `length` frames, so that its codes contain the corrections that
keep a rollout clean. One zarr group of the training split: frames with their margin uint8 `[W, L, H', W', 3]`, tokens
uint16 `[W, L-1, N, G]`, latent and recorded actions uint8 `[W, L-1]`, starts int64 `[W]`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import zarr
from torch import nn
from zarr.codecs import ZstdCodec

from genie.data.clips import ClipSampler
from genie.data.store import UNKNOWN_ACTION, Dataset
from genie.errors import TrainingError
from genie.latent_actions import LatentActionModel
from genie.runtime.actions import ActionTable
from genie.runtime.torch_engine import TorchCodec, gains_by_bf16
from tokenizer.model import VideoTokenizer

BLOCK = 64  # walks encoded together, and the unit of resuming


@dataclass(frozen=True)
class TokenPlan:
    """How much to encode."""

    frames: int = 200_000
    length: int = 49  # frames of a walk, the first one real
    skip: int = 2
    seed: int = 0
    bf16: bool = True


def encode_dataset(
    dataset: Dataset,
    tokenizer: VideoTokenizer,
    latent_actions: LatentActionModel,
    plan: TokenPlan,
    path: Path,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Encode the training split into `path`; goes on after an interruption, does nothing when done.

    Args:
        progress: called with the walks done and the walks wanted.
    """
    group = zarr.open_group(path, mode="a")
    made_with: dict[str, Any] = {"plan": asdict(plan), "models": fingerprint(tokenizer, latent_actions)}
    if any(group.attrs.get(key, value) != value for key, value in made_with.items()):
        raise TrainingError(f"{path} was made with other settings or models; remove it and train again.")
    for key, value in made_with.items():
        group.attrs[key] = value
    walks = -(-plan.frames // (plan.length - 1))
    done = int(group.attrs.get("done", 0))  # type: ignore[arg-type]
    sampler = ClipSampler(dataset.split("train"), plan.length, plan.skip, plan.seed)
    starts = np.random.default_rng([plan.seed, 11]).permutation(sampler.spread_starts(walks))
    codec = TorchCodec(tokenizer, latent_actions)
    arrays = _arrays(group, walks, plan.length, tokenizer.config.around, codec.token_shape, create=done == 0)
    device = next(tokenizer.parameters()).device
    bf16 = plan.bf16 and gains_by_bf16(device)
    while done < walks:
        block = starts[done : done + BLOCK]
        clips = sampler.read(block)
        with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            made, tokens = codec.unrolled(clips.frames, margin=True)
        part = slice(done, done + len(block))
        arrays["frames"][part] = made
        arrays["tokens"][part] = tokens.astype(np.uint16)
        arrays["latent"][part] = codec.infer_actions(clips.frames).astype(np.uint8)
        arrays["recorded"][part] = clips.actions.astype(np.uint8)
        arrays["starts"][part] = block
        done += len(block)
        group.attrs["done"] = done
        progress(done, walks)
    progress(done, walks)


def mixed_actions(rng: np.random.Generator, latent: np.ndarray, recorded: np.ndarray, table: ActionTable) -> np.ndarray:
    """Ids of the action table, int64 [B, T]: latent codes in half of the rows, recorded actions in the others where they are known.

    Of one kind alone in all rows, where the table has only that.
    """
    share = 0.5 if table.latent and table.recorded else float(table.recorded > 0)
    by_name = (rng.random(len(latent)) < share)[:, None] & (recorded != UNKNOWN_ACTION)
    return np.where(by_name, recorded.astype(np.int64) + table.latent, latent.astype(np.int64))


def fingerprint(*models: nn.Module) -> str:
    """sha256 of the models' weights: tokens of other weights must not be mixed in."""
    digest = hashlib.sha256()
    for model in models:
        for name, value in model.state_dict().items():
            digest.update(name.encode())
            digest.update(value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _arrays(
    group: zarr.Group, walks: int, length: int, size: tuple[int, int], token_shape: tuple[int, int], create: bool
) -> dict[str, zarr.Array]:
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "frames": ((walks, length, *size, 3), "uint8"),
        "tokens": ((walks, length - 1, *token_shape), "uint16"),
        "latent": ((walks, length - 1), "uint8"),
        "recorded": ((walks, length - 1), "uint8"),
        "starts": ((walks,), "int64"),
    }
    if create:
        for key, (shape, dtype) in shapes.items():
            chunk = 1 if key == "frames" else BLOCK
            group.create_array(
                key, shape=shape, dtype=dtype, chunks=(chunk, *shape[1:]),
                shards=(BLOCK, *shape[1:]) if chunk == 1 else None, compressors=[ZstdCodec(level=1)], overwrite=True,
            )  # fmt: skip
    found = {key: group[key] for key in shapes}
    return {key: value for key, value in found.items() if isinstance(value, zarr.Array)}


class TokenReader:
    """What `encode_dataset` made, for the dynamics."""

    def __init__(self, path: Path) -> None:
        group = zarr.open_group(path, mode="r")
        small = {key: np.asarray(group[key][:]) for key in ("tokens", "latent", "recorded", "starts")}  # type: ignore[index]
        self.tokens, self.latent = small["tokens"], small["latent"]
        self.recorded, self.starts = small["recorded"], small["starts"]
        # Decompressed once: the dynamics reads every walk many times, and random reads from disk would hold it up.
        self.frames = np.asarray(group["frames"][:])  # type: ignore[index]

    @property
    def walks(self) -> int:
        """Number of walks."""
        return len(self.tokens)

    @property
    def length(self) -> int:
        """Frames of a walk."""
        return self.frames.shape[1]
