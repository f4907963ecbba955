"""What has been in the picture and scrolled out of it, kept around it: where the view goes back, it is there again.

As a sprite does in video coding (MPEG-4), or an image mosaic of overlapping views (Irani et al. 1996): every frame is put where it belongs
over those before. What then scrolls into view need not be described again by codes, and a dynamics need not invent it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from tokenizer.config import TokenizerConfig


@dataclass(frozen=True)
class Mosaic:
    """The frame in view, uint8 [B, H, W, 3], and what is remembered M pixels around it; never changed in place.

    Where a tokenizer remembers nothing (`TokenizerConfig.mosaic` is 0) it is the frame alone.
    """

    frame: np.ndarray
    picture: np.ndarray  # uint8 [B, H+2M, W+2M, 3], the frame in the middle
    known: np.ndarray  # bool [B, H+2M, W+2M]: pixels that have been in view
    margin: tuple[int, int]  # rows and columns of it that can come into view with the next frame

    @classmethod
    def of(cls, frame: np.ndarray, config: TokenizerConfig) -> Mosaic:
        """Of first frames uint8 [B, H, W, 3]."""
        room = ((0, 0), (config.mosaic,) * 2, (config.mosaic,) * 2)
        known = np.pad(np.ones(frame.shape[:3], np.bool_), room)
        return cls(frame, np.pad(frame, (*room, (0, 0))), known, config.margin)

    def renewed(self, rows: np.ndarray, frame: np.ndarray) -> Mosaic:
        """Some rows, bool [B], begin anew with frames of uint8 [B, H, W, 3]."""
        shown = self.showing(np.where(rows[:, None, None, None], frame, self.frame))
        only = np.zeros_like(self.known)
        only[self._view(frame.shape)] = True
        return replace(shown, known=shown.known & (only | ~rows[:, None, None]))

    def showing(self, frame: np.ndarray) -> Mosaic:
        """With another frame in view."""
        picture, known = self.picture.copy(), self.known.copy()
        view = self._view(frame.shape)
        picture[view], known[view] = frame, True
        return replace(self, frame=frame, picture=picture, known=known)

    def after(self, motion: np.ndarray, frame: np.ndarray) -> Mosaic:
        """After the picture has scrolled by int [B, 2], rows down and columns right, and shows the next frame."""
        if not any(self.margin):
            return replace(self, frame=frame, picture=frame)
        return replace(self, picture=moved(self.picture, motion), known=moved(self.known, motion)).showing(frame)

    @property
    def around(self) -> np.ndarray:
        """The frame and the margin around it, uint8 [B, H+2·rows, W+2·columns, 3]; what was never in view repeats the frame's edge."""
        if not any(self.margin):
            return self.frame
        edges = tuple((side, side) for side in self.margin)
        view = self._view(self.frame.shape, self.margin)
        return np.where(self.known[view][..., None], self.picture[view], np.pad(self.frame, ((0, 0), *edges, (0, 0)), mode="edge"))

    @property
    def with_alpha(self) -> np.ndarray:
        """The frame in the middle of what is remembered, uint8 [B, H+2M, W+2M, 4]: an alpha of 255 where it has been in view, else 0."""
        return np.concatenate([self.picture, np.where(self.known, np.uint8(255), np.uint8(0))[..., None]], axis=-1)

    def _view(self, shape: tuple[int, ...], margin: tuple[int, int] = (0, 0)) -> tuple[slice, ...]:
        whole = self.picture.shape[1:3]
        inner = zip(whole, shape[1:3], margin, strict=True)
        return (slice(None), *(slice((full - size) // 2 - side, (full + size) // 2 + side) for full, size, side in inner))


def moved(pictures: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Pictures [B, H, W, …], each moved by its rows and columns, int [B, 2]; what comes in is 0."""
    made = np.zeros_like(pictures)
    height, width = pictures.shape[1:3]
    for picture, out, (down, right) in zip(pictures, made, offsets.tolist(), strict=True):
        if abs(down) < height and abs(right) < width:
            out[max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = picture[
                max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
            ]
    return made
