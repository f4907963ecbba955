"""Frames to codes and back with a world's autoencoders, for numpy arrays; a back end gives the three networks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import numpy as np

from tokenizer import TokenizerConfig
from tokenizer.mosaic import Mosaic

BLOCK = 256  # frames that go through a network at once


class Codec(ABC):
    """The tokenizer and the latent action model of a world.

    The tokens of a frame are its codes [P, G], a row a position; where the picture scrolls, one more row says by how much: rows and
    columns, counted from the reach up, then zeros.
    """

    def __init__(self, config: TokenizerConfig) -> None:
        self.config = config
        self.code_shape = (config.positions, config.codes)
        self.token_shape = (config.token_rows, config.codes)
        self.reach, self._scrolls = config.reach, config.scrolls
        self.code_stride = config.code_stride  # pixels of a cell's side
        self._fold, self._codes_of_cell = config.fold, config.codes_of_cell

    def pack(self, codes: np.ndarray, motion: np.ndarray) -> np.ndarray:
        """Codes [B, P, G] and motion [B, 2] -> tokens [B, N, G]."""
        if not self._scrolls:
            return codes
        row = np.zeros((len(codes), 1, self.code_shape[1]), codes.dtype)
        row[:, 0, :2] = motion + np.array(self.reach)
        return np.concatenate([codes, row], axis=1)

    def unpack(self, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens [B, N, G] -> codes [B, P, G] and motion [B, 2], int64."""
        codes = np.ascontiguousarray(self.codes(tokens), np.int64)
        return codes, self.motion(tokens)

    def motion(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens [..., N, G] -> how the picture scrolls, int64 [..., 2]: rows down and columns right, in pixels."""
        if not self._scrolls:
            return np.zeros((*tokens.shape[:-2], 2), np.int64)
        return tokens[..., -1, :2].astype(np.int64) - np.array(self.reach)

    def codes(self, tokens: np.ndarray) -> np.ndarray:
        """Tokens [..., N, G] -> the codes among them, [..., P, G]."""
        return tokens[..., : self.code_shape[0], :]

    def tokens_of(self, pixels: np.ndarray) -> np.ndarray:
        """Pixels bool [B, H, W] -> which tokens are codes of their cells, bool [B, N, G]."""
        (batch, height, width), side, fold = pixels.shape, self.code_stride, self._fold
        cells = pixels.reshape(batch, height // side, side, width // side, side).any(axis=(2, 4))
        folded = cells.reshape(batch, height // side // fold, fold, width // side // fold, fold).swapaxes(2, 3)
        codes = folded.reshape(batch, self.code_shape[0], fold * fold).repeat(self._codes_of_cell, axis=-1)
        return np.pad(codes, ((0, 0), (0, self.token_shape[0] - self.code_shape[0]), (0, 0)))

    def shown(self, frames: np.ndarray) -> Mosaic:
        """First frames, uint8 [B, H, W, 3]: nothing is known of what lies around them."""
        return Mosaic.of(frames, self.config)

    def paint(self, shown: Mosaic, tokens: np.ndarray) -> np.ndarray:
        """What is shown and what the next frames add, int [B, N, G] -> the next frames, uint8 [B, H, W, 3]."""
        return self._paint(shown.around, *self.unpack(tokens))

    def describe(self, shown: Mosaic, frames: np.ndarray) -> np.ndarray:
        """What is shown and the next frames, uint8 [B, H, W, 3] -> tokens int64 [B, N, G]: what these add."""
        return self.pack(*self._describe(shown.around, frames))

    @abstractmethod
    def _paint(self, around: np.ndarray, codes: np.ndarray, motion: np.ndarray) -> np.ndarray:
        """Frames with their margin, uint8 [B, H', W', 3], codes int64 [B, P, G] and motion int64 [B, 2] -> the next frames."""

    @abstractmethod
    def _describe(self, around: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frames with their margin, uint8 [B, H', W', 3], and the next [B, H, W, 3] -> codes int64 [B, P, G] and motion int64 [B, 2]."""

    @abstractmethod
    def act(self, before: np.ndarray, frames: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Three frames in a row, uint8 [B, H, W, 3] each -> the latent action between the last two, int64 [B]."""

    def encode(self, frames: np.ndarray, shown: Mosaic | None = None) -> np.ndarray:
        """uint8 [B, T, H, W, 3] -> int64 [B, T-1, N, G]: what each frame adds to the real one before it.

        Args:
            shown: the first frames with what is remembered around them, if anything is.
        """
        shape = (len(frames), frames.shape[1] - 1, *self.token_shape)
        parts = [np.zeros((0, *self.token_shape), np.int64)]
        if self.config.mosaic:  # what a frame adds depends on what was seen before
            parts += [tokens for _, tokens in self.watch(frames, shown)][1:]
            return np.concatenate(parts).reshape(shape[1], shape[0], *self.token_shape).swapaxes(0, 1)
        pairs = _flat(frames[:, :-1]), _flat(frames[:, 1:])
        for i in range(0, len(pairs[0]), BLOCK):
            before, after = (frame[i : i + BLOCK] for frame in pairs)
            parts.append(self.describe(self.shown(before), after))
        return np.concatenate(parts).reshape(shape)

    def watch(self, frames: np.ndarray, shown: Mosaic | None = None) -> Iterator[tuple[Mosaic, np.ndarray]]:
        """uint8 [B, T, H, W, 3] -> T times what is shown, and tokens int64 [B, N, G]: what the frame adds to the real one before it (at
        first zeros). `shown` as of `encode`."""
        tokens = np.zeros((len(frames), *self.token_shape), np.int64)
        shown = self.shown(np.ascontiguousarray(frames[:, 0])) if shown is None else shown
        yield shown, tokens
        for t in range(1, frames.shape[1]):
            frame = np.ascontiguousarray(frames[:, t])
            tokens = self.describe(shown, frame)
            shown = shown.after(self.motion(tokens), frame)
            yield shown, tokens

    def watched(self, frames: np.ndarray) -> Mosaic:
        """What is shown at the end of frames uint8 [B, T, H, W, 3]."""
        *_, (shown, _) = self.watch(frames)
        return shown

    def begun(self, frames: np.ndarray) -> Mosaic:
        """What a rollout shows that goes on from frames uint8 [B, T, H, W, 3]: it may guess what was never in view."""
        return self.watched(frames).guessing(self.config.guess)

    def follow(self, shown: Mosaic, tokens: np.ndarray) -> Mosaic:
        """What is shown after the next frames, whose tokens int [B, N, G] are known."""
        return shown.after(self.motion(tokens), self.paint(shown, tokens))

    def unrolled(self, frames: np.ndarray, margin: bool = False, shown: Mosaic | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The round trip on its own output: uint8 [B, T, H, W, 3] -> the same shape (first frame as it is), codes [B, T-1, N, G].

        Args:
            margin: the frames come with their margin, [B, T, H', W', 3].
            shown: as of `encode`.
        """
        shown = self.shown(np.ascontiguousarray(frames[:, 0])) if shown is None else shown
        codes = [np.zeros((len(frames), *self.token_shape), np.int64)]
        made = [shown.around]
        for t in range(1, frames.shape[1]):
            codes.append(self.describe(shown, np.ascontiguousarray(frames[:, t])))
            shown = self.follow(shown, codes[-1])
            made.append(shown.around)
        around = np.stack(made, axis=1)
        return around if margin else self.without_margin(around), np.stack(codes, axis=1)[:, 1:]

    def without_margin(self, around: np.ndarray) -> np.ndarray:
        """Frames with their margin, [..., H', W', 3] -> [..., H, W, 3]: a view."""
        rows, columns = (slice(side, full - side) for full, side in zip(around.shape[-3:-1], self.config.margin, strict=True))
        return around[..., rows, columns, :]

    def infer_actions(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [B, T, H, W, 3] -> int64 [B, T-1]: the latent action between neighbours."""
        before = np.concatenate([frames[:, :1], frames[:, :-2]], axis=1)[:, : frames.shape[1] - 1]
        triples = _flat(before), _flat(frames[:, :-1]), _flat(frames[:, 1:])
        parts = [self.act(*(frame[i : i + BLOCK] for frame in triples)) for i in range(0, len(triples[0]), BLOCK)]
        return np.concatenate([np.zeros(0, np.int64), *parts]).reshape(len(frames), -1)


def _flat(frames: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(frames.reshape(-1, *frames.shape[2:]))
