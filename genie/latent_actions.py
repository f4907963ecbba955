"""The latent action model: from frames alone, which of `A` things happened between two neighbours (Genie, section 2.1).

The same autoencoder as the tokenizer with one global code: the encoder sees frames t-1, t and t+1, the decoder repaints t+1
from t-1, t and the code. Because the decoder can see the speed already, the code is left with what changed it: the action.
Collapse is cured by a VQ codebook (van den Oord 2017) with data initialisation, LayerNorm before it, EMA updates and dead-code
restarts (Dhariwal 2020), kept in float32. Under a still camera almost everything that the encoder sees is always the same, and all
latents are nearly one: there (`spread`) each channel is brought to a variance of one over the batch first, so that what differs counts.

Where the configuration has a reach, a code must also say by itself where the picture goes (`QuarterMotion`): in a first-person game a key
turns the view at a steady speed, so a decoder that sees the speed would not need to be told.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from vector_quantize_pytorch import VectorQuantize

from genie.configs import LatentActionConfig
from tokenizer.layers import Decoder, Pyramid
from tokenizer.motion import measure_motion, motion_costs

DIVERSITY_WEIGHT = 0.03  # of the entropy of the mean code distribution: keeps rare codes in use
QUARTER = 4  # the side of a picture over that of the one its scroll is measured on
SHARPNESS = 100.0  # of the costs in the softmax that turns them into a distribution over offsets


class QuarterMotion(nn.Module):
    """Where the picture goes from one frame to the next, seen on pictures of a quarter of their size: float [B, 3, H, W] in [-1, 1].

    The search of `tokenizer.motion` is exhaustive; on a quarter of the size it reaches four times as far for a fraction of the work. The
    reach is cut to half of the small picture. It serves twice: as features for the encoder, [B, `features`], how likely each row and
    each column offset is; and as a question that the code alone must answer: up, level or down? left, straight or right?
    """

    def __init__(self, config: LatentActionConfig) -> None:
        super().__init__()
        height, width = config.resolution
        self.reach = min(config.reach_rows, height // QUARTER // 2), min(config.reach_columns, width // QUARTER // 2)
        self.features = sum(2 * limit + 1 for limit in self.reach)
        self.answer = nn.Linear(config.code_width, 6)

    def forward(self, frame: Tensor, after: Tensor) -> Tensor:
        """How likely each row offset is, then each column offset."""
        costs = motion_costs(quarter(frame), quarter(after), self.reach)
        likely = (-SHARPNESS * costs).flatten(1).softmax(-1).unflatten(1, costs.shape[1:])
        return torch.cat([likely.sum(2), likely.sum(1)], dim=1)

    def measure(self, frame: Tensor, after: Tensor) -> Tensor:
        """The scroll (rows, columns), int64 [B, 2], in pixels of the small picture."""
        return measure_motion(quarter(frame), quarter(after), self.reach)

    def loss(self, code: Tensor, frame: Tensor, after: Tensor) -> Tensor:
        """Cross-entropy of the directions that a code vector [B, code_width] answers, in nats for rows and columns together."""
        rows, columns = self.answer(code).float().chunk(2, dim=-1)
        directions = self.measure(frame, after).sign() + 1
        return F.cross_entropy(rows, directions[:, 0]) + F.cross_entropy(columns, directions[:, 1])


def quarter(frames: Tensor) -> Tensor:
    """float [B, 3, H, W] -> [B, 3, H/4, W/4]: means over squares of pixels."""
    return F.avg_pool2d(frames, QUARTER)


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
        self.motion = QuarterMotion(config) if config.scrolls else None
        seen = config.width * (1 if config.pooled else positions) + (self.motion.features if self.motion else 0)
        self.to_code = nn.Sequential(
            nn.Flatten(),
            nn.Linear(seen, 4 * config.code_width),
            nn.SiLU(),
            nn.Linear(4 * config.code_width, config.code_width),
            *([nn.BatchNorm1d(config.code_width, affine=False)] if config.spread else []),
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

    def forward(self, before: Tensor, frame: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """float [B, 3, H, W] three times -> painted `after`, codes int64 [B], commitment loss, direction loss (0 without a reach)."""
        latent = self._latent(before, frame, after)
        with torch.autocast(latent.device.type, enabled=False):
            quantised, codes, commitment = self.quantizer(latent)
            direction = self.motion.loss(quantised, frame, after) if self.motion else torch.zeros_like(commitment.sum())
        return self.decode(before, frame, quantised), codes, commitment.sum(), direction

    def infer(self, before: Tensor, frame: Tensor, after: Tensor) -> Tensor:
        """Codes int64 [B] of what happened between `frame` and `after`; `before` = `frame` where there is none."""
        latent, codebook = self._latent(before, frame, after), self.quantizer.codebook
        return (codebook.square().sum(-1) - 2 * latent @ codebook.T).argmin(dim=-1)

    @torch.no_grad()
    def idle(self) -> int:
        """The code that is used most, of those that say that the picture stays where a model can say so."""
        used = self.quantizer._codebook.cluster_size.sum(0)
        if self.motion:
            said = self.motion.answer(self.quantizer.codebook).unflatten(1, (2, 3)).argmax(-1)  # [A, 2]
            stays = (said == 1).all(1)
            used = torch.where(stays, used, used - used.max() - 1) if stays.any() else used
        return int(used.argmax())

    def decode(self, before: Tensor, frame: Tensor, code: Tensor) -> Tensor:
        """Paint the next frame from two frames and a code vector [B, code_width]."""
        spread = code[:, :, None, None].expand(-1, -1, *self.grid)
        return self.decoder(spread, torch.cat([before, frame], dim=1))

    def _latent(self, before: Tensor, frame: Tensor, after: Tensor) -> Tensor:
        features = F.silu(self.encoder(torch.cat([before, frame, after], dim=1))[-1])
        if self.config.pooled:
            features = features.mean((2, 3))
        if self.motion:
            features = torch.cat([features.flatten(1), self.motion(frame, after).to(features.dtype)], dim=1)
        return self.to_code(features).float()
