"""Shapes of the models beside the tokenizer, and the graphs made of them. They travel in the manifest, so reading them needs no torch."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

ROPE_BASE = 100.0  # the slowest rotation turns once in ~600 frames, well past any context
GRAPHS = {  # ONNX graphs of a bundle -> the model whose weights they read
    "embed": "dynamics",
    "step": "dynamics",
    "step-int8": "dynamics",
    "store": "dynamics",
    "paint": "tokenizer",
    "describe": "tokenizer",
    "act": "latent_actions",
}


class LatentActionConfig(BaseModel):
    """Shape of a `LatentActionModel`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    resolution: tuple[int, int] = (64, 64)  # height, width
    actions: int = Field(default=8, ge=2, le=256)  # A
    code_width: int = Field(default=16, ge=2, le=256)
    width: int = Field(default=48, ge=8, le=512)
    blocks: int = Field(default=1, ge=1, le=8)
    reach_rows: int = Field(default=0, ge=0, le=64)  # pixels of a quarter-size picture that it can scroll down or up in one frame
    reach_columns: int = Field(default=0, ge=0, le=64)  # both 0: codes are not asked where the picture goes
    pooled: bool = False  # the encoder's features are averaged over the picture: a code says what moved and how, not where
    spread: bool = False  # what tells moments apart is scaled up before it is quantised: for a still camera, under which it is little

    @property
    def scrolls(self) -> bool:
        """Whether a code has to say where the picture goes."""
        return bool(self.reach_rows or self.reach_columns)

    @model_serializer(mode="wrap")
    def _without_what_is_unused(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A world that does not use these is written, and its weights are named, as before there were any."""
        unused = (
            *(() if self.scrolls else ("reach_rows", "reach_columns")),
            *(name for name in ("pooled", "spread") if not getattr(self, name)),
        )
        return {name: value for name, value in dump(self).items() if name not in unused}

    @model_validator(mode="after")
    def _fits(self) -> LatentActionConfig:
        height, width = self.resolution
        if height % 16 or width % 16 or not 0 < height * width <= 512 * 512:
            raise ValueError(f"resolution {self.resolution} must be a multiple of 16, at most 512×512")
        return self


class DynamicsConfig(BaseModel):
    """Shape of a `Dynamics`; the tokenizer's shape comes from its own configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actions: int = Field(ge=1, le=1024)  # rows of the action table: latent ones first, then recorded ones
    width: int = Field(default=256, ge=16, le=2048)
    layers: int = Field(default=6, ge=1, le=48)
    heads: int = Field(default=4, ge=1, le=64)
    context: int = Field(default=12, ge=2, le=256)  # slots a position can look back to, its own included
    frame_width: int = Field(default=64, ge=8, le=512)  # channels of the frame embedding
    trail: int = Field(default=0, ge=0, le=16)  # past scrolls that the next one is guessed from, beside the frames

    @model_validator(mode="after")
    def _fits(self) -> DynamicsConfig:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} must be a multiple of 2 × heads {self.heads}: heads are rotated in pairs")
        return self

    @property
    def head_width(self) -> int:
        """Channels of one attention head."""
        return self.width // self.heads
