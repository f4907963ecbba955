"""Camera motion: by how many pixels the picture moves as a whole from one frame to the next.

A scrolling game moves nearly all of its pixels by one offset. Like global motion compensation in video coding, the tokenizer moves
the frame before by that offset first: what is only carried along need not be described. An offset is (rows, columns), int64
[B, 2]: down and right positive. Frames are float [B, 3, H, W] in [-1, 1].
"""

from __future__ import annotations

import torch
from torch import Tensor

SHORTER = 1e-4  # what a pixel of motion costs: of offsets that fit alike, as on an empty picture, the shortest is taken


def motion_costs(before: Tensor, after: Tensor, reach: tuple[int, int]) -> Tensor:
    """How badly `before` moved by each offset fits `after`: [B, 2·reach[0]+1, 2·reach[1]+1].

    The root mean square difference of brightness where the two overlap. Its square is a sum of three terms; the one that mixes the
    frames is a product of matrices for each column offset, summed along its diagonals.
    """
    height, width = before.shape[-2:]
    down, right = (torch.arange(-limit, limit + 1, device=before.device) for limit in reach)
    rows = torch.arange(height, device=before.device) - down[:, None]  # [K, H]: the row of `before` that comes here
    columns = torch.arange(width, device=before.device) - right[:, None]  # [L, W]
    rows_seen, columns_seen = ((rows >= 0) & (rows < height)).float(), ((columns >= 0) & (columns < width)).float()
    with torch.autocast(before.device.type, enabled=False):
        old, new = before.float().mean(1), after.float().mean(1)
        moved = old.index_select(2, columns.clamp(0, width - 1).flatten()).unflatten(2, columns.shape) * columns_seen
        mixed = new[:, None] @ moved.permute(0, 2, 3, 1)  # b l h h'
        here = rows.clamp(0, height - 1).T.expand(*mixed.shape[:2], -1, -1)
        mixed = (mixed.gather(-1, here) * rows_seen.T).sum(-2).mT  # b k l
        squares = rows_seen @ (new * new) @ columns_seen.T + rows_seen.flip(0) @ (old * old) @ columns_seen.flip(0).T
        overlap = rows_seen.sum(1)[:, None] * columns_seen.sum(1)
        return ((squares - 2 * mixed).clamp_min(0) / overlap).sqrt()


def measure_motion(before: Tensor, after: Tensor, reach: tuple[int, int]) -> Tensor:
    """The offset that carries `before` onto `after` best, int64 [B, 2]."""
    costs = motion_costs(before, after, reach)
    rows, columns = (torch.arange(-limit, limit + 1, device=costs.device).abs() for limit in reach)
    best = (costs + SHORTER * (rows[:, None] + columns)).flatten(1).argmin(1)
    wide = 2 * reach[1] + 1
    return torch.stack([best // wide - reach[0], best % wide - reach[1]], dim=1)


def move(frames: Tensor, motion: Tensor, margin: tuple[int, int] = (0, 0)) -> Tensor:
    """Frames [B, C, H, W], each moved by its offset [B, 2]; what comes in at an edge repeats the edge.

    Frames that bring a margin of rows and columns, [B, C, H+2·rows, W+2·columns], leave it there: what comes in at an edge is that.
    """
    rows, columns = (
        (torch.arange(side, full - side, device=frames.device) - offset[:, None]).clamp(0, full - 1)
        for full, side, offset in zip(frames.shape[-2:], margin, motion.unbind(1), strict=True)
    )
    moved = frames.gather(2, rows[:, None, :, None].expand(*frames.shape[:2], -1, frames.shape[3]))
    return moved.gather(3, columns[:, None, None].expand(*moved.shape[:3], -1))


def within(frames: Tensor, margin: tuple[int, int]) -> Tensor:
    """Frames [..., H+2·rows, W+2·columns] without their margin."""
    rows, columns = (slice(side, full - side) for full, side in zip(frames.shape[-2:], margin, strict=True))
    return frames[..., rows, columns]
