"""The dynamics: a space-time transformer that predicts the codes of the next frame (Genie, section 2.1; MaskGIT, Chang 2022).

Slot t of the sequence asks "what does frame t add to frame t-1 under action t?". Its N positions read a convolutional
embedding of the two frames before (so speed is visible) and of frame t-1 moved as the picture will scroll (`genie.motion`), the
codes of frame t where they are already known (MASK elsewhere) and the action. Attention alternates between the positions of
a slot and, causally and at most `context` slots back, the slots of a position. Past slots need no commit pass: training masks
their codes too, so whichever pass came last serves as memory.
Inputs: frames float [B, T, 6, H, W], codes int [B, T, N, G], known bool [B, T, N, G], actions int [B, T], moved float [B, T, 3, H, W].
"""

from __future__ import annotations

import math
from contextlib import nullcontext

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from genie.configs import ROPE_BASE, DynamicsConfig
from genie.motion import MotionHead
from tokenizer.config import PATCH, TokenizerConfig
from tokenizer.layers import Pyramid

NORM_EPSILON = 1e-5


class CodeTable(nn.Module):
    """One vector for each value of each of G codes: a sum over the FSQ digits plus a free part. [G, V, D]."""

    digits: Tensor  # V, sum(levels)

    def __init__(self, tokenizer: TokenizerConfig, width: int) -> None:
        super().__init__()
        groups, vocabulary = tokenizer.codes, tokenizer.vocabulary
        digits = []
        basis = 1
        for level in tokenizer.levels:
            digits.append(F.one_hot(torch.arange(vocabulary) // basis % level, level))
            basis *= level
        self.register_buffer("digits", torch.cat(digits, dim=1).float(), persistent=False)
        self.by_digit = nn.Parameter(torch.randn(groups, sum(tokenizer.levels), width) * width**-0.5)
        self.free = nn.Parameter(torch.zeros(groups, vocabulary, width))

    def forward(self) -> Tensor:
        return self.digits @ self.by_digit + self.free


def rotary(index: Tensor, head_width: int) -> tuple[Tensor, Tensor]:
    """Slot numbers [T] -> cos and sin [T, head_width/2]; angles in float64, so slot 10⁶ is as exact as slot 1."""
    frequency = ROPE_BASE ** -(torch.arange(0, head_width, 2, dtype=torch.float64, device=index.device) / head_width)
    angle = index.double()[:, None] * frequency
    return angle.cos().float(), angle.sin().float()


def rotate(x: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary position embedding (Su et al. 2021) on [..., T, D]."""
    cos, sin = rope
    first, second = x.float().chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1).to(x.dtype)


class Block(nn.Module):
    """Attention in space, attention in time, MLP; each after an RMSNorm that the action scales and shifts."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.context = config.heads, config.context
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=NORM_EPSILON) for _ in range(3))
        self.modulation = nn.Embedding(config.actions, 6 * width)
        self.space_qkv = nn.Linear(width, 3 * width, bias=False)
        self.space_out = nn.Linear(width, width, bias=False)
        self.time_qkv = nn.Linear(width, 3 * width, bias=False)
        self.time_out = nn.Linear(width, width, bias=False)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)
        nn.init.zeros_(self.modulation.weight)
        for layer in (self.space_out, self.time_out, self.down):
            nn.init.normal_(layer.weight, std=0.02 / math.sqrt(2 * config.layers))

    def forward(self, x: Tensor, actions: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        b = x.shape[0]
        shifts = rearrange(self.modulation(actions), "b t (k d) -> k b t 1 d", k=6)

        h = self.norms[0](x) * (1 + shifts[0]) + shifts[1]
        q, k, v = rearrange(self.space_qkv(h), "b t n (k h d) -> k (b t) h n d", k=3, h=self.heads)
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.space_out(rearrange(attended, "(b t) h n d -> b t n (h d)", b=b))

        h = self.norms[1](x) * (1 + shifts[2]) + shifts[3]
        q, k, v = rearrange(self.time_qkv(h), "b t n (k h d) -> k (b n) h t d", k=3, h=self.heads)
        q, k = rotate(q, rope), rotate(k, rope)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))
        x = x + self.time_out(rearrange(attended, "(b n) h t d -> b t n (h d)", b=b))

        h = self.norms[2](x) * (1 + shifts[4]) + shifts[5]
        return x + self.down(F.gelu(self.up(h), approximate="tanh"))


