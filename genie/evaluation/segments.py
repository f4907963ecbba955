"""A judge that has learned what each pixel shows, for games whose figures and things have many looks.

Such a game is painted twice: as it is played, and once more in flat colours that say what is where
(`genie.evaluation.games.painted_twice`). From the two a small network learns to tell figure, crates and coins in any frame. It learns on
training levels; what it says of real held-out frames stands beside what it says of a world's, so that one sees how good a judge it is.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genie.evaluation.judges import fit

FOLD = 2  # pixels a side that the network takes at once
ROWS = 16  # frames in a batch
LEARNING_RATE, WEIGHT_DECAY, RISING = 4e-3, 0.01, 0.2
RARE = 0.35  # how many times rarer a kind is, to this power, is what its pixels count: 11 times as much where there are 1,000 times fewer
NOISE = 0.03  # of the range: so that it judges by looks, not by noise that only real frames have
SOFT = 0.5  # share of the frames that are blurred more or less: a world's are softer than the game's
SEED = 37  # of this judge's own numbers, beside the evaluation's


class SegmentNet(nn.Module):
    """float [B, 3, H, W] in [-1, 1] -> logits [B, kinds, H, W]; a U-Net (Ronneberger et al. 2015) of two scales."""

    def __init__(self, kinds: int, width: int = 32) -> None:
        super().__init__()

        def seen(channels: int, stride: int = 1) -> list[nn.Module]:
            return [nn.Conv2d(channels, width, 3, stride, padding=1), nn.GroupNorm(4, width), nn.SiLU()]

        self.fine = nn.Sequential(nn.PixelUnshuffle(FOLD), *seen(3 * FOLD**2), *seen(width))
        self.coarse = nn.Sequential(*seen(width, 2), *seen(width), *seen(width))
        self.paint = nn.Sequential(*seen(2 * width), nn.Conv2d(width, kinds * FOLD**2, 1), nn.PixelShuffle(FOLD))

    def forward(self, frames: Tensor) -> Tensor:
        fine = self.fine(frames)
        coarse = F.interpolate(self.coarse(fine), scale_factor=2.0)
        return self.paint(torch.cat([fine, coarse], dim=1))  # type: ignore[no-any-return]


def train_segments(
    frames: np.ndarray, kinds: np.ndarray, count: int, steps: int, seed: int, progress: Callable[[int], None] = lambda done: None
) -> dict[str, np.ndarray]:
    """The weights of a judge trained on frames uint8 [N, H, W, 3] and what their pixels show, uint8 [N, H, W] below `count`."""
    torch.manual_seed(seed + SEED)
    model = SegmentNet(count)
    shares = np.bincount(kinds.ravel(), minlength=count) / kinds.size
    weights = torch.tensor((shares.max() / shares.clip(1 / kinds.size)) ** RARE, dtype=torch.float32)

    def loss_of(rows: np.ndarray) -> Tensor:
        logits = model(_as_worlds_show(_floats(frames[rows])))
        return F.cross_entropy(logits.float(), torch.from_numpy(kinds[rows].astype(np.int64)), weights)

    def batch(step: int) -> np.ndarray:
        return np.random.default_rng([seed, SEED, step]).integers(len(frames), size=ROWS)

    return fit(model, batch, loss_of, steps, LEARNING_RATE, WEIGHT_DECAY, RISING, progress)


@torch.inference_mode()
def segments(weights: dict[str, np.ndarray], frames: np.ndarray, count: int, block: int = 64) -> np.ndarray:
    """What each pixel of uint8 [..., H, W, 3] shows, uint8 [..., H, W]."""
    model = SegmentNet(count)
    model.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()})
    flat = frames.reshape(-1, *frames.shape[-3:])
    found = np.empty(flat.shape[:-1], np.uint8)
    for i in range(0, len(flat), block):
        found[i : i + block] = model(_floats(flat[i : i + block])).argmax(1).numpy()
    return found.reshape(frames.shape[:-1])


def _as_worlds_show(frames: Tensor) -> Tensor:
    """Frames [B, 3, H, W], some of them more or less blurred, and with noise."""
    amount = torch.rand(len(frames), 2)
    amount = torch.where(amount[:, 0] < SOFT, amount[:, 1], 0.0)[:, None, None, None]
    blurred = F.avg_pool2d(F.pad(frames, [1] * 4, mode="replicate"), 3, 1)
    return torch.lerp(frames, blurred, amount) + 2 * NOISE * torch.randn_like(frames)


def _floats(frames: np.ndarray) -> Tensor:
    """uint8 [B, H, W, 3] -> float [B, 3, H, W] in [-1, 1]."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1
