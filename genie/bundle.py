"""A world on disk: one folder (or .zip) with `world.json`, three safetensors files, prompts as PNG strips and a card.

A bundle is untrusted input: the manifest is schema-validated, every file is named there with its size and sha256, paths stay
inside the bundle, tensors are checked against the configured shapes before they are used. No pickles.
"""

from __future__ import annotations

import hashlib
import io
import json
import lzma
import math
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.numpy import save as save_safetensors

from genie.configs import DynamicsConfig, LatentActionConfig
from genie.data.card import DatasetCard, parse_card
from genie.errors import DatasetError, WorldFormatError
from genie.files import replacing
from genie.metrics import short
from genie.runtime.actions import Action
from genie.runtime.sampling import Sampling
from tokenizer import TokenizerConfig

SCHEMA_VERSION = 1
MANIFEST = "world.json"
MARKS = "marks.json"
CARD = "README.md"  # for people; the manifest does not hold it
MAX_MANIFEST_BYTES = 2**20
MAX_BUNDLE_BYTES = 2 * 2**30
MAX_FILES = 1000
MAX_PROMPTS = 256
MAX_PROMPT_PIXELS = 2**27  # of all prompts together: 384 MiB when they are read
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]*$"  # of a world: no path
LONGEST_NAME = 80
DATA_CARD = "data-card.json"
MODELS = ("tokenizer", "latent_actions", "dynamics")

UNREADABLE = (OSError, EOFError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)

Precision = Literal["fp32", "int8", "bf16"]


class FileEntry(BaseModel):
    """What the manifest promises of one file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    size: int = Field(ge=0, le=MAX_BUNDLE_BYTES)  # bytes


class PromptEntry(BaseModel):
    """A prompt: `count` frames side by side in one PNG."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=80)
    file: str
    count: int = Field(ge=1, le=256)


