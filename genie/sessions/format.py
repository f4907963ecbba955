"""What a session says of itself, as pydantic models, and how its parts become bytes.

A session is untrusted input: everything here is bounded, and checked before anything of its size is made.
"""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import io
import platform
from dataclasses import replace
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

import genie
from genie.bundle import NAME_PATTERN, FileEntry, Manifest
from genie.errors import SessionError
from genie.machine import cores, processor
from genie.runtime.actions import Action
from genie.runtime.sampling import Sampling
from genie.world import World
from tokenizer import TokenizerConfig
from tokenizer.mosaic import Mosaic

SCHEMA_VERSION = 1
MAX_PROMPT_FRAMES = 256
KEY_FRAME_EVERY = 256  # frames of a branch between two stored pictures
MAX_BRANCHES = 100_000
MAX_FRAMES = 5_000_000  # of all branches
MAX_STICK = 10_000
MAX_SEED = 2**63 - 1
MAX_CONTROLS = 10_000  # different sets of keys
MAX_STEP_BYTES = 2**30  # of the steps of all branches: six million frames of 17×4 tokens
MAX_PICTURES_BYTES = 2**30  # of key frames as PNG and edits as pixels
MAX_PICTURE_BYTES = 16 * 2**20  # of one picture; a prompt of many frames has more
NO_TIME = 65535  # a time that was not measured

Digest = Field(pattern="^[0-9a-f]{64}$")
Kind = Literal["root", "branch", "re-roll", "edit", "bookmark", "sampling"]
Controls = tuple[str, ...]


