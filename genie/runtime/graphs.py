"""What runs at play time, as pure functions of tensors: the same modules run eagerly, compiled, captured as CUDA graphs and as ONNX.

Frames are uint8 [B, H, W, 3]; one that will be moved comes with its margin (`tokenizer.mosaic`), [B, H', W', 3]. Nothing here keeps a
state or looks at a value: shapes are static but for the batch B, so a whole step can be captured. N positions, G codes each, V values a
code, D width, L layers, H heads of d channels, R = context - 1 past slots.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genie.dynamics import NORM_EPSILON, Block, Dynamics
from genie.latent_actions import LatentActionModel
from tokenizer import TokenizerConfig
from tokenizer.model import VideoTokenizer, to_float, to_uint8
from tokenizer.motion import move, within

CONFIDENCE_STEPS = 1024.0  # log-probabilities are compared on this grid, so that rounding does not decide which code is surer


class EmbedGraph(nn.Module):
    """The last two frames, the second with its margin, the action int64 [B] and the trail of scrolls int64 [B, K, 3] -> all that a
    slot's passes read of them.

    That is what the positions see, [B, N, D], the scales and shifts that the action puts after every norm, [B, 6L, D], and where the
    picture scrolls, int64 [B, 2]: the given `motion` where that is `forced` (bool []), else where the dynamics expects it to.
    """

    def __init__(self, dynamics: Dynamics, folded: bool = True) -> None:
        """`folded=False` folds in every call: for ONNX, whose runtime does it once when it loads the weights."""
        super().__init__()
        self.dynamics = dynamics
        self._modulation: Tensor | None = None
        if folded:
            with torch.no_grad():
                self._modulation = modulation_table(dynamics)

    def forward(
        self, before: Tensor, frame: Tensor, actions: Tensor, motion: Tensor, forced: Tensor, trail: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if trail is None:  # ONNX has no inputs without elements
            trail = torch.zeros((1, 0, 3), dtype=torch.int64, device=actions.device)
        margin, around = self.dynamics.tokenizer.margin, to_float(frame)
        pair = torch.cat([to_float(before), within(around, margin)], dim=1)[:, None]
        motion = torch.where(forced, motion, self.dynamics.expect(pair, actions[:, None], trail[:, None])[:, 0])
        seen = self.dynamics.embed_frames(pair, move(around, motion, margin)[:, None])[:, 0]
        modulation = self._modulation if self._modulation is not None else modulation_table(self.dynamics)
        embedding = seen + self.dynamics.position + self.dynamics.action(actions)[:, None]
        return embedding, modulation.index_select(0, actions), motion


def modulation_table(dynamics: Dynamics) -> Tensor:
    """What each action puts after the norms, [A, 6L, D]: a scale and a shift for each of a block's three norms, block by block."""
    tables = [block.get_submodule("modulation").get_parameter("weight").unflatten(1, (6, -1)) for block in dynamics.blocks]
    one = torch.tensor([1.0, 0.0] * 3, device=tables[0].device)[:, None]
    return torch.cat([table + one for table in tables], dim=1)


class StoreGraph(nn.Module):
    """Write a slot's keys and values at its place in the ring, where the ring must not leave the device."""

    def forward(
        self, keys: Sequence[Tensor], values: Sequence[Tensor], new_keys: Tensor, new_values: Tensor, place: Tensor
    ) -> tuple[Tensor, ...]:
        """Arguments as of `StepGraph`, `place` int64 [] -> the keys of every layer, then the values."""
        here = torch.arange(keys[0].shape[-1], device=place.device) == place
        stored = [torch.where(here, new.mT, ring) for ring, new in zip(keys, new_keys.unbind(), strict=True)]
        return *stored, *(torch.where(here[:, None], new, ring) for ring, new in zip(values, new_values.unbind(), strict=True))


class PaintGraph(nn.Module):
    """The current frame with its margin, the next one's codes int64 [B, N, G] and how the picture scrolls, int64 [B, 2] -> that frame."""

    def __init__(self, tokenizer: VideoTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, frame: Tensor, codes: Tensor, motion: Tensor) -> Tensor:
        return to_uint8(self.tokenizer.decode(move(to_float(frame), motion, self.tokenizer.config.margin), codes))


class EncodeGraph(nn.Module):
    """A frame with its margin and the next -> codes int64 [B, N, G], what the second adds to the first, and its scroll, int64 [B, 2]."""

    def __init__(self, tokenizer: VideoTokenizer) -> None:
        super().__init__()
        self.tokenizer = tokenizer

    def forward(self, previous: Tensor, frame: Tensor) -> tuple[Tensor, Tensor]:
        margin, before, after = self.tokenizer.config.margin, to_float(previous), to_float(frame)
        motion = self.tokenizer.measure(within(before, margin), after)
        return self.tokenizer.encode(move(before, motion, margin), after), motion


class ActGraph(nn.Module):
    """Three frames in a row -> the latent action between the last two, int64 [B]."""

    def __init__(self, model: LatentActionModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, before: Tensor, frame: Tensor, after: Tensor) -> Tensor:
        return self.model.infer(to_float(before), to_float(frame), to_float(after))


