"""What a designer paints with: colours and stamps cut from the world's own prompts, so that the world understands them.

Tiles are the squares that differ most from each other. Small things are found as patches of colours that are rare in all
prompts (a coin, a saw). The figure is what stands in the middle of a frame, where games keep it, without what is behind it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from player.paint import LIKE, Colour, Stamp, connected

TILE = 8  # pixels a side
COLOURS, TILES, THINGS = 18, 10, 6
RARE = 0.004  # share of all pixels that a rare colour has at most
THING = (4, 80)  # pixels, least and most


def palette(frames: Sequence[np.ndarray]) -> list[Colour]:
    """The colours of frames uint8 [H, W, 3], the most used first, with black and white at the end."""
    strip = Image.fromarray(np.concatenate(list(frames), axis=1))
    small = strip.quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    values = small.getpalette() or []
    used = sorted(small.getcolors() or [], reverse=True)
    found = [(values[3 * i], values[3 * i + 1], values[3 * i + 2]) for _, i in used if isinstance(i, int)]
    return [*found, *(colour for colour in ((0, 0, 0), (255, 255, 255)) if colour not in found)]


def stamps(frames: Sequence[np.ndarray]) -> list[Stamp]:
    """Figure, small things, tiles: cut from frames uint8 [H, W, 3]."""
    return [*_figure(frames), *_things(frames), *_tiles(frames)]


def _figure(frames: Sequence[np.ndarray]) -> list[Stamp]:
    """What stands out from its surroundings in the middle of a frame; the clearest one."""
    best: tuple[float, Stamp] | None = None
    for frame in frames:
        height, width = frame.shape[:2]
        top, left = height // 2 - TILE, width // 2 - TILE
        patch = frame[top : top + 2 * TILE, left : left + 2 * TILE]
        behind = np.median(np.concatenate([patch[0], patch[-1], patch[:, 0], patch[:, -1]]), axis=0)
        differs = (np.abs(patch.astype(np.int16) - behind) > 2 * LIKE).any(axis=-1)
        edge = np.concatenate([differs[0], differs[-1], differs[:, 0], differs[:, -1]]).mean()
        if not differs.any() or edge > 0.05:
            continue
        rows, columns = np.flatnonzero(differs.any(1)), np.flatnonzero(differs.any(0))
        part = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
        stamp = Stamp("figure", patch[part].copy(), differs[part].copy(), moves=True)
        clear = float(np.abs(patch[differs].astype(np.int16) - behind).mean())
        if THING[0] <= differs.sum() <= THING[1] and (best is None or clear > best[0]):
            best = (clear, stamp)
    return [best[1]] if best else []


def _things(frames: Sequence[np.ndarray]) -> list[Stamp]:
    """Patches of rare colours, one of each mean colour."""
    bins = [(frame // 32).astype(np.int64) @ np.array([64, 8, 1]) for frame in frames]
    share = np.bincount(np.concatenate([one.ravel() for one in bins]), minlength=512) / sum(one.size for one in bins)
    found: list[Stamp] = []
    for frame, one in zip(frames, bins, strict=True):
        rare = share[one] < RARE
        left = rare.copy()
        for y, x in np.argwhere(rare):
            if not left[y, x]:
                continue
            part = connected(rare, (int(x), int(y)))
            left &= ~part
            rows, columns = np.flatnonzero(part.any(1)), np.flatnonzero(part.any(0))
            box = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            inside = rows[0] > 0 and columns[0] > 0 and rows[-1] < frame.shape[0] - 1 and columns[-1] < frame.shape[1] - 1
            compact = part.sum() >= 0.6 * part[box].size
            if not (inside and compact and THING[0] <= part.sum() <= THING[1]):
                continue
            mean = frame[part].mean(axis=0)
            if all(np.abs(mean - other.picture[other.mask].mean(axis=0)).max() > 40 for other in found):
                found.append(Stamp("thing", frame[box].copy(), part[box].copy()))
    return found[:THINGS]


def _tiles(frames: Sequence[np.ndarray]) -> list[Stamp]:
    """Squares chosen one by one, each the one least like those chosen before."""
    patches = np.stack([
        frame[y : y + TILE, x : x + TILE]
        for frame in frames
        for y in range(0, frame.shape[0] - TILE + 1, TILE // 2)
        for x in range(0, frame.shape[1] - TILE + 1, TILE // 2)
    ])  # fmt: skip
    flat = patches.reshape(len(patches), -1).astype(np.float32)
    chosen = [int(np.argmin(np.abs(flat - np.median(flat, axis=0)).sum(axis=1)))]
    far = np.full(len(flat), np.inf, np.float32)
    while len(chosen) < min(TILES, len(flat)):
        far = np.minimum(far, np.abs(flat - flat[chosen[-1]]).mean(axis=1))
        chosen.append(int(far.argmax()))
    return [Stamp.opaque("tile", patches[number]) for number in chosen]
