"""Frames to codes and back with a world's autoencoders, for numpy arrays; a back end gives the three networks."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from tokenizer import TokenizerConfig

BLOCK = 256  # frames that go through a network at once


class Codec(ABC):
    """The tokenizer and the latent action model of a world.

    The tokens of a frame are its codes [P, G], a row a position; where the picture scrolls, one more row says by how much: rows and
    columns, counted from the reach up, then zeros.
    """

    def __init__(self, config: TokenizerConfig) -> None:
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

    def paint(self, frames: np.ndarray, tokens: np.ndarray) -> np.ndarray:
        """Frames uint8 [B, H, W, 3] and what the next ones add, int [B, N, G] -> the next frames."""
        return self._paint(frames, *self.unpack(tokens))

    def describe(self, previous: np.ndarray, frames: np.ndarray) -> np.ndarray:
        """uint8 [B, H, W, 3] twice -> tokens int64 [B, N, G]: what the second frames add to the first."""
        return self.pack(*self._describe(previous, frames))

    @abstractmethod
    def _paint(self, frames: np.ndarray, codes: np.ndarray, motion: np.ndarray) -> np.ndarray:
        """Frames uint8 [B, H, W, 3], codes int64 [B, P, G] and motion int64 [B, 2] -> the next frames."""

    @abstractmethod
    def _describe(self, previous: np.ndarray, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """uint8 [B, H, W, 3] twice -> codes int64 [B, P, G] and motion int64 [B, 2]."""

    @abstractmethod
    def act(self, before: np.ndarray, frames: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Three frames in a row, uint8 [B, H, W, 3] each -> the latent action between the last two, int64 [B]."""

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [B, T, H, W, 3] -> int64 [B, T-1, N, G]: what each frame adds to the real one before it."""
        pairs = _flat(frames[:, :-1]), _flat(frames[:, 1:])
        none = np.zeros((0, *self.token_shape), np.int64)
        parts = [self.describe(*(frame[i : i + BLOCK] for frame in pairs)) for i in range(0, len(pairs[0]), BLOCK)]
        return np.concatenate([none, *parts]).reshape(len(frames), frames.shape[1] - 1, *self.token_shape)

    def decode(self, frame: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """First frame uint8 [B, H, W, 3] and codes [B, T, N, G] -> the frames they make, uint8 [B, T, H, W, 3]."""
        made = [frame]
        for t in range(codes.shape[1]):
            made.append(self.paint(made[-1], codes[:, t]))
        return np.stack(made, axis=1)[:, 1:]

    def unrolled(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The round trip on its own output: uint8 [B, T, H, W, 3] -> the same shape (first frame as it is), codes [B, T-1, N, G]."""
        made, codes = [frames[:, 0]], [np.zeros((len(frames), *self.token_shape), np.int64)]
        for t in range(1, frames.shape[1]):
            codes.append(self.describe(made[-1], np.ascontiguousarray(frames[:, t])))
            made.append(self.paint(made[-1], codes[-1]))
        return np.stack(made, axis=1), np.stack(codes, axis=1)[:, 1:]

    def infer_actions(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [B, T, H, W, 3] -> int64 [B, T-1]: the latent action between neighbours."""
        before = np.concatenate([frames[:, :1], frames[:, :-2]], axis=1)[:, : frames.shape[1] - 1]
        triples = _flat(before), _flat(frames[:, :-1]), _flat(frames[:, 1:])
        parts = [self.act(*(frame[i : i + BLOCK] for frame in triples)) for i in range(0, len(triples[0]), BLOCK)]
        return np.concatenate([np.zeros(0, np.int64), *parts]).reshape(len(frames), -1)


def _flat(frames: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(frames.reshape(-1, *frames.shape[2:]))
