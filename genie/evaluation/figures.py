"""A judge that has learned what the player's figure looks like, for games that keep it in the middle and give it many looks.

It is trained on real frames of the training levels alone, without labels: somewhere in the middle of each there is the figure, and
nowhere else. What it says of real held-out frames stands beside what it says of a world's, so that one sees how good a judge it is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genie.data.clips import Clips, ClipSampler
from genie.data.store import SplitData
from genie.evaluation.judges import fit

CELL = 2  # pixels a side of one answer
WINDOW = 14  # pixels a side that an answer looks at
MARGIN = 3  # cells around the middle that are asked about neither: the figure reaches into them
ROWS = 32  # frames in a batch
WORST = 24  # cells outside that a frame is punished for: those that look most like a figure
CALIBRATION = 1_000  # training frames that the threshold is found on
LEARNING_RATE, WEIGHT_DECAY, RISING = 3e-3, 0.01, 0.3
NOISE = 0.03  # of the range: so that it judges by looks, not by noise that only real frames have
SEED = 37  # of this judge's own numbers, beside the evaluation's


@dataclass(frozen=True)
class Middle:
    """Where the camera keeps the figure: rows and columns of pixels, each from, to."""

    rows: tuple[int, int]
    columns: tuple[int, int]


class FigureNet(nn.Module):
    """float [B, 3, H, W] in [-1, 1] -> logits [B, H / CELL, W / CELL]: a figure's middle is here."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()

        def seen(channels: int, size: int, stride: int = 1) -> list[nn.Module]:
            return [nn.Conv2d(channels, width, size, stride), nn.GroupNorm(4, width), nn.SiLU()]

        self.layers = nn.Sequential(*seen(3, 6, CELL), *seen(width, 3), *seen(width, 3), nn.Conv2d(width, 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        return self.layers(F.pad(frames, [(WINDOW - CELL) // 2] * 4, mode="replicate"))[:, 0]  # type: ignore[no-any-return]


def train_figures(
    data: SplitData, middle: Middle, steps: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> dict[str, np.ndarray]:
    """The weights of a judge trained on random frames of a split, and the "threshold" from which on a logit is a figure.

    On training frames the threshold is wrong as often about the middle (there is none) as about the rest (there is one).
    """
    torch.manual_seed(seed)
    model = FigureNet()
    sampler = ClipSampler(data, 1, 1, seed + SEED)

    def loss_of(clips: Clips) -> Tensor:
        frames = _floats(clips.frames[:, 0])
        inside, outside = _parts(model(frames + 2 * NOISE * torch.randn(frames.shape)), middle)
        worst = outside.topk(min(WORST, outside.shape[1]), dim=1).values
        return F.softplus(-inside.amax(1)).mean() + F.softplus(worst).mean()

    weights = fit(model, sampler, ROWS, loss_of, steps, LEARNING_RATE, WEIGHT_DECAY, RISING, progress)
    calibration = sampler.spread(min(CALIBRATION, sampler.choices)).frames[:, 0]
    there, elsewhere = figure_logits(weights, calibration, middle)
    tried = np.sort(np.concatenate([there, elsewhere]))
    missed = np.searchsorted(np.sort(there), tried) / len(there)
    seen = 1 - np.searchsorted(np.sort(elsewhere), tried) / len(elsewhere)
    return weights | {"threshold": tried[np.argmin(np.maximum(missed, seen))]}


@torch.inference_mode()
def figure_logits(weights: dict[str, np.ndarray], frames: np.ndarray, middle: Middle, block: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """uint8 [..., H, W, 3] -> the largest logit in the middle and the largest one elsewhere, float32 [...] twice."""
    model = FigureNet()
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items() if key != "threshold"})
    flat = frames.reshape(-1, *frames.shape[-3:])
    found = [[part.amax(1).numpy() for part in _parts(model(_floats(flat[i : i + block])), middle)] for i in range(0, len(flat), block)]
    inside, outside = (np.concatenate(parts).reshape(frames.shape[:-3]) for parts in zip(*found, strict=True))
    return inside, outside


def _floats(frames: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _parts(logits: Tensor, middle: Middle) -> tuple[Tensor, Tensor]:
    """Logits [B, h, w] -> those of the middle [B, M] and those well outside of it [B, N]."""
    (top, bottom), (left, right) = ((low // CELL, -(-high // CELL)) for low, high in (middle.rows, middle.columns))
    outside = torch.ones(logits.shape[1:], dtype=torch.bool)
    outside[max(0, top - MARGIN) : bottom + MARGIN, max(0, left - MARGIN) : right + MARGIN] = False
    return logits[:, top:bottom, left:right].flatten(1), logits[:, outside]
