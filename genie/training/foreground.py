"""What stands before a still background: a ball, a paddle. Few pixels, and all that the game is about.

Under a still camera nearly every pixel of nearly every frame is what it always is, and a mean over all of them is lowest for a model
that paints the background and nothing else. So the background is found first, as the median over frames from all of the data, and what
differs from it counts as much as all the rest together. Where the camera moves, most pixels differ from any one picture, and each counts
the same.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from genie.data.clips import ClipSampler
from genie.metrics import CHANGED_LEVELS
from tokenizer.model import to_float

FRAMES = 256  # from all over the data
STILL_SHARE = 0.1  # of the pixels differ from the background, at most, under a still camera
LEAST_SHARE = 0.002  # a smaller share counts as this one: bounds the weight


class Foreground:
    """Weights of the pixels in a loss: float [B, 1, H, W] with a mean of about 1, or nothing to do where the camera moves."""

    def __init__(self, frames: np.ndarray, device: str | torch.device = "cpu") -> None:
        """`frames` uint8 [N, H, W, 3] come from all over the data."""
        background = torch.from_numpy(np.median(frames, axis=0).astype(np.uint8))
        self.background = to_float(background).to(device)
        self.share = self._differs(to_float(torch.from_numpy(frames).to(device))).float().mean().item()
        self.still = 0 < self.share <= STILL_SHARE

    @classmethod
    def of(cls, sampler: ClipSampler, device: str | torch.device = "cpu") -> Foreground:
        """Of the data that a sampler reads."""
        return cls(sampler.read(sampler.spread_starts(FRAMES), 1).frames[:, 0], device)

    def weight(self, *frames: Tensor, background: Tensor | None = None) -> Tensor | float:
        """Of a loss over pixels, from the frames float [B, 3, H, W] in [-1, 1] that it compares: more where any differs from the
        background. Windows of frames come with the background of each."""
        if not self.still:
            return 1.0
        differs = torch.stack([self._differs(frame.detach(), background) for frame in frames]).any(0)
        share = self.share if background is None else differs.float().mean().item()
        return 0.5 + 0.5 / max(share, LEAST_SHARE) * differs

    def windows(self, frames: Tensor, side: int, grid: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """A square of each frame that has something in it, if the frame has: float [B, 3, H, W] -> [B, 3, side, side]; and its background.

        They begin at multiples of `grid` pixels, and `side` is one.
        """
        batch, _, height, width = frames.shape
        chance = torch.rand((batch, height * width), generator=generator).to(frames.device)
        chosen = (self._differs(frames).flatten(1) + chance).argmax(1)  # any pixel that differs, else any at all
        shift = torch.randint(side // grid, (2, batch), generator=generator).to(frames.device)
        cuts = []
        for full, place, moved in ((height, chosen // width, shift[0]), (width, chosen % width, shift[1])):
            first = ((place // grid - moved) * grid).clamp(0, full - side)
            cuts.append(first[:, None] + torch.arange(side, device=frames.device))
        both = torch.stack([frames, self.background.expand_as(frames)])
        index = torch.arange(batch, device=frames.device)[:, None, None]
        cut = both.permute(1, 3, 4, 0, 2)[index, cuts[0][:, :, None], cuts[1][:, None]]  # [B, side, side, 2, 3]
        frame, background = cut.permute(3, 0, 4, 1, 2).unbind(0)
        return frame, background

    def cells(self, frames: Tensor, side: int) -> Tensor:
        """Where something is or has just been: float [B, T + 1, 3, H, W] -> bool [B, T, H / side, W / side], of the last T frames."""
        differs = self._differs(frames.flatten(0, 1)).float()
        there = F.max_pool2d(differs, side)[:, 0].unflatten(0, frames.shape[:2]) > 0
        return there[:, 1:] | there[:, :-1]

    def _differs(self, frames: Tensor, background: Tensor | None = None) -> Tensor:
        background = self.background if background is None else background
        return (frames.float() - background).abs().amax(dim=1, keepdim=True) > CHANGED_LEVELS / 127.5
