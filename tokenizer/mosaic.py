"""What has been in the picture and scrolled out of it, kept around it: where the view goes back, it is there again.

As a sprite does in video coding (MPEG-4), or an image mosaic of overlapping views (Irani et al. 1996): every frame is put where it belongs
over those before. What then scrolls into view need not be described again by codes, and a dynamics need not invent it.

What was never in view begins as the frame's edge, repeated, and codes say how it differs. That is a good guess for the next few pixels
and a poor one for a level: made of its edges alone it becomes stripes, and then one colour. A rollout can guess otherwise what lies to the
left and right (`guessing`): as the sides of the prompt's last frame, mirrored again and again, and later as what has left the mosaic on its
other side. So a level goes on like itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tokenizer.config import TokenizerConfig


@dataclass(frozen=True)
class Mosaic:
    """The frame in view, uint8 [B, H, W, 3], and what is remembered M pixels around it; never changed in place.

    Where a tokenizer remembers nothing (`TokenizerConfig.mosaic` is 0) it is the frame alone.
    """

    frame: np.ndarray
    picture: np.ndarray  # uint8 [B, H+2M, W+2M, 3], the frame in the middle
    known: np.ndarray  # bool [B, H+2M, W+2M]: pixels that have been in view; the others are guessed, or 0
    margin: tuple[int, int]  # rows and columns of it that can come into view with the next frame
    guesses: bool = False  # the others are guessed, and shown at the sides

    @classmethod
    def of(cls, frame: np.ndarray, config: TokenizerConfig) -> Mosaic:
        """Of first frames uint8 [B, H, W, 3]."""
        room = (config.mosaic,) * 2
        known = np.pad(np.ones(frame.shape[:3], np.bool_), ((0, 0), room, room))
        return cls(frame, _padded(frame, room, room, mode="constant"), known, config.margin)

    def guessing(self, columns: int) -> Mosaic:
        """From now on what was never in view is guessed from so many columns at the sides of the frame; 0: it is not."""
        if not columns or not any(self.margin):
            return self
        guess = _guessed(self.frame, (self.known.shape[1] - self.frame.shape[1]) // 2, columns)
        return replace(self, picture=np.where(self.known[..., None], self.picture, guess), guesses=True)

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
        picture = _carried(self.picture, motion) if self.guesses else moved(self.picture, motion)
        return replace(self, picture=picture, known=moved(self.known, motion)).showing(frame)

    @property
    def around(self) -> np.ndarray:
        """The frame and the margin around it, uint8 [B, H+2·rows, W+2·columns, 3]; what was never in view is the guess or the edge."""
        if not any(self.margin):
            return self.frame
        rows, columns = self.margin
        if self.guesses:
            wide = self.picture[self._view(self.frame.shape, (0, columns))]
        else:
            wide = _padded(self.frame, columns=(columns, columns), mode="edge")
        view = self._view(self.frame.shape, self.margin)
        return np.where(self.known[view][..., None], self.picture[view], _padded(wide, rows=(rows, rows), mode="edge"))

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


def _guessed(frame: np.ndarray, room: int, columns: int) -> np.ndarray:
    """Frames uint8 [B, H, W, 3] in the middle of `room` pixels more on each side: their outer columns mirrored again and again, then the
    outer rows repeated."""
    left = _padded(frame[:, :, :columns], columns=(room, 0), mode="symmetric")
    right = _padded(frame[:, :, -columns:], columns=(0, room), mode="symmetric")
    return _padded(np.concatenate([left, frame[:, :, columns:-columns], right], axis=2), rows=(room, room), mode="edge")


def _padded(
    frame: np.ndarray, rows: tuple[int, int] = (0, 0), columns: tuple[int, int] = (0, 0), *, mode: Literal["constant", "edge", "symmetric"]
) -> np.ndarray:
    return np.pad(frame, ((0, 0), rows, columns, (0, 0)), mode=mode)


def _carried(pictures: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Pictures [B, H, W, 3], each moved by its rows and columns, int [B, 2]; the outer rows repeat, and what leaves at one side comes in at
    the other."""
    rows, made = np.arange(pictures.shape[1]), np.empty_like(pictures)
    for picture, out, (down, right) in zip(pictures, made, offsets.tolist(), strict=True):
        np.take(np.roll(picture, right, axis=1), rows - down, axis=0, mode="clip", out=out)
    return made
