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
GHOST_AGES = (2, 8)  # how many frames ago a figure was where it is seen again: from, and less than
LEAST_OPACITY = 0.3  # of such a figure
LOOKS = 32  # places looked at for one
PLANTS = 3  # pieces planted in each sequence, where there is room
TRIES = 8  # places looked at for each
CHOICE = 4  # pieces of which the most striking is planted
STEADY = 0.08  # mean difference from the frame before, moved along, up to which a piece counts as scenery; frames in [-1, 1]


def damaged(frames: Tensor, scroll: Tensor, generator: torch.Generator) -> Tensor:
    """Frames [B, T, 3, H, W] in which pieces, for one to three frames, show what is not there; scroll int [B, T-1, 2].

    One half show another place of the same frame, the middle more often. The others show, more or less faintly, what was there some frames
    before, scrolled along: a figure where it no longer is, or a smear where the edge of that frame was and had nothing behind it. A model
    that has only seen whole frames leaves out for good what it left out once, and keeps for good what it forgot to wipe. The codes of the
    next frame are computed from the damaged one, so they say how to mend it.
    """
    rows, length = frames.shape[:2]
    made = frames.clone()
    path = F.pad(scroll.cumsum(1), (0, 0, 1, 0))
    for row in range(rows):
        for _ in range(DAMAGES):
            start = _pick(0, length, generator)
            moments = range(start, min(length, start + _pick(1, 4, generator)))
            if _pick(0, 2, generator):
                shown, piece = _earlier(frames[row], path[row], moments, generator)
            else:
                shown, piece = _elsewhere(frames[row], moments, generator)
            made[row, moments.start : moments.stop, :, *piece] = shown[:, :, *piece]
    return made


def _elsewhere(frames: Tensor, moments: range, generator: torch.Generator) -> tuple[Tensor, tuple[slice, slice]]:
    """Some moments of [T, 3, H, W], each rolled to another place, and what of them is to be shown."""
    height, width = frames.shape[-2:]
    shift = _pick(0, height, generator), _pick(0, width, generator)
    place = (0.5 + 0.25 * torch.randn(2, generator=generator)).clamp(0, 1).tolist()
    return frames[moments.start : moments.stop].roll(shift, dims=(2, 3)), _box((height, width), place, generator)


def _earlier(frames: Tensor, path: Tensor, moments: range, generator: torch.Generator) -> tuple[Tensor, tuple[slice, slice]]:
    """Some moments of [T, 3, H, W] under one from before them, scrolled along by the path int [T, 2] and faint, and where that is most to
    be seen."""
    before = max(0, moments.start - _pick(*GHOST_AGES, generator))
    offsets = path[moments.start : moments.stop] - path[before]
    opacity = torch.rand((), generator=generator).item()
    now = frames[moments.start : moments.stop]
    shown = torch.lerp(now, move(frames[before].expand_as(now), offsets), LEAST_OPACITY + (1 - LEAST_OPACITY) * opacity)
    boxes = [_box(now.shape[-2:], torch.rand(2, generator=generator).tolist(), generator) for _ in range(LOOKS)]
    differs = (shown - now)[0].abs().sum(0).cpu()
    return shown, max(boxes, key=lambda box: differs[box].sum().item())


def _box(whole: Sequence[int], place: Sequence[float], generator: torch.Generator) -> tuple[slice, slice]:
    """Rows and columns of a piece, of a tenth to a third of the picture's each; place: 0 at the top or left … 1 at the bottom or right."""
    sizes = [_pick(full // 10, full // 3, generator) for full in whole]
    tops = [round(share * (full - size)) for share, full, size in zip(place, whole, sizes, strict=True)]
    rows, columns = (slice(top, top + size) for top, size in zip(tops, sizes, strict=True))
    return rows, columns


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