class Graphs(BaseModel):
    """ONNX graphs beside the weights: a world with them plays without torch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    precisions: tuple[Precision, ...] = ("fp32",)  # of the dynamics, those that were found good enough
    made_for: str = Field(pattern="^[0-9a-f]{64}$")  # `Manifest.weights_digest` of the weights and shapes they were exported from
    psnr_loss: dict[Precision, float] = {}  # dB of next-frame PSNR that a precision loses against fp32, on held-out clips


class Manifest(BaseModel):
    """`world.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int
    name: str = Field(min_length=1, max_length=LONGEST_NAME, pattern=NAME_PATTERN)
    title: str = Field(max_length=200)
    licence: str = Field(max_length=2000)
    frame_rate: float = Field(gt=0, le=1000)  # frames shown a second
    frame_skip: int = Field(ge=1, le=1000)  # game steps a frame
    actions: tuple[Action, ...] = Field(min_length=1)
    idle: int = Field(default=0, ge=0)  # id of the action taken while no key is held
    sampling: Sampling = Sampling()
    tokenizer: TokenizerConfig
    latent_actions: LatentActionConfig
    dynamics: DynamicsConfig
    prompts: tuple[PromptEntry, ...] = Field(min_length=1, max_length=MAX_PROMPTS)
    files: dict[str, FileEntry] = Field(max_length=MAX_FILES)
    graphs: Graphs | None = None  # None: there are none yet
    training: dict[str, Any] = {}  # how it was made: data, minutes, metrics
    least_recall: float = Field(default=0.8, ge=0, le=1)  # of the action recall on real clips: `genie eval --gate` asks for this much

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        ids = [action.id for action in self.actions]
        if ids != list(range(len(ids))) or len(ids) != self.dynamics.actions:
            raise ValueError(f"actions must have the ids 0 … {self.dynamics.actions - 1} in order, as the dynamics has rows")
        if len({action.name for action in self.actions}) != len(ids):
            raise ValueError("action names must differ")
        if self.idle >= len(ids):
            raise ValueError(f"idle is {self.idle}, but there are {len(ids)} actions")
        if self.latent_actions.resolution != self.tokenizer.resolution:
            raise ValueError("the latent action model and the tokenizer have different resolutions")
        pixels = math.prod(self.tokenizer.resolution) * sum(prompt.count for prompt in self.prompts)
        if pixels > MAX_PROMPT_PIXELS:
            raise ValueError(f"prompts have {pixels:,} pixels in all; {MAX_PROMPT_PIXELS:,} are the most they may have")
        missing = {f"{model}.safetensors" for model in MODELS} | {prompt.file for prompt in self.prompts}
        missing -= set(self.files)
        if missing:
            raise ValueError(f"files lacks {', '.join(sorted(missing))}")
        for name in self.files:
            path = PurePosixPath(name)
            if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or str(path) != name:
                raise ValueError(f"the path {name!r} leaves the bundle")
        return self

    @property
    def weights_digest(self) -> str:
        """Names the weights and the shapes of the models: graphs of other ones must not be run with them."""
        weights = {name: entry.sha256 for name, entry in self.files.items() if name.endswith(".safetensors")}
        shapes = [config.model_dump(mode="json") for config in (self.tokenizer, self.latent_actions, self.dynamics)]
        return hashlib.sha256(json.dumps([weights, shapes], sort_keys=True).encode()).hexdigest()


class Figure(BaseModel):
    """One mark: a figure with its 95 % interval."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    title: str = Field(max_length=200)
    unit: str = Field(default="", max_length=20)
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def heading(self) -> str:
        """The title, and the unit where it has one."""
        return f"{self.title}, {self.unit}" if self.unit else self.title


def plain_name(text: str) -> str:
    """A name that a world may have, as like this text as can be."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")[:LONGEST_NAME] or "world"


class Marks(BaseModel):
    """`marks.json`: what `genie eval --gate` found."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    weights: str = Field(pattern="^[0-9a-f]{64}$")  # `Manifest.weights_digest` of what was judged
    shippable: bool
    reasons: tuple[str, ...] = Field(default=(), max_length=20)  # against it
    notes: tuple[str, ...] = Field(default=(), max_length=20)  # what whoever reads the figures should know
    date: str = Field(max_length=40)
    dataset: str = Field(max_length=200)
    clips: int = Field(ge=1)
    seed: int = Field(ge=0)
    evaluation: int = Field(default=0, ge=0)  # `genie.evaluation.report.SCHEMA_VERSION`: the way in which it was measured
    figures: dict[str, Figure] = Field(max_length=100)


class Bundle:
    """A bundle's manifest and its verified files.

    Raises:
        WorldFormatError: anything that is not as the manifest says; the message names the file and what to do.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.exists():
            raise WorldFormatError(f"{self.path} does not exist; `genie worlds` lists what is installed.")
        self._zip = None
        if self.path.is_file():
            try:
                self._zip = zipfile.ZipFile(self.path)
            except UNREADABLE as error:
                raise WorldFormatError(f"{self.path} is neither a folder nor a zip file that can be read ({error}).") from error
        raw = self._read(MANIFEST, MAX_MANIFEST_BYTES)
        try:
            value = json.loads(raw)
        except (ValueError, RecursionError) as error:
            raise WorldFormatError(f"{self.path}/{MANIFEST} is not JSON ({error}); get the world again.") from error
        version = value.get("schema_version") if isinstance(value, dict) else None
        if version != SCHEMA_VERSION:
            raise WorldFormatError(
                f"{self.path}/{MANIFEST}: schema_version is {version!r}, this genie reads {SCHEMA_VERSION}; "
                f"update genie or export the world again."
            )
        try:
            self.manifest = Manifest.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "the manifest"
            raise WorldFormatError(f"{self.path}/{MANIFEST}: {where}: {first['msg']}.") from error
        if sum(entry.size for entry in self.manifest.files.values()) > MAX_BUNDLE_BYTES:
            raise WorldFormatError(f"{self.path}: its files are larger than {MAX_BUNDLE_BYTES >> 20} MiB in all.")

    def read(self, name: str) -> bytes:
        """The bytes of a file the manifest names, size and sha256 checked."""
        if name not in self.manifest.files:
            raise WorldFormatError(f"{self.path} carries no {name}; run `genie export {self.path}` or get the world again.")
        entry = self.manifest.files[name]
        data = self._read(name, entry.size)
        if len(data) != entry.size:
            raise WorldFormatError(
                f"{self.path}/{name} has {len(data):,} bytes instead of {entry.size:,}: it is truncated; get the world again."
            )
        if hashlib.sha256(data).hexdigest() != entry.sha256:
            raise WorldFormatError(f"{self.path}/{name}: its sha256 is not the manifest's; it was changed or damaged, get it again.")
        return data

    def parameters(self) -> int:
        """Numbers in the three models, counted in the headers of their files."""
        count = 0
        for model in MODELS:
            data = self.read(f"{model}.safetensors")
            length = int.from_bytes(data[:8], "little")
            try:
                header = json.loads(data[8 : 8 + length])
                shapes = [entry["shape"] for name, entry in header.items() if name != "__metadata__"]
                count += sum(math.prod(int(side) for side in shape) for shape in shapes)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
                raise WorldFormatError(f"{self.path}/{model}.safetensors has no header that can be read; get the world again.") from error
        return count

    @property
    def marks(self) -> Marks | None:
        """What the gate found of these very weights; None where it was not asked, or of others."""
        if MARKS not in self.manifest.files:
            return None
        try:
            found = Marks.model_validate_json(self._bounded_marks())
        except ValidationError as error:
            first = error.errors()[0]
            raise WorldFormatError(f"{self.path}/{MARKS}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from error
        return found if found.weights == self.manifest.weights_digest else None

    def _bounded_marks(self) -> bytes:
        if self.manifest.files[MARKS].size > MAX_MANIFEST_BYTES:
            raise WorldFormatError(f"{self.path}/{MARKS} is larger than {MAX_MANIFEST_BYTES >> 10} KiB; run `genie eval --gate` again.")
        return self.read(MARKS)

    def prompt(self, entry: PromptEntry) -> np.ndarray:
        """A prompt's frames, uint8 [T, H, W, 3]."""
        height, width = self.manifest.tokenizer.resolution
        try:
            image = Image.open(io.BytesIO(self.read(entry.file)), formats=("PNG",))
            if image.size != (width * entry.count, height):
                raise WorldFormatError(
                    f"{self.path}/{entry.file} is {image.size[0]}×{image.size[1]} pixels; "
                    f"{entry.count} frames need {width * entry.count}×{height}."
                )
            strip = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise WorldFormatError(f"{self.path}/{entry.file} is not a PNG ({error}).") from error
        return np.stack(np.split(strip, entry.count, axis=1))

    def data_card(self) -> DatasetCard | None:
        """The card of the data that the world was trained on; None where the bundle carries none."""
        if DATA_CARD not in self.manifest.files:
            return None
        try:
            return parse_card(self.read(DATA_CARD), f"{self.path}/{DATA_CARD}")
        except DatasetError as error:
            raise WorldFormatError(str(error)) from error

    def _read(self, name: str, limit: int) -> bytes:
        """At most limit + 1 bytes of a file inside the bundle (one more tells that it is too long)."""
        try:
            if self._zip is not None:
                info = self._zip.getinfo(name)
                if info.file_size > limit:
                    raise WorldFormatError(f"{self.path}/{name} is larger than the {limit:,} bytes it may have.")
                with self._zip.open(info) as file:
                    return file.read(limit + 1)
            path = self.path / name
            if not path.resolve().is_relative_to(self.path.resolve()):
                raise WorldFormatError(f"{self.path}/{name} leads outside the bundle; remove the link.")
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                raise WorldFormatError(f"{self.path}/{name} is not a plain file.")
            with path.open("rb") as file:
                return file.read(limit + 1)
        except (KeyError, FileNotFoundError) as error:
            raise WorldFormatError(f"{self.path} has no {name}; it is not a whole world, get it again.") from error
        except UNREADABLE as error:
            raise WorldFormatError(f"{self.path}/{name} cannot be read ({error}).") from error


def save_bundle(
    path: Path,
    fields: Mapping[str, Any],
    weights: Mapping[str, Mapping[str, np.ndarray]],
    prompts: Mapping[str, np.ndarray],
    card: str,
    data_card: DatasetCard | None = None,
) -> None:
    """Write a bundle folder whole or not at all.

    Args:
        fields: the manifest without `files`, `prompts` and `schema_version`.
        weights: tensors of the three models, under their names in `MODELS`.
        prompts: name -> uint8 [T, H, W, 3].
        card: Markdown for the bundle's README.md.
        data_card: the card of the data that the world was trained on.
    """
    contents: dict[str, bytes] = {CARD: card.encode()}
    if data_card is not None:
        contents[DATA_CARD] = data_card.model_dump_json(indent=1).encode()
    for name in MODELS:
        contents[f"{name}.safetensors"] = save_safetensors(dict(weights[name]))
    entries = []
    for name, frames in prompts.items():
        strip = io.BytesIO()
        Image.fromarray(np.concatenate(list(frames), axis=1)).save(strip, "PNG")
        contents[f"prompts/{name}.png"] = strip.getvalue()
        entries.append(PromptEntry(name=name, file=f"prompts/{name}.png", count=len(frames)))
    manifest = Manifest(schema_version=SCHEMA_VERSION, prompts=tuple(entries), files=_entries(contents), **fields)
    contents[MANIFEST] = manifest.model_dump_json(indent=1).encode()
    with replacing(path) as fresh:
        for name, data in contents.items():
            (fresh / name).parent.mkdir(parents=True, exist_ok=True)
            (fresh / name).write_bytes(data)


def put_files(folder: Path, files: Mapping[str, bytes], replaces: str | None = None, **changes: Any) -> None:
    """Add files to a bundle folder that nobody reads yet, and change fields of its manifest.

    Args:
        replaces: suffix of files that the new ones take the place of, whatever their names: the manifest forgets them.
    """
    kept = Bundle(folder).manifest
    for name, data in files.items():
        (folder / name).write_bytes(data)
    old = {name: entry for name, entry in kept.files.items() if replaces is None or not name.endswith(replaces)}
    named = old | _entries(files)
    manifest = Manifest.model_validate({**kept.model_dump(), "files": named, **changes})
    (folder / MANIFEST).write_bytes(manifest.model_dump_json(indent=1).encode())


def put_marks(folder: Path, marks: Marks) -> None:
    """Write marks into a bundle folder; it is replaced as a whole.

    Raises:
        WorldFormatError: the bundle is a zip file.
    """
    if not folder.is_dir():
        raise WorldFormatError(f"{folder} is not a folder; unpack the world to write marks into it.")
    with replacing(folder) as fresh:
        shutil.copytree(folder, fresh, dirs_exist_ok=True)
        put_files(fresh, {MARKS: marks.model_dump_json(indent=1).encode()})
        card = fresh / CARD
        card.write_text(with_marks(card.read_text("utf-8") if card.exists() else "", marks), "utf-8")


def with_marks(card: str, marks: Marks) -> str:
    """A world's card with these marks in place of those it has; before its limits, or at the end."""
    says = "It may ship." if marks.shippable else "Not shippable:\n\n" + "\n".join(f"- {reason}" for reason in marks.reasons)
    says += "".join(f"\n\n{note[:1].upper()}{note[1:]}" for note in marks.notes)
    rows = (f"| {figure.heading} | {short(figure.value)}{_interval(figure)} |" for figure in marks.figures.values())
    told = (
        f"## Marks\n\n`genie eval --gate` on {marks.clips} held-out clips of {marks.dataset}, {marks.date}. {says}\n\n"
        "| figure | value (95 % interval) |\n|---|---|\n" + "\n".join(rows)
    )
    before = re.sub(r"\n*^## Marks$.*?(?=^## |\Z)", "\n\n", card, flags=re.DOTALL | re.MULTILINE).strip()
    head, limits, tail = before.partition("## Limits")
    return "\n\n".join(part.strip() for part in (head, told, limits + tail) if part.strip()) + "\n"


def _interval(figure: Figure) -> str:
    return "" if figure.low is None or figure.high is None else f" ({short(figure.low)} … {short(figure.high)})"


def _entries(contents: Mapping[str, bytes]) -> dict[str, FileEntry]:
    """What the manifest says of files; the card is for people and may be edited."""
    return {name: FileEntry(sha256=hashlib.sha256(data).hexdigest(), size=len(data)) for name, data in contents.items() if name != CARD}
