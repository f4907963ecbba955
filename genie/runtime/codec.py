"""Frames to codes and back with the trained models, without gradients: shared by the engine, training and evaluation."""

from __future__ import annotations

import numpy as np
import torch

from genie.latent_actions import LatentActionModel
from tokenizer import VideoTokenizer, to_float, to_uint8


@torch.no_grad()
def encode(tokenizer: VideoTokenizer, frames: np.ndarray) -> np.ndarray:
    """uint8 [B, T, H, W, 3] -> int64 [B, T-1, N, G]: what each frame adds to the real one before it."""
    x = _floats(tokenizer, frames)
    codes = tokenizer.encode(x[:, :-1].flatten(0, 1), x[:, 1:].flatten(0, 1))
    return codes.unflatten(0, (x.shape[0], -1)).cpu().numpy()


@torch.no_grad()
def decode(tokenizer: VideoTokenizer, frame: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """First frame uint8 [B, H, W, 3] and codes [B, T, N, G] -> the frames they make, uint8 [B, T, H, W, 3]."""
    made = []
    for t in range(codes.shape[1]):
        step = torch.from_numpy(np.ascontiguousarray(codes[:, t])).long().to(_device(tokenizer))
        frame = to_uint8(tokenizer.decode(_floats(tokenizer, frame), step)).cpu().numpy()
        made.append(frame)
    return np.stack(made, axis=1)


@torch.no_grad()
def unrolled(tokenizer: VideoTokenizer, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The round trip on its own output: uint8 [B, T, H, W, 3] -> the same shape (first frame as it is), codes [B, T-1, N, G]."""
    made, codes = [frames[:, 0]], []
    for t in range(1, frames.shape[1]):
        painted, step = tokenizer(_floats(tokenizer, made[-1]), _floats(tokenizer, frames[:, t]))
        made.append(to_uint8(painted).cpu().numpy())
        codes.append(step.cpu().numpy())
    config = tokenizer.config
    none = np.zeros((len(frames), 0, config.positions, config.codes), np.int64)
    return np.stack(made, axis=1), np.stack(codes, axis=1) if codes else none


@torch.no_grad()
def infer_actions(model: LatentActionModel, frames: np.ndarray) -> np.ndarray:
    """uint8 [B, T, H, W, 3] -> int64 [B, T-1]: the latent action between neighbours."""
    found = []
    for clip in frames:  # one by one: a clip's features are large
        x = _floats(model, clip)
        found.append(model.infer(torch.cat([x[:1], x[:-2]]), x[:-1], x[1:]).cpu().numpy())
    return np.stack(found)


def _device(model: torch.nn.Module) -> torch.device:
    return next(model.parameters()).device


def _floats(model: torch.nn.Module, frames: np.ndarray) -> torch.Tensor:
    return to_float(torch.from_numpy(np.ascontiguousarray(frames)).to(_device(model)))
