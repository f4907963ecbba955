"""Between the stages: what the trained tokenizer and latent action model make of the dataset, ready for the dynamics.

The tokenizer runs unrolled on its own output along walks of `length` frames, so that its codes contain the corrections that
keep a rollout clean. One zarr group a split: frames uint8 `[W, L, H, W, 3]`, codes uint16 `[W, L-1, N, G]`, latent uint8 `[W, L-1]`,
recorded uint8 `[W, L-1]`, starts int64 `[W]`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import zarr
from zarr.codecs import ZstdCodec

from genie.data.clips import ClipSampler
from genie.data.store import SPLITS, Dataset, Split
from genie.errors import TrainingError
from genie.latent_actions import LatentActionModel
from genie.training.tokenizer_stage import unrolled
from tokenizer import VideoTokenizer, to_float

BLOCK = 64  # walks encoded together, and the unit of resuming


@dataclass(frozen=True)
class TokenPlan:
    """How much to encode."""

    train_frames: int = 200_000
    held_out_frames: int = 10_000
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
    """Encode both splits into `path`; goes on after an interruption, does nothing when done.

    Args:
        progress: called with the walks done and the walks wanted.
    """
    group = zarr.open_group(path, mode="a")
    if group.attrs.get("plan", asdict(plan)) != asdict(plan):
        raise TrainingError(f"{path} was made with other settings; remove it or choose another --out.")
    group.attrs["plan"] = asdict(plan)
    wanted = {"train": plan.train_frames, "held_out": plan.held_out_frames}
    total = sum(-(-frames // (plan.length - 1)) for frames in wanted.values())
    done_before = 0
    for name in SPLITS:
        walks = -(-wanted[name] // (plan.length - 1))
        done = int(group.attrs.get(f"done_{name}", 0))  # type: ignore[arg-type]
        sampler = ClipSampler(dataset.split(name), plan.length, plan.skip, plan.seed)
        rng = np.random.default_rng([plan.seed, 11])
        spread = np.linspace(0, sampler.choices - 1, walks).astype(np.int64)
        starts = sampler.start_of(rng.permutation(spread))
        arrays = _arrays(group, name, walks, plan.length, tokenizer, create=done == 0)
        while done < walks:
            block = starts[done : done + BLOCK]
            clips = sampler.read(block)
            with torch.autocast("cpu", torch.bfloat16, enabled=plan.bf16):
                made, codes = unrolled(tokenizer, clips.frames)
            part = slice(done, done + len(block))
            arrays["frames"][part] = made
            arrays["codes"][part] = codes.astype(np.uint16)
            arrays["latent"][part] = infer(latent_actions, clips.frames).astype(np.uint8)
            arrays["recorded"][part] = clips.actions.astype(np.uint8)
            arrays["starts"][part] = block
            done += len(block)
            group.attrs[f"done_{name}"] = done
            progress(done_before + done, total)
        done_before += walks
        progress(done_before, total)


def _arrays(group: zarr.Group, split: Split, walks: int, length: int, tokenizer: VideoTokenizer, create: bool) -> dict[str, zarr.Array]:
    config = tokenizer.config
    shapes: dict[str, tuple[tuple[int, ...], str]] = {
        "frames": ((walks, length, *config.resolution, 3), "uint8"),
        "codes": ((walks, length - 1, config.positions, config.codes), "uint16"),
        "latent": ((walks, length - 1), "uint8"),
        "recorded": ((walks, length - 1), "uint8"),
        "starts": ((walks,), "int64"),
    }
    if create:
        for key, (shape, dtype) in shapes.items():
            chunk = 1 if key == "frames" else BLOCK
            group.create_array(
                f"{split}/{key}", shape=shape, dtype=dtype, chunks=(chunk, *shape[1:]),
                shards=(BLOCK, *shape[1:]) if chunk == 1 else None, compressors=[ZstdCodec(level=1)], overwrite=True,
            )  # fmt: skip
    found = {key: group[f"{split}/{key}"] for key in shapes}
    return {key: value for key, value in found.items() if isinstance(value, zarr.Array)}


@torch.no_grad()
def infer(model: LatentActionModel, frames: np.ndarray) -> np.ndarray:
    """Latent actions between neighbours: uint8 [B, T, H, W, 3] -> int64 [B, T-1]."""
    found = []
    for clip in frames:
        x = to_float(torch.from_numpy(clip))
        found.append(model.infer(torch.cat([x[:1], x[:-2]]), x[:-1], x[1:]).numpy())
    return np.stack(found)


class TokenReader:
    """Sequences of an encoded split, for the dynamics."""

    def __init__(self, path: Path, split: Split) -> None:
        group = zarr.open_group(path, mode="r")[split]
        if not isinstance(group, zarr.Group):
            raise TrainingError(f"{path} is not an encoded dataset; remove it and train again.")
        small = {key: np.asarray(group[key][:]) for key in ("codes", "latent", "recorded", "starts")}  # type: ignore[index]
        self.codes, self.latent = small["codes"], small["latent"]
        self.recorded, self.starts = small["recorded"], small["starts"]
        # Decompressed once: the dynamics reads every walk many times, and random reads from disk would hold it up.
        self.frames = np.asarray(group["frames"][:])  # type: ignore[index]

    @property
    def walks(self) -> int:
        """Number of walks."""
        return len(self.codes)

    @property
    def length(self) -> int:
        """Frames of a walk."""
        return self.frames.shape[1]
