"""The latent action model: from frames alone, which of `A` things happened between two neighbours (Genie, section 2.1).

The same autoencoder as the tokenizer with one global code: the encoder sees frames t-1, t and t+1, the decoder repaints t+1
from t-1, t and the code. Because the decoder can see the speed already, the code is left with what changed it: the action.
Collapse is cured by a VQ codebook (van den Oord 2017) with data initialisation, LayerNorm before it, EMA updates and dead-code
restarts (Dhariwal 2020), kept in float32.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize

from genie.configs import LatentActionConfig
from tokenizer.layers import Decoder, Pyramid

DIVERSITY_WEIGHT = 0.03  # of the entropy of the mean code distribution: keeps rare codes in use


class LatentActionModel(nn.Module):
    """(frames t-1, t, t+1) -> one of A codes -> frame t+1."""

    SCALES = 3

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        self.config = config
        height, width = config.resolution
        self.grid = (height // 16, width // 16)
        positions = self.grid[0] * self.grid[1]
        self.encoder = Pyramid(9, config.width, config.blocks, self.SCALES)
        self.to_code = nn.Sequential(
            nn.Flatten(),
            nn.Linear(config.width * positions, 4 * config.code_width),
            nn.SiLU(),
            nn.Linear(4 * config.code_width, config.code_width),
            nn.LayerNorm(config.code_width, elementwise_affine=False),
        )
        self.quantizer = VectorQuantize(
            dim=config.code_width,
            codebook_size=config.actions,
            decay=0.99,
            kmeans_init=True,
            threshold_ema_dead_code=1,
            commitment_weight=0.25,
            codebook_diversity_loss_weight=DIVERSITY_WEIGHT,
            codebook_diversity_temperature=4.0,
            rotation_trick=False,
        )
        self.decoder = Decoder(
            code_width=config.code_width,
            cells=positions,
            width=config.width,
            blocks=config.blocks,
            past_blocks=config.blocks,
            scales=self.SCALES,
            context_frames=2,
        )

    def forward(self, before: Tensor, frame: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """float [B, 3, H, W] three times -> painted `after`, codes int64 [B], commitment loss."""
        latent = self._latent(before, frame, after)
        with torch.autocast(latent.device.type, enabled=False):
            quantised, codes, commitment = self.quantizer(latent)
        return self.decode(before, frame, quantised), codes, commitment.sum()

    def infer(self, before: Tensor, frame: Tensor, after: Tensor) -> Tensor:
        """Codes int64 [B] of what happened between `frame` and `after`; `before` = `frame` where there is none."""
        latent, codebook = self._latent(before, frame, after), self.quantizer.codebook
        return (codebook.square().sum(-1) - 2 * latent @ codebook.T).argmin(dim=-1)

    def decode(self, before: Tensor, frame: Tensor, code: Tensor) -> Tensor:
        """Paint the next frame from two frames and a code vector [B, code_width]."""
        spread = code[:, :, None, None].expand(-1, -1, *self.grid)
        return self.decoder(spread, torch.cat([before, frame], dim=1))

    def _latent(self, before: Tensor, frame: Tensor, after: Tensor) -> Tensor:
        features = self.encoder(torch.cat([before, frame, after], dim=1))[-1]
        return self.to_code(F.silu(features)).float()
