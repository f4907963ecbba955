"""Where the picture will scroll next: the part of the dynamics that goes first, so that all codes of a frame agree on it.

Offsets are those of `tokenizer.motion`: (rows, columns), int64 [B, 2]. A trail is what went before, int64 [B, K, 3], the newest first:
rows and columns of a scroll, counted from the reach up, and the action that led to it, all plus one; 0 where nothing is known.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tokenizer.layers import Pyramid
from tokenizer.motion import motion_costs

SHARPNESS = 100.0  # initial scale of the costs in the softmax that turns them into a distribution over offsets
FEATURE_WIDTH = 32


def trails(motion: Tensor, actions: Tensor, steps: int, reach: tuple[int, int]) -> Tensor:
    """The trail before every slot of a sequence: motion [B, T, 2] and actions [B, T] -> int64 [B, T, steps, 3]."""
    known = torch.cat([motion + torch.tensor(reach, device=motion.device), actions[..., None]], dim=-1) + 1
    padded = F.pad(known, (0, 0, steps, 0))  # [B, steps + T, 3]
    before = [padded[:, steps - 1 - age : padded.shape[1] - 1 - age] for age in range(steps)]
    return torch.stack(before, dim=2) if before else known[:, :, None][:, :, :0]


class MotionHead(nn.Module):
    """The last two frames [B, 6, H, W] and an action [B] -> logits of the next offset's rows and columns.

    It is told how well every offset explains the step before, so speed is plain to see; features of the frames tell it what is in
    the way. A trail tells it the fractions of a pixel that one step hides.
    """

    def __init__(self, resolution: tuple[int, int], reach: tuple[int, int], actions: int, width: int, trail: int = 0) -> None:
        super().__init__()
        self.reach = reach
        offsets = (2 * reach[0] + 1) * (2 * reach[1] + 1)
        self.features = Pyramid(6, FEATURE_WIDTH, 1, 2)
        self.from_features = nn.Linear(FEATURE_WIDTH * (resolution[0] // 8) * (resolution[1] // 8), width)
        self.sharpness = nn.Parameter(torch.tensor(SHARPNESS))
        self.from_costs = nn.Linear(offsets, width)
        self.from_past = nn.Linear(offsets, width)
        self.from_action = nn.Embedding(actions, width)
        sizes = (2 * reach[0] + 2, 2 * reach[1] + 2, actions + 1)
        self.from_trail = nn.ModuleList(nn.Embedding(trail * size, width) for size in sizes if trail)
        for table in self.from_trail:
            nn.init.zeros_(table.get_parameter("weight"))
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, sum(2 * limit + 1 for limit in reach))

    def forward(self, frames: Tensor, actions: Tensor, trail: Tensor) -> tuple[Tensor, Tensor]:
        costs = motion_costs(frames[:, :3], frames[:, 3:], self.reach).flatten(1)
        past = (-self.sharpness * costs).softmax(-1)
        seen = F.silu(self.features(frames)[-1]).flatten(1)
        h = self.from_features(seen) + self.from_costs(F.layer_norm(costs, costs.shape[-1:])) + self.from_past(past)
        h = h + self.from_action(actions)
        for table, past in zip(self.from_trail, trail.unbind(-1), strict=False):
            steps = past.shape[1]
            rows_of = table.get_parameter("weight").shape[0] // steps
            h = h + table(past + rows_of * torch.arange(steps, device=past.device)).sum(1)
        h = self.hidden(F.silu(h))
        rows, columns = self.out(F.silu(h)).split([2 * limit + 1 for limit in self.reach], dim=-1)
        return rows, columns

    def choose(self, logits: tuple[Tensor, Tensor]) -> Tensor:
        """The most likely offset, int64 [B, 2]."""
        return torch.stack([part.argmax(-1) - limit for part, limit in zip(logits, self.reach, strict=True)], dim=1)

    def loss(self, logits: tuple[Tensor, Tensor], motion: Tensor) -> Tensor:
        """Cross-entropy of the offsets that came true, nats for rows and columns together."""
        parts = zip(logits, self.reach, motion.unbind(1), strict=True)
        return sum((F.cross_entropy(part.float(), truth + limit) for part, limit, truth in parts), start=torch.zeros(()))