class WorldReference(BaseModel):
    """The world that made a session, and what reading the session needs to know of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80, pattern=NAME_PATTERN)
    weights: str = Digest  # `Manifest.weights_digest`
    tokenizer: str = Digest  # weights and shape of the tokenizer: what painting the frames again takes
    files: dict[str, str] = Field(max_length=1000)  # name -> sha256
    resolution: tuple[int, int]  # height, width
    positions: int = Field(ge=1, le=2**14)
    codes: int = Field(ge=1, le=16)
    vocabulary: int = Field(ge=2, le=2**16)
    frame_rate: float = Field(gt=0, le=1000)
    frame_skip: int = Field(ge=1, le=1000)
    actions: tuple[Action, ...] = Field(min_length=1, max_length=1024)
    licence: str = Field(default="", max_length=2000)  # of the world; empty in sessions of before it was noted

    @model_validator(mode="after")
    def _bounded(self) -> WorldReference:
        height, width = self.resolution
        if height < 1 or width < 1 or height * width > 512 * 512:
            raise ValueError(f"resolution {self.resolution} must be between 1 and 512×512 pixels")
        if [action.id for action in self.actions] != list(range(len(self.actions))):
            raise ValueError("actions must have the ids 0, 1, 2, … in order")
        return self

    @classmethod
    def of(cls, manifest: Manifest) -> WorldReference:
        """What a session keeps of a world."""
        tokenizer = manifest.tokenizer
        return cls(
            name=manifest.name,
            weights=manifest.weights_digest,
            tokenizer=tokenizer_digest(manifest),
            files={name: entry.sha256 for name, entry in manifest.files.items()},
            resolution=tokenizer.resolution,
            positions=tokenizer.token_rows,
            codes=tokenizer.codes,
            vocabulary=tokenizer.vocabulary,
            frame_rate=manifest.frame_rate,
            frame_skip=manifest.frame_skip,
            licence=manifest.licence,
            actions=manifest.actions,
        )


class Runtime(BaseModel):
    """What ran the world."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    app: str = Field(max_length=40)  # version of genie
    backend: str = Field(max_length=40)
    device: str = Field(max_length=40)
    dtype: str = Field(max_length=40)
    threads: int = Field(ge=1)
    processor: str = Field(max_length=200)
    platform: str = Field(max_length=200)
    versions: dict[str, str] = Field(max_length=40)

    @classmethod
    def here(cls, world: World) -> Runtime:
        """This machine with this world's back end."""
        name = world.backend
        versions = {"python": platform.python_version()}
        for package in ("numpy", "onnxruntime-gpu", "onnxruntime", "torch"):
            try:
                versions[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                continue
        return cls(
            app=genie.__version__,
            backend=name,
            device="cuda" if "cuda" in name else "cpu",
            dtype=next((part for part in ("int8", "bf16") if part in name), "fp32"),
            threads=cores(),
            processor=processor()[:200],
            platform=platform.platform()[:200],
            versions=versions,
        )


class Header(BaseModel):
    """What does not change while a session is played."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    created: str = Field(max_length=40)  # ISO 8601, UTC
    world: WorldReference
    runtime: Runtime
    seed: int  # of a new session 0 … MAX_SEED; noise takes the lowest 64 bits
    sampling: Sampling
    prompt_frames: int = Field(ge=1, le=MAX_PROMPT_FRAMES)

    @classmethod
    def new(cls, world: World, seed: int, sampling: Sampling, prompt_frames: int) -> Header:
        """For a session that begins now.

        Raises:
            SessionError: the seed is not in 0 … MAX_SEED.
        """
        if not 0 <= seed <= MAX_SEED:
            raise SessionError(f"the seed {seed} is out of range; choose 0 to {MAX_SEED}.")
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return cls(
            created=now,
            world=WorldReference.of(world.manifest),
            runtime=Runtime.here(world),
            seed=seed,
            sampling=sampling,
            prompt_frames=prompt_frames,
        )

    @property
    def row(self) -> np.dtype:
        """One step: numbers of the action and of the held keys, tokens, settled (packed), pixel hash, times in 0.1 ms."""
        world = self.world
        return np.dtype(
            [
                ("action", "<u2"),
                ("controls", "<u2"),
                ("tokens", "<u2", (world.positions, world.codes)),
                ("settled", "u1", (-(-world.positions * world.codes // 8),)),
                ("pixels", "<u8"),
                ("step", "<u2"),
                ("latency", "<u2"),
            ]
        )


class Branch(BaseModel):
    """One branch of a session: it leaves its parent after frame `start`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: int = Field(ge=0, lt=MAX_BRANCHES)
    parent: int | None = Field(default=None, ge=0)
    start: int = Field(default=0, ge=0, le=MAX_FRAMES)  # number of the frame it begins at; 0 is the prompt's last frame
    kind: Kind = "root"
    label: str = Field(default="", max_length=200)
    salt: int = Field(default=0, ge=0, lt=2**63)
    sampling: Sampling = Sampling()
    stick: int = Field(default=0, ge=0, le=MAX_STICK)  # context frames that take an edit
    hold: bool = False  # what an edit painted is put back whenever the world lets go of it
    length: int = Field(default=0, ge=0, le=MAX_FRAMES)  # frames of its own
    pruned: bool = False

    @property
    def end(self) -> int:
        """Number of its last frame."""
        return self.start + self.length


class Contents(BaseModel):
    """`session.json` of a .session file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    header: Header
    branches: tuple[Branch, ...] = Field(min_length=1, max_length=MAX_BRANCHES)
    controls: tuple[Controls, ...] = Field(max_length=MAX_CONTROLS)
    key_frames: tuple[tuple[int, int], ...]  # (branch, frame)
    cursor: tuple[int, int]  # (branch, frame)
    files: dict[str, FileEntry]


def tokenizer_digest(manifest: Manifest) -> str:
    """Names the tokenizer of a world: frames can be painted from codes by any world with the same one."""
    weights = manifest.files["tokenizer.safetensors"].sha256
    return hashlib.sha256(f"{weights} {manifest.tokenizer.model_dump_json()}".encode()).hexdigest()


def parse(model: type[BaseModel], data: bytes, where: str) -> BaseModel:
    """JSON checked against a model, or one plain sentence.

    Raises:
        SessionError: not JSON, or not as the schema says.
    """
    try:
        return model.model_validate_json(data)
    except (ValidationError, RecursionError, ValueError) as error:
        first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": str(error)}
        place = ".".join(str(part) for part in first["loc"])
        if place.endswith("schema_version"):
            raise SessionError(f"{where}: the session is of another schema version; update genie.") from error
        raise SessionError(f"{where}: {place + ': ' if place else ''}{first['msg']}.") from error


def check_version(header: Header, where: str) -> None:
    """Raises SessionError for a schema that this version does not read."""
    if header.schema_version != SCHEMA_VERSION:
        raise SessionError(
            f"{where}: schema version {header.schema_version}, this genie reads {SCHEMA_VERSION}; update genie to open the session."
        )


def png(frames: np.ndarray) -> bytes:
    """Frames uint8 [T, H, W, 3] side by side, or one frame [H, W, 3], as PNG."""
    strip = np.concatenate(list(frames), axis=1) if frames.ndim == 4 else frames
    out = io.BytesIO()
    Image.fromarray(strip).save(out, "PNG", compress_level=6)
    return out.getvalue()


def edit_png(frame: np.ndarray, part: np.ndarray | None) -> bytes:
    """An edited frame uint8 [H, W, 3] as PNG; the pixels that are held, bool [H, W], if only some are, as its alpha."""
    return png(frame if part is None else np.dstack([frame, np.where(part, np.uint8(255), np.uint8(0))]))


def edit_of(data: bytes, resolution: tuple[int, int], where: str) -> tuple[np.ndarray, np.ndarray | None]:
    """What `edit_png` wrote."""
    strip = _pixels(data, resolution, where)
    return strip[..., :3].copy(), strip[..., 3] > 127 if strip.shape[2] == 4 else None


def most_bytes(resolution: tuple[int, int], count: int) -> int:
    """What a PNG of `count` frames side by side may have: what noise takes, and a percent for the format."""
    height, width = resolution
    return max(MAX_PICTURE_BYTES, height * (3 * width * count + 1) * 101 // 100)


def picture(data: bytes, resolution: tuple[int, int], where: str, count: int = 1) -> np.ndarray:
    """A PNG of `count` frames side by side -> uint8 [count, H, W, 3]; the size is checked before it is decompressed."""
    return np.stack(np.split(_pixels(data, resolution, where, count)[..., :3], count, axis=1))


def _pixels(data: bytes, resolution: tuple[int, int], where: str, count: int = 1) -> np.ndarray:
    """uint8 [H, count * W, 3 or, where the PNG has an alpha, 4]."""
    height, width = resolution
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if image.size != (width * count, height):
                raise SessionError(f"{where} is {image.size[0]}×{image.size[1]} pixels instead of {width * count}×{height}.")
            return np.asarray(image.convert("RGBA" if image.mode == "RGBA" else "RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SessionError(f"{where} is not a readable PNG ({error}).") from error


def key_frame_png(shown: Mosaic) -> bytes:
    """What a rollout shows, as PNG: the frame, and where a world remembers anything around it that too; the alpha says what was seen."""
    return png(shown.with_alpha[0] if any(shown.margin) else shown.frame[0])


def read_key_frame(data: bytes, tokenizer: TokenizerConfig, where: str) -> Mosaic:
    """What `key_frame_png` wrote, for a world with this tokenizer."""
    size = tokenizer.resolution[0] + 2 * tokenizer.mosaic, tokenizer.resolution[1] + 2 * tokenizer.mosaic
    pixels = _pixels(data, size, where)
    view = tuple(slice(tokenizer.mosaic, full - tokenizer.mosaic) for full in size)
    shown = Mosaic.of(np.ascontiguousarray(pixels[view][None, ..., :3]), tokenizer)
    if not tokenizer.mosaic:
        return shown
    if pixels.shape[2] != 4:
        raise SessionError(f"{where} does not say what was seen.")
    picture, known = np.ascontiguousarray(pixels[None, ..., :3]), pixels[None, ..., 3] > 127
    return replace(shown, picture=picture, known=known, guesses=bool(tokenizer.guess))


def pixel_hash(frame: np.ndarray) -> int:
    """64 bits that name the pixels of a frame uint8 [H, W, 3]."""
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(frame).data, digest_size=8).digest(), "little")
