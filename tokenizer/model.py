"""The autoencoder: (previous frame, frame) -> FSQ codes [B, N, G] -> frame.

In context mode the codes say what the frame adds to the previous one: the encoder sees both, the decoder repaints the frame
from the previous one and the codes. Where the configuration has a reach, the previous frame is to be moved first as the
picture scrolls (`VideoTokenizer.measure`, `tokenizer.motion.move`). In per-frame mode both ignore the previous frame. Frames
between the two halves are float in [-1, 1], channels first; `to_float` and `to_uint8` convert.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from vector_quantize_pytorch import FSQ

from tokenizer.config import TokenizerConfig
from tokenizer.layers import Cells, Decoder, Pyramid
from tokenizer.motion import measure_motion


def to_float(frames: Tensor) -> Tensor:
    """uint8 [..., H, W, 3] -> float32 [..., 3, H, W] in [-1, 1]."""
    # Contiguous always: convolutions round differently for another memory layout, and equal frames must give equal results.
    return rearrange(frames, "... h w c -> ... c h w").contiguous().float() / 127.5 - 1.0


def to_uint8(frames: Tensor) -> Tensor:
    """float [..., 3, H, W] in [-1, 1] -> uint8 [..., H, W, 3], rounded."""
    levels = ((frames.float() + 1.0) * 127.5).round().clamp(0, 255)
    return rearrange(levels, "... c h w -> ... h w c").to(torch.uint8).contiguous()


def round_to_uint8_grid(frames: Tensor) -> Tensor:
    """Round float frames to the 256 levels of a byte; the gradient passes straight through."""
    rounded = ((frames + 1.0) * 127.5).round().clamp(0, 255) / 127.5 - 1.0
    return frames + (rounded - frames).detach()


class VideoTokenizer(nn.Module):
    """Frames <-> codes. In per-frame mode `previous` is accepted and ignored, so both modes have one interface."""

    def __init__(self, config: TokenizerConfig) -> None:
        super().__init__()
        self.config = config
        channels = 6 if config.mode == "context" else 3
        if config.local:
            self.encoder: nn.Module = Cells(channels, config.width, config.code_stride)
        else:
            self.encoder = Pyramid(channels, config.width, config.encoder_blocks, config.scales)
        norm = nn.Identity() if config.local else nn.GroupNorm(8, config.width)  # which looks at the whole picture
        self.to_codes = nn.Sequential(norm, nn.Conv2d(config.width, config.codes_of_cell * len(config.levels), 1))
        self.quantizer = FSQ(list(config.levels), num_codebooks=config.codes_of_cell, keep_num_codebooks_dim=True)
        self.decoder = Decoder(
            code_width=config.codes_of_cell * len(config.levels),
            cells=config.positions * config.fold**2,
            width=config.width,
            blocks=config.blocks,
            past_blocks=config.encoder_blocks,
            scales=config.scales,
            context_frames=1 if config.mode == "context" else 0,
            steady=config.steady,
            keeps=config.keeps,
            local=config.local,
            centred=config.centred,
        )

    def measure(self, previous: Tensor, frame: Tensor) -> Tensor:
        """float [B, 3, H, W] twice -> by how much the picture scrolls between them, int64 [B, 2]."""
        if not self.config.scrolls:
            return torch.zeros(frame.shape[0], 2, dtype=torch.int64, device=frame.device)
        return measure_motion(previous, frame, self.config.reach)

    def quantize(self, previous: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """float [B, 3, H, W] twice -> quantised values [B, D, h, w] (differentiable) and codes int64 [B, N, G]."""
        values, codes = self.cells(previous, frame)
        return values, rearrange(codes, "b (h p) (w q) g -> b (h w) (p q g)", h=self.config.grid[0], **self._fold)

    def cells(self, previous: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Likewise, with the codes where their cells are, int64 [B, h, w, codes of a cell]; local codes come from a picture of any size."""
        image = torch.cat([previous, frame], dim=1) if self.config.mode == "context" else frame
        values = self.to_codes(F.silu(self.encoder(image)[-1])).float()
        rows = values.shape[-2]
        quantised, codes = self.quantizer(rearrange(values, "b d h w -> b (h w) d"))
        return rearrange(quantised, "b (h w) d -> b d h w", h=rows), rearrange(codes, "b (h w) g -> b h w g", h=rows).long()

    def encode(self, previous: Tensor, frame: Tensor) -> Tensor:
        """float [B, 3, H, W] twice -> codes int64 [B, N, G]: what `frame` adds to `previous`."""
        return self.quantize(previous, frame)[1]

    def values(self, codes: Tensor) -> Tensor:
        """codes [B, N, G] -> quantised values [B, D, h, w], one column a cell."""
        values = self.quantizer.implicit_codebook[codes]
        return rearrange(values, "b (h w) (p q g) d -> b (g d) (h p) (w q)", h=self.config.grid[0], **self._fold)

    @property
    def _fold(self) -> dict[str, int]:
        return {"p": self.config.fold, "q": self.config.fold, "w": self.config.grid[1]}

    def decode(self, previous: Tensor, codes: Tensor) -> Tensor:
        """float [B, 3, H, W], codes [B, N, G] -> float [B, 3, H, W] (not yet rounded)."""
        return self.decoder(self.values(codes), previous)

    def forward(self, previous: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        """The round trip: float [B, 3, H, W] twice -> painted frame and codes."""
        quantised, codes = self.quantize(previous, frame)
        return self.decoder(quantised, previous), codes
