"""Pictures in and out: any picture file as a frame of a world's size, the clipboard, surfaces for the screen."""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import numpy as np
import pygame
from PIL import Image, ImageGrab, ImageOps, UnidentifiedImageError

from genie.errors import GenieError

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
MAX_PIXELS = 50_000_000
MAX_BYTES = 2**28
MAX_SIDE = 1024  # pixels: a frame has 512 at most, and 256 are remembered on each side of it
Fit = Literal["crop", "fit"]


def read_picture(path: Path, resolution: tuple[int, int], fit: Fit = "crop") -> np.ndarray:
    """A picture file as a frame, uint8 [H, W, 3].

    Args:
        resolution: height and width of the frame.
        fit: "crop" fills the frame and cuts what stands over, "fit" shows the whole picture with black beside it.

    Raises:
        GenieError: no such file, too large, or not a picture.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise GenieError(f"{path.name} is larger than {MAX_BYTES >> 20} MiB; save it smaller.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                return to_frame(image, resolution, fit)
    except FileNotFoundError as error:
        raise GenieError(f"{path} does not exist.") from error
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise GenieError(f"{path.name} cannot be read as a picture ({error}); use a PNG or JPEG file.") from error


def to_frame(image: Image.Image, resolution: tuple[int, int], fit: Fit) -> np.ndarray:
    """A picture as a frame, uint8 [H, W, 3]; one of the right size stays as it is."""
    if image.width * image.height > MAX_PIXELS:
        raise GenieError(f"the picture has {image.width}×{image.height} pixels; {MAX_PIXELS:,} are read at most: save it smaller.")
    height, width = resolution
    picture = image.convert("RGB")
    if picture.size != (width, height):
        smooth = Image.Resampling.LANCZOS if picture.width > width else Image.Resampling.NEAREST
        scale = ImageOps.fit if fit == "crop" else ImageOps.pad
        picture = scale(picture, (width, height), method=smooth)
    return np.asarray(picture, np.uint8).copy()


def paste_picture(resolution: tuple[int, int], fit: Fit = "crop") -> np.ndarray:
    """The picture in the clipboard as a frame. Not for the window's thread: on Linux another program asks whoever copied it, maybe us.

    Raises:
        GenieError: there is none, or this desktop gives no access to it.
    """
    try:
        found = ImageGrab.grabclipboard()
    except (OSError, NotImplementedError, subprocess.SubprocessError, ValueError) as error:
        tool = "" if shutil.which("wl-paste") or shutil.which("xclip") else " (on Linux this needs wl-paste or xclip)"
        raise GenieError(f"there is no picture in the clipboard that can be read{tool}; save the picture and load the file.") from error
    if isinstance(found, list) and found:
        return read_picture(Path(found[0]), resolution, fit)
    if not isinstance(found, Image.Image):
        raise GenieError("there is no picture in the clipboard.")
    return to_frame(found, resolution, fit)


def copied_file() -> Path | None:
    """The picture file that the clipboard's text is the path or file: address of; for the window's thread."""
    try:
        text = pygame.scrap.get_text().strip()
    except pygame.error:
        return None
    path = Path(unquote(urlsplit(text).path) if text.startswith("file:") else text)
    try:
        return path if path.suffix.lower() in SUFFIXES and path.is_file() else None
    except (OSError, ValueError):  # too long for a path
        return None


def png_frame(data: bytes) -> np.ndarray:
    """A PNG of a session as uint8 [H, W, 3].

    Raises:
        ValueError: it is not one, or larger than any frame with what is remembered around it.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
            if max(image.size) > MAX_SIDE:
                raise ValueError(f"{image.size[0]}×{image.size[1]} pixels are more than any frame has")
            return np.asarray(image.convert("RGB")).copy()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(str(error)) from error


def surface_of(frame: np.ndarray) -> pygame.Surface:
    """A frame uint8 [H, W, 3] as a surface of the same size."""
    return pygame.surfarray.make_surface(np.swapaxes(frame, 0, 1))


def thumb_width(frame: np.ndarray, high: int) -> int:
    """How wide a frame is that is shown so many pixels high."""
    return max(1, round(high * frame.shape[1] / frame.shape[0]))


def thumbnail(frame: np.ndarray, high: int) -> pygame.Surface:
    """A frame as a surface so many pixels high, in its own proportions."""
    return pygame.transform.scale(surface_of(frame), (thumb_width(frame, high), high))


def enlarged(frame: np.ndarray, scale: int) -> pygame.Surface:
    """A frame as a surface, each pixel `scale` pixels a side."""
    return pygame.transform.scale(surface_of(frame), (frame.shape[1] * scale, frame.shape[0] * scale))