class LayerWeights(NamedTuple):
    """One block with everything multiplied in that does not depend on the input."""

    norms: tuple[Tensor, ...]  # the weights of its three norms, [D] each
    space_qkv: Tensor  # [3D, D], queries already divided by √d
    space_out: Tensor
    time_qkv: Tensor
    time_out: Tensor
    up: Tensor
    up_bias: Tensor
    down: Tensor
    down_bias: Tensor


class StepWeights(NamedTuple):
    """The dynamics, folded."""

    code_in: Tensor  # [G · (V+1), D], the last row of each group is MASK
    layers: tuple[LayerWeights, ...]
    norm: Tensor  # [D]: weight of the last norm
    head: Tensor  # [G · V, D]: the split into groups and the code tables in one matrix


def fold(dynamics: Dynamics) -> StepWeights:
    """Multiply out what is constant at play time."""
    config = dynamics.config
    layers = []
    for block in dynamics.blocks:
        assert isinstance(block, Block)
        space_qkv, time_qkv = (
            torch.cat([qkv.weight[: config.width] * config.head_width**-0.5, qkv.weight[config.width :]])
            for qkv in (block.space_qkv, block.time_qkv)
        )
        layers.append(
            LayerWeights(
                norms=tuple(norm.get_parameter("weight") for norm in block.norms),
                space_qkv=space_qkv, space_out=block.space_out.weight, time_qkv=time_qkv, time_out=block.time_out.weight,
                up=block.up.weight, up_bias=block.up.bias, down=block.down.weight, down_bias=block.down.bias,
            )
        )  # fmt: skip
    code_out = dynamics.code_out()
    split = dynamics.split.weight.unflatten(0, (len(code_out), config.width))
    return StepWeights(
        code_in=dynamics.input_table().flatten(0, 1),
        layers=tuple(layers),
        norm=dynamics.norm.weight,
        head=(code_out @ split).flatten(0, 1),
    )


