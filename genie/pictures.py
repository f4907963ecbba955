"""Contact sheets: many frames in one picture, uint8 `[H, W, 3]`."""

from __future__ import annotations

import numpy as np


def grid(rows: list[np.ndarray], scale: int = 2, gap: int = 2) -> np.ndarray:
    """One row a clip, uint8 [T, H, W, 3] each -> one picture; shorter rows are filled with grey."""
    length = max(len(row) for row in rows)
    height, width = rows[0].shape[1:3]
    cell_h, cell_w = height * scale + gap, width * scale + gap
    sheet = np.full((len(rows) * cell_h + gap, length * cell_w + gap, 3), 96, np.uint8)
    for y, row in enumerate(rows):
        for x, frame in enumerate(row):
            big = frame.repeat(scale, axis=0).repeat(scale, axis=1)
            top, left = gap + y * cell_h, gap + x * cell_w
            sheet[top : top + height * scale, left : left + width * scale] = big
    return sheet
