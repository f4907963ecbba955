"""World: a trained bundle, loaded and ready to play. `load_world` is where everybody starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from genie.backends import open_engine
from genie.bundle import MANIFEST, Bundle, Manifest
from genie.data.card import DatasetCard
from genie.errors import GenieError, WorldFormatError
from genie.runtime.actions import Action, ActionTable
from genie.runtime.rollout import BatchRollout, Rollout
from genie.runtime.sampling import Sampling

DEFAULT_WORLD = "coinrun"  # what is played where nobody says


@dataclass(frozen=True)
class Prompt:
    """Frames that a rollout can start from, uint8 [T, H, W, 3]."""

    name: str
    frames: np.ndarray


class World:
    """The three models, the actions, the prompts and the card of one world."""

    def __init__(self, bundle: Bundle, device: str = "auto", backend: str = "auto") -> None:
        self._bundle = bundle
        self._table = ActionTable(bundle.manifest.actions, bundle.manifest.idle)
        self.engine = open_engine(bundle, device, backend)

    @property
    def manifest(self) -> Manifest:
        """Everything the bundle says of itself."""
        return self._bundle.manifest

    @property
    def name(self) -> str:
        """The world's name."""
        return self.manifest.name

    @property
    def path(self) -> Path:
        """Where the bundle lies."""
        return self._bundle.path

    @property
    def backend(self) -> str:
        """What runs the networks, e.g. "onnx-int8" or "torch-cuda"."""
        return self.engine.name

    @property
    def frame_rate(self) -> float:
        """Frames shown a second."""
        return self.manifest.frame_rate

    @property
    def frame_skip(self) -> int:
        """Game steps a frame."""
        return self.manifest.frame_skip

    @property
    def resolution(self) -> tuple[int, int]:
        """Height and width of a frame, in pixels."""
        return self.manifest.tokenizer.resolution

    @property
    def scroll_reach(self) -> tuple[int, int]:
        """Rows and columns of pixels that the view can move from one frame to the next, as far as the models look; (0, 0): it stays."""
        fine, far = self.manifest.tokenizer, self.manifest.latent_actions
        return max(fine.reach_rows, 4 * far.reach_rows), max(fine.reach_columns, 4 * far.reach_columns)

    @property
    def actions(self) -> tuple[Action, ...]:
        """What the world can be told: latent actions, recorded ones where the data had labels, or one of the two alone."""
        return self.manifest.actions

    @property
    def action_table(self) -> ActionTable:
        """The actions, to be found by name, id or held keys."""
        return self._table

    @property
    def sampling(self) -> Sampling:
        """The world's default sampling."""
        return self.manifest.sampling

    @cached_property
    def prompts(self) -> tuple[Prompt, ...]:
        """The prompts that ship with the world."""
        return tuple(Prompt(entry.name, self._bundle.prompt(entry)) for entry in self.manifest.prompts)

    @cached_property
    def data_card(self) -> DatasetCard | None:
        """Source, licence and figures of the data that the world was trained on; None where the bundle does not carry them."""
        return self._bundle.data_card()

    def start(self, prompt: Any = None, seed: int = 0, **sampling: Any) -> Rollout:
        """Begin a rollout.

        Args:
            prompt: None for the first shipped prompt, a `Prompt` or the name of one, a picture file, or frames uint8
                [H, W, 3] or [T, H, W, 3].
            seed: seed of the noise; the same prompt, seed and actions give the same frames.
            sampling: overrides of the world's sampling: passes, temperature, schedule, confidence_noise.

        Raises:
            GenieError: the prompt has another size or type, or cannot be read; a sampling value is out of range.
        """
        return Rollout(self.start_batch([prompt], [seed], **sampling))

    def start_batch(self, prompts: Sequence[Any], seeds: Sequence[int], **sampling: Any) -> BatchRollout:
        """Begin B rollouts that step together in one forward pass.

        Prompts of different length are cut to the last frames that all of them have.
        """
        if len(prompts) == 0 or len(prompts) != len(seeds):
            raise GenieError(f"{len(prompts)} prompts and {len(seeds)} seeds; give as many of one as of the other.")
        frames = [self.prompt_frames(prompt) for prompt in prompts]
        shortest = min(len(clip) for clip in frames)
        stacked = np.stack([clip[-shortest:] for clip in frames])
        return BatchRollout.begin(self.engine, self._table, self.sampling.override(sampling), stacked, seeds)

    def encode(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [T, H, W, 3] -> int [T-1, N, G]: what each frame adds to the one before, as in a rollout from the first one."""
        codec, clip = self.engine.codec, self._clip(frames, least=2)[None]
        return codec.encode(clip, codec.begun(clip[:, :1]))[0]

    def decode(self, frame: np.ndarray, tokens: np.ndarray, edits: Mapping[int, np.ndarray] | None = None) -> np.ndarray:
        """First frame uint8 [H, W, 3] and tokens int [T, N, G] -> the frames they make, uint8 [T, H, W, 3].

        Args:
            frame: or a prompt, uint8 [P, H, W, 3]: its last frame is gone on from, and what all of them showed is remembered.
            edits: pictures that took the place of a frame before the next was made, uint8 [H, W, 3], by how many had been made (0: of the
                first frame itself).
        """
        rows, columns = self.engine.codec.token_shape
        most = self.manifest.tokenizer.vocabulary - 1
        tokens = np.asarray(tokens)
        if tokens.ndim != 3 or tokens.shape[1:] != (rows, columns) or not len(tokens):
            raise GenieError(f"tokens must have shape [T, {rows}, {columns}], not {list(tokens.shape)}.")
        if tokens.dtype.kind not in "iu" or tokens.min() < 0 or tokens.max() > most:
            raise GenieError(f"tokens must be integers from 0 to {most}.")
        codec, made = self.engine.codec, []
        pictures = {number: self._clip(picture) for number, picture in (edits or {}).items()}
        shown = codec.begun(self._clip(frame)[None])
        for number, added in enumerate(tokens):
            if number in pictures:
                shown = shown.showing(pictures[number])
            shown = codec.follow(shown, added[None])
            made.append(shown.frame[0])
        return np.stack(made)

    def reconstruct(self, frames: np.ndarray) -> np.ndarray:
        """The tokenizer's round trip on its own output: uint8 [T, H, W, 3] -> the same shape (the first frame as it is)."""
        codec, clip = self.engine.codec, self._clip(frames)[None]
        return codec.unrolled(clip, shown=codec.begun(clip[:, :1]))[0][0]

    def infer_actions(self, frames: np.ndarray) -> np.ndarray:
        """uint8 [T, H, W, 3] -> int [T-1]: the latent actions between neighbours; ids of `actions`, where the world hears them."""
        return self.engine.codec.infer_actions(self._clip(frames, least=2)[None])[0]

    def prompt_frames(self, prompt: Any = None) -> np.ndarray:
        """The frames of a prompt as `start` takes it, uint8 [T, H, W, 3]."""
        if prompt is None:
            return self.prompts[0].frames
        if isinstance(prompt, Prompt):
            return self._clip(prompt.frames)
        if isinstance(prompt, str | Path):
            for shipped in self.prompts:
                if shipped.name == str(prompt):
                    return shipped.frames
            return self._picture(Path(prompt))
        return self._clip(prompt)

    def _picture(self, path: Path) -> np.ndarray:
        """A picture file of the world's own size as a prompt of one frame."""
        if not path.exists():
            names = ", ".join(prompt.name for prompt in self.prompts)
            raise GenieError(f"{path} is neither a picture file nor one of the prompts {names}.")
        try:
            with Image.open(path) as image:
                if image.size != (self.resolution[1], self.resolution[0]):
                    raise GenieError(
                        f"{path} is {image.size[0]}×{image.size[1]} pixels; this world needs "
                        f"{self.resolution[1]}×{self.resolution[0]}: resize it first."
                    )
                return np.asarray(image.convert("RGB"))[None].copy()
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise GenieError(f"{path} cannot be read as a picture ({error}).") from error

    def _clip(self, frames: Any, least: int = 1) -> np.ndarray:
        """Frames as uint8 [T, H, W, 3]; one frame counts as a clip of one."""
        clip = np.asarray(frames)
        if clip.ndim == 3:
            clip = clip[None]
        if clip.ndim != 4 or clip.shape[1:] != (*self.resolution, 3) or clip.dtype != np.uint8:
            raise GenieError(
                f"frames must be uint8 [T, {self.resolution[0]}, {self.resolution[1]}, 3], not {clip.dtype} {list(clip.shape)}."
            )
        if len(clip) < least:
            raise GenieError(f"{least} or more frames are needed, got {len(clip)}.")
        return np.ascontiguousarray(clip)


def world_folders() -> list[Path]:
    """Where installed worlds lie: inside the wheel, or `checkpoints/` of a source tree."""
    package = Path(__file__).parent
    return [folder for folder in (package / "_worlds", package.parent / "checkpoints") if folder.is_dir()]


def installed_worlds() -> dict[str, Path]:
    """Name -> bundle of every installed world, the default one first."""
    found = [bundle for folder in reversed(world_folders()) for bundle in folder.iterdir() if (bundle / MANIFEST).is_file()]
    return {bundle.name: bundle for bundle in sorted(found, key=lambda bundle: (bundle.name != DEFAULT_WORLD, bundle.name))}


def open_bundle(name: str | Path) -> Bundle:
    """The bundle of an installed world or at a path, its manifest checked.

    Raises:
        WorldFormatError: no such world, or a bundle that is damaged, unsafe or of another schema version.
    """
    worlds = installed_worlds()
    path = worlds.get(str(name), Path(name))
    if not path.exists():
        known = ", ".join(worlds) or "none"
        raise WorldFormatError(f"there is no world {str(name)!r}: installed are {known}; a path to a bundle works too.")
    return Bundle(path)


def load_world(name: str | Path, device: str = "auto", backend: str = "auto") -> World:
    """Open a world.

    Args:
        name: the name of an installed world, or the path of a bundle folder or .zip.
        device: "auto" (the GPU where torch can use one), "cpu" or "cuda".
        backend: "auto" (on a CPU the faster of the ONNX precisions, as measured here once), or one of `genie.backends.BACKENDS`.

    Raises:
        WorldFormatError: no such world, or a bundle that is damaged, unsafe or of another schema version.
        GenieError: the device or back end cannot be used here.
    """
    return World(open_bundle(name), device, backend)