class StepGraph(nn.Module):
    """One sampling pass over the current slot: the dynamics, and the choice of codes (MaskGIT, Chang et al. 2022, section 3.2).

    With every code known it is the teacher-forced pass that puts a given frame into the context.
    """

    def __init__(self, dynamics: Dynamics, folded: bool = True, dtype: torch.dtype = torch.float32) -> None:
        """`folded=False` folds in every call, as of `EmbedGraph`; `dtype` is that of the matrix products, where folded."""
        super().__init__()
        self.dynamics = dynamics
        self._block = code_block(dynamics.tokenizer)
        self._weights: StepWeights | None = None
        if folded:
            with torch.no_grad():
                self._weights = _cast(fold(dynamics), dtype)

    def forward(
        self,
        embedding: Tensor,
        codes: Tensor,
        known: Tensor,
        modulation: Tensor,
        keys: Sequence[Tensor],
        values: Sequence[Tensor],
        mask: Tensor,
        rope: Tensor,
        noise: Tensor,
        temperature: Tensor,
        order: Tensor,
        keep: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Inputs and outputs.

        Args:
            embedding: [B, N, D], also of `EmbedGraph`.
            codes: int64 [B, N, G]; those not known are ignored.
            known: bool [B, N, G].
            modulation: [B, 6L, D] of `EmbedGraph`.
            keys: of the past slots, [B, N, H, d, R] for each layer.
            values: [B, N, H, R, d] for each layer.
            mask: [R], 0 where a past slot is in the context, -inf elsewhere.
            rope: [2, d], cosines twice and sines twice, the first half of the sines negative.
            noise: [B, 2, N, G] in [0, 1), for the codes and for the order of unmasking.
            temperature: []; 0 draws the most likely code.
            order: [], weight of Gumbel noise on the order.
            keep: int64 [], how many codes of each frame are known after this pass.

        Returns:
            codes and known after the pass, and the slot's own keys and values, [L, B, N, H, 1, d] each.
        """
        logits, new_keys, new_values = self.logits(embedding, codes, known, modulation, keys, values, mask, rope)
        codes, known = choose(logits, codes, known, noise, temperature, order, keep, self._block)
        return codes, known, new_keys, new_values

    def logits(
        self,
        embedding: Tensor,
        codes: Tensor,
        known: Tensor,
        modulation: Tensor,
        keys: Sequence[Tensor],
        values: Sequence[Tensor],
        mask: Tensor,
        rope: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The dynamics alone: logits [B, N, G, V] and the slot's keys and values."""
        config = self.dynamics.config
        heads, groups, vocabulary = config.heads, self.dynamics.tokenizer.codes, self.dynamics.tokenizer.vocabulary
        weights = self._weights if self._weights is not None else fold(self.dynamics)
        row = torch.where(known, codes, vocabulary) + torch.arange(groups, device=codes.device) * (vocabulary + 1)
        x = embedding + F.embedding(row, weights.code_in).sum(dim=-2)
        scales_and_shifts = modulation.split(1, dim=1)  # [B, 1, D] each
        new_keys, new_values = [], []
        for number, layer in enumerate(weights.layers):
            after = scales_and_shifts[6 * number : 6 * number + 6]
            h = _normalised(x, layer.norms[0], *after[:2])
            q, k, v = _linear(h, layer.space_qkv).unflatten(-1, (3 * heads, config.head_width)).transpose(1, 2).split(heads, dim=1)
            attended = F.scaled_dot_product_attention(q, k, v, scale=1.0)  # [B, H, N, d]
            x = x + _linear(attended.transpose(1, 2).flatten(2), layer.space_out)

            h = _normalised(x, layer.norms[1], *after[2:4])
            qk, v = _linear(h, layer.time_qkv).unflatten(-1, (3 * heads, 1, config.head_width)).split([2 * heads, heads], dim=2)
            q, k = _rotate(qk, rope).split(heads, dim=2)  # [B, N, H, 1, d]
            scores = torch.cat([q @ keys[number] + mask, (q * k).sum(-1, keepdim=True)], dim=-1)
            past, own = scores.softmax(-1).split([config.context - 1, 1], dim=-1)
            x = x + _linear((past @ values[number] + own * v).flatten(2), layer.time_out)
            new_keys.append(k)
            new_values.append(v)

            h = _normalised(x, layer.norms[2], *after[4:])
            x = x + _linear(F.gelu(_linear(h, layer.up, layer.up_bias), approximate="tanh"), layer.down, layer.down_bias)
        x = F.rms_norm(x, weights.norm.shape, weights.norm, eps=NORM_EPSILON)
        return _linear(x, weights.head).unflatten(-1, (groups, vocabulary)), torch.stack(new_keys), torch.stack(new_values)


def _normalised(x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return F.rms_norm(x, weight.shape, weight, eps=NORM_EPSILON) * scale + shift


def _cast(weights: StepWeights, dtype: torch.dtype) -> StepWeights:
    """The matrices in another precision; what is added or normalised stays as it is."""
    layers = tuple(LayerWeights(layer.norms, *(value.to(dtype) for value in layer[1:])) for layer in weights.layers)
    return weights._replace(layers=layers, head=weights.head.to(dtype))


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x.to(weight.dtype), weight, bias).to(x.dtype)


def _rotate(x: Tensor, rope: Tensor) -> Tensor:
    """Rotary position embedding (Su et al. 2021) of one slot: [..., d] by [2, d]."""
    first, second = x.chunk(2, dim=-1)
    return x * rope[0] + torch.cat([second, first], dim=-1) * rope[1]


def code_block(tokenizer: TokenizerConfig) -> int:
    """A divisor of V near its square root: `choose` draws among blocks of so many codes first."""
    levels = tokenizer.levels
    return math.prod(levels[: (len(levels) + 1) // 2])


def choose(
    logits: Tensor, codes: Tensor, known: Tensor, noise: Tensor, temperature: Tensor, order: Tensor, keep: Tensor, block: int
) -> tuple[Tensor, Tensor]:
    """Draw every code and fix the surest: logits [B, N, G, V] and the arguments of `StepGraph` -> codes, known."""
    drawn = _draw((logits / temperature.clamp_min(1e-6)).softmax(-1), noise[:, 0], block)
    confidence = logits.log_softmax(-1).gather(-1, drawn[..., None])[..., 0]
    gumbel = -(-noise[:, 1].clamp(1e-6, 1 - 1e-6).log()).log()
    surer = ((confidence + order * gumbel) * CONFIDENCE_STEPS).round()
    surer = torch.where(known, torch.inf, surer).flatten(1)
    index = torch.arange(surer.shape[1], device=surer.device)
    ahead = (surer[:, None] > surer[:, :, None]) | ((surer[:, None] == surer[:, :, None]) & (index < index[:, None]))
    chosen = (ahead.sum(-1) < keep).view_as(known)
    return torch.where(known, codes, drawn), chosen | known


def _draw(probabilities: Tensor, noise: Tensor, block: int) -> Tensor:
    """By inverse CDF: [..., V] and [...] in [0, 1) -> int64 [...].

    First among blocks of `block` codes, then within one: a running sum over all V codes took longer than the attention.
    """
    blocks = probabilities.unflatten(-1, (-1, block))
    mass = blocks.sum(-1)
    reached = mass @ _upper(mass)
    target = noise[..., None] * reached[..., -1:]
    which = _count(reached <= target).clamp_max(mass.shape[-1] - 1)
    codes = blocks.gather(-2, which[..., None].expand(*which.shape, block))[..., 0, :]
    within = _count(codes @ _upper(codes) <= target - (reached - mass).gather(-1, which)).clamp_max(block - 1)
    return (which * block + within)[..., 0]


def _upper(x: Tensor) -> Tensor:
    """The matrix whose product with [..., K] is its running sum."""
    return torch.ones(x.shape[-1], x.shape[-1], device=x.device, dtype=x.dtype).triu()


def _count(x: Tensor) -> Tensor:
    """How many are true, [..., 1]; summed as floats, which is faster than integers."""
    return x.float().sum(-1, keepdim=True).long()
