"""The dynamics: a space-time transformer that predicts the codes of the next frame (Genie, section 2.1; MaskGIT, Chang 2022).

Slot t of the sequence asks "what does frame t add to frame t-1 under action t?". Its N positions read a convolutional
embedding of the two frames before (so speed is visible), the codes of frame t where they are already known (MASK elsewhere) and
the action. Attention alternates between the positions of a slot and, causally and at most `context` slots back, the slots
of a position. Past slots need no commit pass: training masks their codes too, so whichever pass came last serves as memory.
Inputs: frames float [B, T, 6, H, W], codes int [B, T, N, G], known bool [B, T, N, G], actions int [B, T].
"""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext

import torch
from einops import rearrange
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from tokenizer import TokenizerConfig
from tokenizer.config import PATCH
from tokenizer.layers import Pyramid

ROPE_BASE = 100.0  # the slowest rotation turns once in ~600 frames, well past any context


class DynamicsConfig(BaseModel):
    """Shape of a `Dynamics`; the tokenizer's shape comes from its own configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actions: int = Field(ge=1, le=1024)  # rows of the action table: latent ones first, then recorded ones
    width: int = Field(default=256, ge=16, le=2048)
    layers: int = Field(default=6, ge=1, le=48)
    heads: int = Field(default=4, ge=1, le=64)
    context: int = Field(default=12, ge=1, le=256)  # slots a position can look back to, its own included
    frame_width: int = Field(default=64, ge=8, le=512)  # channels of the frame embedding

    @model_validator(mode="after")
    def _fits(self) -> DynamicsConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 2 × heads {self.heads}: heads are rotated in pairs")
        return self


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


class Cache:
    """Keys and values of past slots in a ring of `context` slots: static buffers, nothing is concatenated."""

    def __init__(self, config: DynamicsConfig, batch: int, positions: int, device: torch.device, dtype: torch.dtype) -> None:
        head_width = config.width // config.heads
        shape = (config.layers, batch * positions, config.heads, config.context, head_width)
        self.keys = torch.zeros(shape, device=device, dtype=dtype)
        self.values = torch.zeros(shape, device=device, dtype=dtype)
        self.hidden = torch.full((config.context,), -torch.inf, device=device, dtype=dtype)  # slots not written yet
        self.index = 0  # number of the slot being written

    def open_slot(self) -> int:
        """Make the current slot visible and return its place in the ring."""
        place = self.index % len(self.hidden)
        self.hidden[place] = 0
        return place

    def rewind(self, slots: int) -> None:
        """Forget the last slots; what they had pushed out of the ring stays lost."""
        for _ in range(slots):
            self.index -= 1
            self.hidden[self.index % len(self.hidden)] = -torch.inf

    def copy(self) -> Cache:
        """An independent copy, to the bit."""
        twin = copy.copy(self)
        twin.keys, twin.values, twin.hidden = self.keys.clone(), self.values.clone(), self.hidden.clone()
        return twin


class Block(nn.Module):
    """Attention in space, attention in time, MLP; each after an RMSNorm that the action scales and shifts."""

    def __init__(self, config: DynamicsConfig) -> None:
        super().__init__()
        width = config.width
        self.heads, self.context = config.heads, config.context
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-5) for _ in range(3))
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

    def forward(
        self, x: Tensor, actions: Tensor, rope: tuple[Tensor, Tensor], mask: Tensor, cache: tuple[Cache, int, int] | None
    ) -> Tensor:
        b = x.shape[0]
        shifts = rearrange(self.modulation(actions), "b t (k d) -> k b t 1 d", k=6)

        h = self.norms[0](x) * (1 + shifts[0]) + shifts[1]
        q, k, v = rearrange(self.space_qkv(h), "b t n (k h d) -> k (b t) h n d", k=3, h=self.heads)
        attended = F.scaled_dot_product_attention(q, k, v)
        x = x + self.space_out(rearrange(attended, "(b t) h n d -> b t n (h d)", b=b))

        h = self.norms[1](x) * (1 + shifts[2]) + shifts[3]
        q, k, v = rearrange(self.time_qkv(h), "b t n (k h d) -> k (b n) h t d", k=3, h=self.heads)
        q, k = rotate(q, rope), rotate(k, rope)
        if cache is not None:
            ring, layer, place = cache
            ring.keys[layer, :, :, place] = k[:, :, 0]
            ring.values[layer, :, :, place] = v[:, :, 0]
            k, v = ring.keys[layer].to(q.dtype), ring.values[layer].to(q.dtype)
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype))
        x = x + self.time_out(rearrange(attended, "(b n) h t d -> b t n (h d)", b=b))

        h = self.norms[2](x) * (1 + shifts[4]) + shifts[5]
        return x + self.down(F.gelu(self.up(h), approximate="tanh"))


class Dynamics(nn.Module):
    """Predicts the next frame's codes; `forward` for whole sequences, `step` for one frame with a cache."""

    def __init__(self, config: DynamicsConfig, tokenizer: TokenizerConfig) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        self._tables: tuple[Tensor, Tensor] | None = None
        width = config.width
        scales = int(math.log2(tokenizer.stride // PATCH)) + 1
        self.frame = Pyramid(6, config.frame_width, 1, scales)
        self.frame_out = nn.Conv2d(config.frame_width, width, 1)
        self.code_in = CodeTable(tokenizer, width)
        self.mask = nn.Parameter(torch.zeros(tokenizer.codes, width))
        self.action = nn.Embedding(config.actions, width)
        self.position = nn.Parameter(torch.randn(tokenizer.positions, width) * 0.02)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)
        self.split = nn.Linear(width, tokenizer.codes * width, bias=False)
        self.code_out = CodeTable(tokenizer, width)
        nn.init.normal_(self.action.weight, std=0.02)

    def fold_tables(self) -> None:
        """Turn the digit tables into plain ones until the mode changes: call when the weights are final."""
        with torch.no_grad():
            self._tables = (self._input_table(), self.code_out())

    def train(self, mode: bool = True) -> Dynamics:
        """Switch the mode; folded tables are dropped, since weights change in training."""
        self._tables = None
        return super().train(mode)

    def _input_table(self) -> Tensor:
        return torch.cat([self.code_in(), self.mask[:, None]], dim=1)  # G, V+1, D: the last row is MASK

    def embed_frames(self, frames: Tensor) -> Tensor:
        """The two frames before each slot, float [B, T, 6, H, W] -> [B, T, N, D]."""
        b = frames.shape[0]
        h = self.frame_out(F.silu(self.frame(rearrange(frames, "b t c h w -> (b t) c h w"))[-1]))
        return rearrange(h, "(b t) d h w -> b t (h w) d", b=b)

    def _embed(self, frame_embedding: Tensor, codes: Tensor, known: Tensor, actions: Tensor) -> Tensor:
        table = self._tables[0] if self._tables is not None else self._input_table()
        groups, rows, _ = table.shape
        offsets = torch.arange(groups, device=codes.device) * rows
        ids = torch.where(known, codes, rows - 1) + offsets
        code_embedding = F.embedding(ids, rearrange(table, "g v d -> (g v) d")).sum(dim=-2)
        return frame_embedding + code_embedding + self.action(actions)[:, :, None] + self.position

    def _logits(self, x: Tensor) -> Tensor:
        table = self._tables[1] if self._tables is not None else self.code_out()
        h = rearrange(self.split(self.norm(x)), "... (g d) -> g (...) d", g=len(table))
        logits = h @ table.to(h.dtype).mT  # g (b t n) v
        return rearrange(logits, "g (b t n) v -> b t n g v", b=x.shape[0], t=x.shape[1])

    def forward(self, frames: Tensor, codes: Tensor, known: Tensor, actions: Tensor) -> Tensor:
        """Training: logits [B, T, N, G, V] for whole sequences."""
        x = self._embed(self.embed_frames(frames), codes, known, actions)
        slots = torch.arange(x.shape[1], device=x.device)
        age = slots[:, None] - slots
        mask = torch.zeros(age.shape, device=x.device).masked_fill((age < 0) | (age >= self.config.context), -torch.inf)
        rope = rotary(slots, self.config.width // self.config.heads)
        # The fused attention's backward pass on a CPU took 43 % of a training step on sequences as short as these.
        plain = sdpa_kernel(SDPBackend.MATH) if x.device.type == "cpu" else nullcontext()
        with plain:
            for block in self.blocks:
                x = block(x, actions, rope, mask, None)
        return self._logits(x)

    def new_cache(self, batch: int, dtype: torch.dtype = torch.float32) -> Cache:
        """An empty ring for `batch` rollouts."""
        return Cache(self.config, batch, self.tokenizer.positions, self.mask.device, dtype)

    def step(self, frame_embedding: Tensor, codes: Tensor, known: Tensor, actions: Tensor, cache: Cache) -> Tensor:
        """One pass over the current slot: [B, 1, N, D], [B, 1, N, G] twice, [B, 1] -> logits [B, N, G, V].

        Overwrites the slot's keys and values; `cache.index += 1` closes the slot.
        """
        x = self._embed(frame_embedding, codes, known, actions)
        place = cache.open_slot()
        rope = rotary(torch.tensor([cache.index], device=x.device), self.config.width // self.config.heads)
        for layer, block in enumerate(self.blocks):
            x = block(x, actions, rope, cache.hidden[None], (cache, layer, place))
        return self._logits(x)[:, 0]


def masked_loss(logits: Tensor, codes: Tensor, known: Tensor) -> Tensor:
    """Cross-entropy over the codes that were hidden: [B, T, N, G, V], [B, T, N, G] twice -> scalar, nats a code."""
    hidden = ~known
    return F.cross_entropy(logits[hidden].float(), codes[hidden])


def random_known(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Which codes a training sequence shows, [B, T, N, G]: none in half of the slots, all in a tenth (as a prompt does), a
    cosine share in the others (MaskGIT)."""
    b, t, n, g = shape
    shown = 1 - torch.cos(torch.rand((b, t, 1, 1), generator=generator) * math.pi / 2)
    kind = torch.rand((b, t, 1, 1), generator=generator)
    shown = torch.where(kind < 0.5, 0.0, torch.where(kind > 0.9, 1.0, shown))
    return torch.rand((b, t, n, g), generator=generator) < shown