class Dynamics(nn.Module):
    """Predicts the next frame's codes, for whole sequences; `genie.runtime.graphs` makes one frame at a time of it."""

    def __init__(self, config: DynamicsConfig, tokenizer: TokenizerConfig) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        width = config.width
        scales = int(math.log2(tokenizer.stride // PATCH)) + 1
        self.motion: MotionHead | None = None
        if tokenizer.scrolls:
            self.motion = MotionHead(tokenizer.resolution, tokenizer.reach, config.actions, width, config.trail)
        self.frame = Pyramid(6 if self.motion is None else 9, config.frame_width, 1, scales)
        self._folds = [tokenizer.stride // (PATCH << scale) for scale in range(scales)]
        self.frame_out = nn.Conv2d(config.frame_width * sum(fold**2 for fold in self._folds), width, 3, padding=1)
        self.code_in = CodeTable(tokenizer, width)
        self.mask = nn.Parameter(torch.zeros(tokenizer.codes, width))
        self.action = nn.Embedding(config.actions, width)
        self.position = nn.Parameter(torch.randn(tokenizer.positions, width) * 0.02)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(width, eps=NORM_EPSILON)
        self.split = nn.Linear(width, tokenizer.codes * width, bias=False)
        self.code_out = CodeTable(tokenizer, width)
        nn.init.normal_(self.action.weight, std=0.02)

    def input_table(self) -> Tensor:
        """What each value of each code adds to a position, [G, V+1, D]; the last row is MASK."""
        return torch.cat([self.code_in(), self.mask[:, None]], dim=1)

    def expect(self, frames: Tensor, actions: Tensor, trail: Tensor) -> Tensor:
        """Where the picture will scroll in each slot, int64 [B, T, 2].

        It depends on the two frames before, float [B, T, 6, H, W], the action [B, T] and the trail of scrolls [B, T, K, 3].
        """
        if self.motion is None:
            return torch.zeros(*actions.shape, 2, dtype=torch.int64, device=actions.device)
        return self.motion.choose(self.motion(frames.flatten(0, 1), actions.flatten(), trail.flatten(0, 1))).unflatten(0, actions.shape)

    def embed_frames(self, frames: Tensor, moved: Tensor | None) -> Tensor:
        """The two frames before each slot, float [B, T, 6, H, W], and the second of them moved, [B, T, 3, H, W] -> [B, T, N, D]."""
        b = frames.shape[0]
        images = frames.flatten(0, 1)
        if self.motion is not None and moved is not None:
            images = torch.cat([images, moved.flatten(0, 1)], dim=1)
        features = self.frame(images)
        folded = [F.pixel_unshuffle(feature, fold) for feature, fold in zip(features, self._folds, strict=True)]
        h = self.frame_out(F.silu(torch.cat(folded, dim=1)))
        return rearrange(h, "(b t) d h w -> b t (h w) d", b=b)

    def _embed(self, frame_embedding: Tensor, codes: Tensor, known: Tensor, actions: Tensor) -> Tensor:
        table = self.input_table()
        groups, rows, _ = table.shape
        offsets = torch.arange(groups, device=codes.device) * rows
        ids = torch.where(known, codes, rows - 1) + offsets
        code_embedding = F.embedding(ids, rearrange(table, "g v d -> (g v) d")).sum(dim=-2)
        return frame_embedding + code_embedding + self.action(actions)[:, :, None] + self.position

    def _logits(self, x: Tensor) -> Tensor:
        table = self.code_out()
        h = rearrange(self.split(self.norm(x)), "... (g d) -> g (...) d", g=len(table))
        logits = h @ table.to(h.dtype).mT  # g (b t n) v
        return rearrange(logits, "g (b t n) v -> b t n g v", b=x.shape[0], t=x.shape[1])

    def forward(self, frames: Tensor, codes: Tensor, known: Tensor, actions: Tensor, moved: Tensor | None = None) -> Tensor:
        """Logits [B, T, N, G, V]; `moved` may be left out where the tokenizer does nothing about scrolling."""
        x = self._embed(self.embed_frames(frames, moved), codes, known, actions)
        slots = torch.arange(x.shape[1], device=x.device)
        age = slots[:, None] - slots
        mask = torch.zeros(age.shape, device=x.device).masked_fill((age < 0) | (age >= self.config.context), -torch.inf)
        rope = rotary(slots, self.config.head_width)
        # The fused attention's backward pass on a CPU took 43 % of a training step on sequences as short as these.
        plain = sdpa_kernel(SDPBackend.MATH) if x.device.type == "cpu" else nullcontext()
        with plain:
            for block in self.blocks:
                x = block(x, actions, rope, mask)
        return self._logits(x)


def masked_loss(logits: Tensor, codes: Tensor, known: Tensor, weight: Tensor) -> Tensor:
    """Weighted cross-entropy over the codes that were hidden: [B, T, N, G, V], then [B, T, N, G] each -> scalar, nats a code; 0 where none
    of them counts."""
    hidden = ~known
    loss = F.cross_entropy(logits[hidden].float(), codes[hidden], reduction="none")
    return (loss * weight[hidden]).sum() / weight[hidden].sum().clamp_min(1e-6)


def random_known(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Which codes a training sequence shows, [B, T, N, G]: none in half of the slots, all in a tenth (as a prompt does), a
    cosine share in the others (MaskGIT)."""
    b, t, n, g = shape
    shown = 1 - torch.cos(torch.rand((b, t, 1, 1), generator=generator) * math.pi / 2)
    kind = torch.rand((b, t, 1, 1), generator=generator)
    shown = torch.where(kind < 0.5, 0.0, torch.where(kind > 0.9, 1.0, shown))
    return torch.rand((b, t, n, g), generator=generator) < shown
