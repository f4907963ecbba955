"""Pieces put into the frames that the dynamics learns from: some to be mended, some to be kept.

What is out of place for one to three frames is a slip, and the next frame shows how to mend it (`damaged`). What stays where it was
put, and scrolls with the picture, belongs to the level from then on, whoever put it there (`planted`): so painted things stay.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tokenizer.motion import move

DAMAGES = 4  # pieces out of place in each sequence
PLANTS = 3  # pieces planted in each sequence, where there is room
TRIES = 8  # places looked at for each
CHOICE = 4  # pieces of which the most striking is planted
STEADY = 0.08  # mean difference from the frame before, moved along, up to which a piece counts as scenery; frames in [-1, 1]


def damaged(frames: Tensor, generator: torch.Generator) -> Tensor:
    """Frames [B, T, 3, H, W] in which pieces, for one to three frames, show another place of the same frame; the middle more often.

    A model that has only seen whole frames leaves out for good what it left out once. The codes of the next frame are computed
    from the damaged one, so they say how to mend it.
    """
    rows, length, _, height, width = frames.shape
    made = frames.clone()
    for row in range(rows):
        for _ in range(DAMAGES):
            tall, wide = _pick(height // 10, height // 3, generator), _pick(width // 10, width // 3, generator)
            y, x = (0.5 + 0.25 * torch.randn(2, generator=generator)).clamp(0, 1).tolist()
            top, left = round(y * (height - tall)), round(x * (width - wide))
            shift = (_pick(0, height, generator), _pick(0, width, generator))
            start = _pick(0, length, generator)
            piece = slice(top, top + tall), slice(left, left + wide)
            for moment in range(start, min(length, start + _pick(1, 4, generator))):
                made[row, moment, :, *piece] = frames[row, moment].roll(shift, dims=(1, 2))[:, *piece]
    return made


def planted(frames: Tensor, context: Tensor, scroll: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Put pieces of scenery elsewhere in the scenery, in both what is true and what the model sees; half of them from the first frame on,
    half from some later one.

    Args:
        frames: float [B, T, 3, H, W], the truth.
        context: the same moments as the model sees them.
        scroll: int [B, T-1, 2], how the picture moves from frame to frame.

    Returns:
        Both with the pieces, and bool [B, T, H, W]: pixels of a piece that the frame before did not show, which nobody can foresee.
        A piece and its place are scenery: all along they move as the picture does, and they keep out of the middle, where many games
        have their figure. Where nothing of that kind is found, fewer are planted.
    """
    frames, context = frames.clone(), context.clone()
    strange = _strangeness(frames, scroll)
    path = F.pad(scroll.cumsum(1), (0, 0, 1, 0)).cpu().numpy()
    rows, length, _, *whole = frames.shape
    sudden = torch.zeros(rows, length, *whole, dtype=torch.bool)
    for row in range(rows):
        for _ in range(PLANTS):
            size = _pick(whole[0] // 16, whole[0] // 4, generator), _pick(whole[1] // 16, whole[1] // 4, generator)
            pieces = []
            for other in torch.randint(rows, (CHOICE,), generator=generator).tolist():
                if source := _scenery(strange[other], path[other], size, generator):
                    moment, (top, left) = source
                    pieces.append(frames[other, moment, :, top : top + size[0], left : left + size[1]].clone())
            target = _scenery(strange[row], path[row], size, generator)
            if not pieces or target is None:
                continue
            piece = max(pieces, key=lambda found: found.flatten(1).std(1).sum().item())
            corners = target[1] + path[row] - path[row, target[0]]
            known = torch.zeros(size, dtype=torch.bool)
            for t in range(_pick(0, 2, generator) * _pick(1, length, generator), length):
                shown, inside = _overlap(corners[t], size, whole)
                frames[row, t, :, *inside] = context[row, t, :, *inside] = piece[:, *shown]
                sudden[row, t, *inside] = ~known[shown]
                known = torch.zeros_like(known)
                known[shown] = True
    return frames, context, sudden.to(frames.device)


def _strangeness(frames: Tensor, scroll: Tensor) -> np.ndarray:
    """How far each pixel is from the frame before, moved along: float [B, T, H, W], 0 in the first frame."""
    moved = move(frames[:, :-1].flatten(0, 1), scroll.flatten(0, 1)).unflatten(0, scroll.shape[:2])
    return F.pad((frames[:, 1:] - moved).abs().amax(2), (0, 0, 0, 0, 1, 0)).cpu().numpy()


def _scenery(
    strange: np.ndarray, path: np.ndarray, size: tuple[int, int], generator: torch.Generator
) -> tuple[int, tuple[int, int]] | None:
    """A moment and a place (top, left) of scenery that is whole at that moment, if one is found; strange [T, H, W], path [T, 2]."""
    length, *whole = strange.shape
    for _ in range(TRIES):
        moment = _pick(0, length, generator)
        place = _pick(0, whole[0] - size[0] + 1, generator), _pick(0, whole[1] - size[1] + 1, generator)
        total = count = 0.0
        for corner, frame in zip(place + path - path[moment], strange, strict=True):
            _, inside = _overlap(corner, size, whole)
            if all(side.start < 5 * full // 8 and side.stop > 3 * full // 8 for side, full in zip(inside, whole, strict=True)):
                break
            found = frame[inside]
            total, count = total + found.sum(), count + found.size
        else:
            if total <= STEADY * count:
                return moment, place
    return None


def _overlap(corner: np.ndarray, size: tuple[int, int], whole: Sequence[int]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What a box and the picture share: its rows and columns, counted in the box and in the picture; empty where nothing is."""
    (top, y0, y1), (left, x0, x1) = (
        (start, low := min(max(start, 0), full), max(low, min(start + length, full)))
        for start, length, full in zip(corner.tolist(), size, whole, strict=True)
    )
    return (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)), (slice(y0, y1), slice(x0, x1))


def _pick(low: int, high: int, generator: torch.Generator) -> int:
    return int(torch.randint(low, high, (), generator=generator))
