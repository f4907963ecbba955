"""The convolutional parts that the autoencoders share: residual blocks, a pyramid of scales, and the decoder.

Images are float [B, C, H, W]; the finest scale works on 4×4-pixel patches folded into channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenizer.config import PATCH

SUMMARY_LENGTH = 1.7  # at most, of a steady decoder's summary of the codes, as a vector; on frames of their game others stay below it
USUAL = 0.99  # share of a game's frames whose summaries a centred decoder leaves as they are
KEPT_AT_FIRST = -3.0  # logit of the share of the frame before that a decoder which keeps some begins with: one that begins high stays there


class ResidualBlock(nn.Module):
    """x + conv(silu(FiLM(conv(silu(x))))); starts as the identity. FiLM: Perez et al. 2018."""

    def __init__(self, width: int, condition: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)
        self.film = nn.Linear(condition, 2 * width) if condition else None
        for parameter in self.second.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        h = self.first(F.silu(x))
        if self.film is not None:
            scale, shift = self.film(condition)[..., None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        return x + self.second(F.silu(h))


class Stack(nn.Module):
    """A few residual blocks at one scale."""

    def __init__(self, width: int, blocks: int, condition: int = 0) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ResidualBlock(width, condition) for _ in range(blocks))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, condition)
        return x


class Pyramid(nn.Module):
    """An image [B, C, H, W] -> features at strides 4, 8, 16 …, one a scale, finest first."""

    def __init__(self, channels: int, width: int, blocks: int, scales: int) -> None:
        super().__init__()
        self.patch = nn.Conv2d(channels * PATCH * PATCH, width, 3, padding=1)
        self.stacks = nn.ModuleList(Stack(width, blocks) for _ in range(scales))
        self.downs = nn.ModuleList(nn.Conv2d(width, width, 4, stride=2, padding=1) for _ in range(scales - 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        h = self.stacks[0](self.patch(F.pixel_unshuffle(image, PATCH)))
        features = [h]
        for down, stack in zip(self.downs, self.stacks[1:], strict=True):
            h = stack(down(h))
            features.append(h)
        return features


class Cells(nn.Module):
    """An image [B, C, H, W] -> features [B, D, H/side, W/side] of each square cell by itself: equal cells have equal ones, wherever they
    are and whatever stands beside them. A list of one scale, as a pyramid's.

    Nearly all cells of a still camera show nothing but its background. What they have in common is taken away, and what is left, which is
    little in any one, is brought to a variance of one over all of them: so a ball of two pixels is a strong signal.
    """

    def __init__(self, channels: int, width: int, side: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 4 * width, side, stride=side),
            nn.BatchNorm2d(4 * width),
            nn.SiLU(),
            nn.Conv2d(4 * width, 4 * width, 1),
            nn.SiLU(),
            nn.Conv2d(4 * width, width, 1),
        )

    def forward(self, image: Tensor) -> list[Tensor]:
        return [self.layers(image)]


class Decoder(nn.Module):
    """Code values [B, D, h, w] and the frames before [B, 3·context_frames, H, W] -> frame [B, 3, H, W].

    The frame is painted anew from features of the frames before and of the codes at every scale; each block is
    modulated by a summary of all codes. With `context_frames=0` it paints from the codes alone. `keeps`: of each pixel a share stays as the
    frame before has it, which is the way of fine detail that 4×4-pixel patches of features lose; it begins small. `steady`: the summary is
    kept from getting long. Codes that never came together in training can make one a hundred times as long as any that did, and the
    blocks, which multiply by it in turn, paint a glare. `centred`: once `centre` has told it of its own game's frames, it is kept near
    theirs instead; a summary that is no longer, but of another kind, makes a glare too. `local`: there is no summary, so a code is heard
    a few cells away and no further.
    """

    usual: Tensor
    farthest: Tensor

    def __init__(
        self, code_width: int, cells: int, width: int, blocks: int, past_blocks: int, scales: int, context_frames: int,
        steady: bool = False, keeps: bool = False, local: bool = False, centred: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self._steady = steady
        condition = 0 if local else 2 * width
        self.codes_in = nn.Conv2d(code_width, width, 3, padding=1)
        self.summary: nn.Module | None = None
        if not local:
            self.summary = nn.Sequential(
                nn.Flatten(),
                nn.Linear(code_width * cells, condition),
                nn.SiLU(),
                nn.Linear(condition, condition),
                nn.SiLU(),
            )
        if centred:
            self.register_buffer("usual", torch.zeros(condition))
            self.register_buffer("farthest", torch.full((1,), SUMMARY_LENGTH))
        self._centred = centred
        self.past = Pyramid(3 * context_frames, width, past_blocks, scales) if context_frames else None
        self.stacks = nn.ModuleList(Stack(width, blocks, condition) for _ in range(scales))
        self.ups = nn.ModuleList(nn.Conv2d(width, width * 4, 1) for _ in range(scales - 1))
        self.paint = nn.Conv2d(width, 3 * PATCH * PATCH, 3, padding=1)
        self.keep = nn.Conv2d(width, PATCH * PATCH, 3, padding=1) if keeps else None
        if self.keep is not None:
            with torch.no_grad():
                for parameter, value in zip(self.keep.parameters(), (0.0, KEPT_AT_FIRST), strict=True):
                    parameter.fill_(value)

    def forward(self, values: Tensor, past: Tensor | None, heard: Tensor | None = None) -> Tensor:
        """`heard` [B, D, h, w] are the values that the summary is made of, where they are others: in training some are wrong."""
        return kept(past, *self.parts(values, past, heard))

    @torch.no_grad()
    def centre(self, values: Tensor) -> None:
        """Tell a centred decoder of its game's code values, [B, D, h, w]: the mean of their summaries, and how far all but the rarest are
        from it."""
        if self.summary is not None and self._centred:
            found = self.summary(values)
            self.usual.copy_(found.mean(0))
            self.farthest.copy_((found - self.usual).norm(dim=1).quantile(USUAL))

    @property
    def is_centred(self) -> bool:
        """Whether a centred decoder has been told."""
        return self._centred and bool(self.usual.any())

    @torch.no_grad()
    def uncentre(self) -> None:
        """Forget what a centred decoder was told: its summary is another one now."""
        if self._centred:
            self.usual.zero_()
            self.farthest.fill_(SUMMARY_LENGTH)

    def parts(self, values: Tensor, past: Tensor | None, heard: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """What is painted, and of a decoder that keeps some the logits [B, 1, H, W] of the share of the frame before that stays."""
        condition = None if self.summary is None else self.summary(values if heard is None else heard)
        if condition is not None and self._steady:
            usual, farthest = (self.usual, self.farthest) if self._centred else (0.0, SUMMARY_LENGTH)
            other = condition - usual
            length = other.norm(dim=1, keepdim=True)
            condition = usual + other * (length.clamp_max(farthest) / length.clamp_min(1e-6))  # times exactly 1 where it is near
        h = self.codes_in(values)
        features = self.past(past) if self.past is not None else None
        for scale, stack in enumerate(self.stacks):  # coarse to fine
            if features is not None:
                h = h + features[-1 - scale]
            h = stack(h, condition)
            if scale < len(self.ups):
                h = F.pixel_shuffle(self.ups[scale](h), 2)
        h = F.silu(h)
        painted = F.pixel_shuffle(self.paint(h), PATCH)
        return painted, None if self.keep is None else F.pixel_shuffle(self.keep(h), PATCH)


def kept(past: Tensor | None, painted: Tensor, keep: Tensor | None) -> Tensor:
    """The frame before where the logits say that it stays, else what is painted; that alone where there is no such frame, or no logits."""
    if past is None or keep is None:
        return painted
    share = keep.sigmoid()
    return share * past + (1 - share) * painted
