"""The tokenizer's configuration: it travels inside the world's bundle, so nobody retypes a hyper-parameter."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

PATCH = 4  # pixels a side that the first layer folds into channels
MAY_BE_UNUSED = ("steady", "centred", "local", "keeps", "mosaic", "guess")


class TokenizerConfig(BaseModel):
    """Shape of a `VideoTokenizer`.

    `mode="context"` describes a frame by what it adds to the one before (after Δ-IRIS, Micheli et al. 2024);
    `mode="per-frame"` describes each frame alone, as in Genie (Bruce et al. 2024, section 2.1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Literal["context", "per-frame"] = "context"
    resolution: tuple[int, int] = (64, 64)  # height, width
    stride: Literal[8, 16] = 16  # pixels a side of one position
    code_stride: Literal[8, 16] = 8  # pixels a side of the cell that a code describes; finer cells are folded into positions
    codes: int = Field(default=4, ge=1, le=16)  # G: codes at each position, all its cells together
    levels: tuple[int, ...] = (8, 5, 5, 5)  # FSQ levels of one code: 1,000 values
    width: int = Field(default=64, ge=8, le=512, multiple_of=8)
    blocks: int = Field(default=2, ge=1, le=8)  # residual blocks at each scale of the decoder
    reach_rows: int = Field(default=0, ge=0, le=64)  # pixels that the picture can scroll down or up from one frame to the next
    reach_columns: int = Field(default=0, ge=0, le=64)  # both 0: nothing is done about scrolling
    encoder_blocks: int = Field(default=1, ge=1, le=8)  # at each scale of the encoder, and of what the decoder sees of the past
    steady: bool = False  # codes that were never seen together modulate the decoder no more than others do
    centred: bool = False  # no more, and no otherwise: what they say together is kept near what the game's own frames have
    local: bool = False  # a code says what is in its cell, and the rest of the picture has no part in it
    keeps: bool = False  # the decoder says of each pixel how much of the frame before, moved, stays
    mosaic: int = Field(default=0, ge=0, le=256)  # pixels around the picture that are remembered once they have scrolled out of it
    guess: int = Field(default=0, ge=0, le=256)  # columns at its sides that rollouts guess from what was never in view

    @model_serializer(mode="wrap")
    def _without_what_is_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A world without these is written, and its weights are named, as before there were any."""
        return {name: value for name, value in dump(self).items() if name not in MAY_BE_UNUSED or value}

    @model_validator(mode="after")
    def _fits(self) -> TokenizerConfig:
        height, width = self.resolution
        if height % self.stride or width % self.stride or not 0 < height * width <= 512 * 512:
            raise ValueError(f"resolution {self.resolution} must be a multiple of {self.stride}, at most 512×512")
        if self.code_stride > self.stride or self.codes % self.fold**2:
            raise ValueError(f"codes {self.codes} must be a multiple of the {self.fold**2} cells of a position")
        if not self.levels or min(self.levels) < 3 or math.prod(self.levels) > 2**16:
            raise ValueError(f"levels {self.levels} must be 3 or more each, with at most 65,536 values in all")
        if self.centred and (not self.steady or self.local):
            raise ValueError("only a steady decoder with a summary of all codes can be centred")
        if self.keeps and self.mode != "context":
            raise ValueError("only a decoder that sees the frame before can keep some of it")
        if self.scrolls and (self.codes < 2 or 2 * max(self.reach) >= min(self.vocabulary, height, width)):
            raise ValueError(f"reach {self.reach} must be less than half the picture, and fit into two codes of {self.vocabulary} values")
        if self.mosaic and (not self.scrolls or self.mosaic < max(self.reach)):
            raise ValueError(f"a mosaic of {self.mosaic} pixels needs a reach, and must be no less than that")
        if self.guess and (not self.mosaic or 2 * self.guess > width):
            raise ValueError(f"a guess from {self.guess} columns needs a mosaic to keep it, and they must be no more than half the picture")
        return self

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of positions."""
        return self.resolution[0] // self.stride, self.resolution[1] // self.stride

    @property
    def positions(self) -> int:
        """P: positions of a frame."""
        return self.grid[0] * self.grid[1]

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns of pixels that the picture can scroll from one frame to the next."""
        return self.reach_rows, self.reach_columns

    @property
    def scrolls(self) -> bool:
        """Whether the frame before is moved first, and each frame says by how much."""
        return any(self.reach)

    @property
    def margin(self) -> tuple[int, int]:
        """Rows and columns around a frame that the networks are given with it: of what is remembered, all that the next one can show."""
        return self.reach if self.mosaic else (0, 0)

    @property
    def around(self) -> tuple[int, int]:
        """Rows and columns of a frame with its margin."""
        return self.resolution[0] + 2 * self.margin[0], self.resolution[1] + 2 * self.margin[1]

    @property
    def token_rows(self) -> int:
        """N: rows of a frame's tokens, one a position, and one that says how the picture scrolls where it does."""
        return self.positions + self.scrolls

    @property
    def fold(self) -> int:
        """Cells a side of one position."""
        return self.stride // self.code_stride

    @property
    def codes_of_cell(self) -> int:
        """Codes of one cell."""
        return self.codes // self.fold**2

    @property
    def scales(self) -> int:
        """How many of the strides 4, 8, 16 the networks work at: up to `code_stride`."""
        return int(math.log2(self.code_stride // PATCH)) + 1

    @property
    def vocabulary(self) -> int:
        """Values one code can take."""
        return math.prod(self.levels)

    @classmethod
    def per_frame(cls, resolution: tuple[int, int] = (64, 64)) -> TokenizerConfig:
        """The published way, for comparison: 8×8 positions × 2 codes on a 64×64 frame."""
        return cls(mode="per-frame", resolution=resolution, stride=8, code_stride=8, codes=2)
